"""What another retention would be worth, on the business's own numbers and by a stated formula.

The formula is that of `worth_of_retention`. Nothing says that retention can be raised so far, nor
what that costs.
"""

from __future__ import annotations

import re
from typing import Any

import pyarrow as pa

from features.core.errors import BadSetting
from features.core.settings import Settings
from features.indicators.business_table import NUMBER, TEXT, TableShape
from features.indicators.worth_of_retention import period_discount, periods_worth

RULE = "--what-if is retention and a change in points, such as retention=+5%."
_FORM = re.compile(r"\s*retention\s*=\s*([+-]\d{1,2}(?:\.\d+)?)\s*%?\s*")
WHAT_IF = TableShape(
    "what_if",
    "now: as it is, with its 95 % interval in low and high; then: with the other retention; "
    "retention: the share of the eligible who stayed over the last horizon; periods: 1 / (1 + d − "
    "r) horizons, d the discount of one; clv: of all customers of the day, times the ratio of the "
    "periods",
    "customers eligible one outcome window before as_of",
    {"measure": TEXT, "now": NUMBER, "then": NUMBER, "change": NUMBER},
)


def read_what_if(text: str | None) -> float | None:
    """The change of retention as a share from `retention=+5%`; None without one.

    BadSetting for anything else.
    """
    if text is None:
        return None
    match = _FORM.fullmatch(text)
    if match is None:
        raise BadSetting(
            where="--what-if",
            got="another text",
            rule=RULE,
            fix="Write --what-if retention=+5%",
            values=[text],
        )
    return float(match[1]) / 100


def what_if_table(change: float, tables: dict[str, pa.Table], settings: Settings) -> pa.Table:
    """`what_if`: retention, the periods of a customer and, where there is one, the clv of all.

    tables: those of `business_tables` with the tables that need scores.
    """
    [row] = [each for each in tables["indicators"].to_pylist() if each["indicator"] == "retention"]
    as_of = row["as_of"]
    if row["missing"] is not None:
        return WHAT_IF.say_missing(row["missing"], as_of=as_of, measure="retention")
    discount, now = period_discount(settings), row["value"]
    then = min(max(now + change, 0.0), 1.0)
    before, after = periods_worth(now, discount), periods_worth(then, discount)
    if before is None or after is None:
        missing = "a discount: with a retention of 1 a customer would be worth more than any sum"
        return WHAT_IF.say_missing(missing, as_of=as_of, measure="periods")
    low, high = (periods_worth(row[end], discount) for end in ("low", "high"))
    cells = [
        _row("retention", now, then, row["low"], row["high"], row["n"]),
        _row("periods", before, after, low, high, row["n"]),
    ]
    worth = [each for each in tables["worth"].to_pylist() if each["by"] == "all"]
    if worth:
        total = worth[0]["clv"]
        cells.append(_row("clv", total, total * after / before, None, None, worth[0]["n"]))
    return WHAT_IF.fill_rows(cells, as_of=as_of)


def _row(
    measure: str, now: float, then: float, low: float | None, high: float | None, n: int
) -> dict[str, Any]:
    cells = {"measure": measure, "now": now, "then": then, "change": then - now}
    return cells | {"low": low, "high": high, "n": n}
