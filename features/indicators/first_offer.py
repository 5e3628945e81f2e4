"""Is who came by an offer as good as who came without? Customers by their first purchase.

By how deep its discount was, and by the category bought first, at the same age.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from features.core.instants import DAY_US
from features.indicators.business_table import NUMBER, TEXT, TableShape
from features.indicators.indicator_data import NO_PURCHASE, IndicatorData, load
from features.indicators.intervals import Z, wilson
from features.tables.net_money import moves_money, net_amount

Row = dict[str, Any]
AGE_DAYS = 180
# Deepest last; a discount is a share of what the purchase would have cost.
DEPTHS = ("none", "up to 10 %", "up to 25 %", "up to 50 %", "above 50 %")
EDGES = (0.0, 0.1, 0.25, 0.5)
NO_DISCOUNT = "a first purchase with a discount above 0 (discount of transactions), before as_of"
NO_CATEGORY = "category of transactions, before as_of"
MOST_CATEGORIES, OTHERS = 20, "(others)"
FIRST_OFFER = TableShape(
    "first_offer",
    f"by: discount (of the first purchase: discount / (amount + discount), the purchases of its "
    f"instant together) or category (of the first purchase, the {MOST_CATEGORIES} with the most "
    f"customers); bought_again: with a purchase on a later local day within {AGE_DAYS} days, with "
    "its 95 % Wilson interval; money_per_customer: purchases minus refunds within so many days "
    "without the first purchase and refunds under its transaction_id, with money_low and "
    "money_high. They were not drawn by lot: a difference is no effect of the offer",
    f"customers whose first purchase was at least {AGE_DAYS} days ago",
    {
        "by": TEXT,
        "group": TEXT,
        "bought_again": NUMBER,
        "money_per_customer": NUMBER,
        "money_low": NUMBER,
        "money_high": NUMBER,
    },
)
_CUSTOMERS = """
WITH begun AS (
    SELECT who, min(occurred_at) AS first_at FROM purchases WHERE bought GROUP BY who
), firsts AS (
    SELECT who, first_at, min(local_day) AS first_day, sum(net) AS paid,
           sum(coalesce(discount, 0)) AS discount, min(category) AS category,
           list(transaction_id) FILTER (transaction_id IS NOT NULL) AS ids
    FROM purchases JOIN begun USING (who) WHERE bought AND occurred_at = first_at GROUP BY ALL
)
SELECT who, discount / nullif(paid + discount, 0) AS depth, category,
       coalesce(sum(net) FILTER (bought AND occurred_at > first_at
                                 OR NOT bought AND NOT of_first), 0) AS later,
       coalesce(bool_or(bought AND local_day > first_day), false) AS again
FROM (
    SELECT firsts.who, first_at, first_day, paid, firsts.discount, firsts.category, occurred_at,
           local_day, net, bought, coalesce(list_contains(ids, transaction_id), false) AS of_first
    FROM firsts JOIN purchases USING (who)
)
WHERE first_at <= {as_of} - {age} AND occurred_at < first_at + {age} AND occurred_at >= first_at
GROUP BY ALL ORDER BY who
"""


def first_offer_table(data: IndicatorData) -> dict[str, pa.Table]:
    """`first_offer`: a row for each depth of discount, then for each category."""
    if not data.has_purchase:
        return {"first_offer": FIRST_OFFER.say_missing(NO_PURCHASE, as_of=data.as_of)}
    _load_purchases(data)
    rows = data.rows(_CUSTOMERS.format(as_of=data.as_of, age=AGE_DAYS * DAY_US))
    parts = [
        _part(data, rows, "discount", _depths(rows), NO_DISCOUNT),
        _part(data, rows, "category", _categories(rows), NO_CATEGORY),
    ]
    return {"first_offer": pa.concat_tables(parts)}


def _load_purchases(data: IndicatorData) -> None:
    """`purchases`: money with the discount of each row, in minor units."""
    table = data.known.tables["transactions"]
    names = (
        *("customer_id", "occurred_at", "local_day", "kind", "amount"),
        *("discount", "category", "transaction_id"),
    )
    rows = table.filter(moves_money()).select(*names, net=net_amount())
    load(
        data.connection,
        rows.collect(backend="pyarrow").to_native(),
        "CREATE TABLE purchases AS SELECT who, occurred_at, local_day, net, category, discount, "
        "transaction_id, "
        "kind = 'purchase' AND amount >= 0 AS bought FROM incoming JOIN people USING (customer_id)",
    )


def _depths(rows: pa.Table) -> list[str] | None:
    """The depth of each customer; None where nobody's first purchase had a discount."""
    depth = np.nan_to_num(rows["depth"].to_numpy().astype(float))
    if not (depth > 0).any():
        return None
    return [DEPTHS[place] for place in np.searchsorted(EDGES, np.clip(depth, 0, None))]


def _categories(rows: pa.Table) -> list[str | None] | None:
    names = rows["category"].to_pylist()
    known, counts = np.unique([name for name in names if name], return_counts=True)
    if not len(known):
        return None
    order = np.lexsort((known, -counts))
    kept = set(known[order[:MOST_CATEGORIES]].tolist())
    return [name if name in kept or name is None else OTHERS for name in names]


def _part(
    data: IndicatorData,
    rows: pa.Table,
    by: str,
    groups: list[str] | list[str | None] | None,
    missing: str,
) -> pa.Table:
    if groups is None:
        return FIRST_OFFER.say_missing(missing, as_of=data.as_of, by=by)
    return FIRST_OFFER.fill_rows(list(_rows(data, rows, by, groups)), as_of=data.as_of)


def _rows(
    data: IndicatorData, rows: pa.Table, by: str, groups: list[str] | list[str | None]
) -> Iterator[Row]:
    again = np.array(rows["again"].to_pylist(), dtype=bool)
    money = rows["later"].to_numpy().astype(float) / 10**data.settings.minor_digits
    names = np.array([name or "(none)" for name in groups])
    order = (*DEPTHS, *sorted(set(names.tolist()) - {*DEPTHS}))
    for name in (name for name in order if (names == name).any()):
        mine = names == name
        n, repeated = int(mine.sum()), int(again[mine].sum())
        [low], [high] = wilson(np.array([repeated]), np.array([n]))
        mean = float(money[mine].mean())
        half = Z * float(money[mine].std(ddof=1)) / np.sqrt(n) if n > 1 else None
        yield {
            "by": by,
            "group": name,
            "n": n,
            "bought_again": repeated / n,
            "low": float(low),
            "high": float(high),
            "money_per_customer": mean,
            "money_low": None if half is None else mean - half,
            "money_high": None if half is None else mean + half,
        }
