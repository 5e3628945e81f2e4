"""What init guesses about the business as a whole.

Archetype, activity, horizon, zone and currency, and the scales of scores.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import duckdb

from features.core.settings import Contract
from features.tables.parsing import literal
from lifecycle.init.source import Source
from lifecycle.init.tables import Part
from lifecycle.init.toml_page import Guess, toml_string
from lifecycle.init.words import CURRENCY_SIGNS

HORIZONS_DAYS = (30, 60, 90, 180, 365)
DEFAULT_HORIZON_DAYS = 90
_GAPS_PER_HORIZON, _MIN_GAPS = 3, 30
_USAGE_KINDS = ("usage", "login", "visit")
_SCALES = ((1, 5), (0, 5), (0, 10), (0, 100))
# Half a per cent at either end is ignored: single typing errors must not change a scale.
_SCORE_QUANTILES = (0.005, 0.995)

Parts = dict[str, list[Part]]


@dataclass(frozen=True)
class Activity:
    """What counts as activity: kinds of one table, and the reason."""

    table: str
    kind: str
    reason: str

    @property
    def guess(self) -> Guess:
        """The guess for `activity`."""
        value = f"{{ table = {toml_string(self.table)}, kinds = [{toml_string(self.kind)}] }}"
        return Guess("activity", value, (self.reason,))


def union_select(parts: list[Part]) -> str:
    """One SELECT for all parts of a table."""
    return " UNION ALL BY NAME ".join(part.select for part in parts)


def choose_activity(connection: duckdb.DuckDBPyConnection, parts: Parts) -> Activity:
    """Use under contract, else purchases, else the most frequent kind of interaction."""
    kinds = _kinds(connection, parts["interactions"]) if "interactions" in parts else []
    usage = [kind for kind in kinds if kind in _USAGE_KINDS]
    if usage and "contracts" in parts:
        reason = (
            "the most frequent kind of use; customers under contract stop using the service "
            "before they leave."
        )
        return Activity("interactions", usage[0], reason)
    if "transactions" in parts:
        reason = "a customer who leaves stops buying."
        return Activity("transactions", "purchase", reason)
    if usage:
        reason = "the most frequent kind of use, because no file holds purchases."
        return Activity("interactions", usage[0], reason)
    reason = "CHECK: the most frequent kind; none of them is known as use or purchase."
    return Activity("interactions", kinds[0], reason)


def _kinds(connection: duckdb.DuckDBPyConnection, parts: list[Part]) -> list[str]:
    """The kinds of the interactions, most frequent first."""
    counts = (
        f"SELECT kind, count(*) FROM ({union_select(parts)}) WHERE trim(kind) <> '' "
        "GROUP BY kind ORDER BY 2 DESC, 1"
    )
    return [row[0] for row in connection.execute(counts).fetchall()]


def guess_scales(connection: duckdb.DuckDBPyConnection, parts: Parts) -> list[Guess]:
    """Scales of scores that leave the contract's usual ones; nothing where those fit."""
    usual: dict[str, tuple[float, float]] = dict(Contract().scales)
    wider = {}
    for kind, low, high in _score_ranges(connection, parts.get("feedback", [])):
        if kind not in usual or low is None or usual[kind][0] <= low <= high <= usual[kind][1]:
            continue
        fitting = (scale for scale in _SCALES if scale[0] <= low and high <= scale[1])
        wider[kind] = next(fitting, usual[kind])
    if not wider:
        return []
    listed = ", ".join(
        f"{kind} = [{low:g}, {high:g}]" for kind, (low, high) in (usual | wider).items()
    )
    reason = (
        f"CHECK: scores of {', '.join(wider)} leave the usual scale; this is the next scale "
        "that contains them."
    )
    return [Guess("contract.scales", f"{{ {listed} }}", (reason,))]


def _score_ranges(connection: duckdb.DuckDBPyConnection, parts: list[Part]) -> list[tuple]:
    """(kind, low, high) of the scores, without the extreme half per cent at either end."""
    if not any("score" in part.cells for part in parts):
        return []
    score = "TRY_CAST(CAST(score AS VARCHAR) AS DOUBLE)"
    ends = ", ".join(f"quantile_disc({score}, {share})" for share in _SCORE_QUANTILES)
    ranges = f"SELECT kind, {ends} FROM ({union_select(parts)}) GROUP BY kind ORDER BY kind"
    return connection.execute(ranges).fetchall()


def guess_archetype(parts: Parts) -> Guess:
    """Contractual where a file holds contracts."""
    if "contracts" in parts:
        value = '"contractual"'
        reason = "a file holds contracts: a customer leaves by cancelling or by letting cover end."
    else:
        value = '"non-contractual"'
        reason = "no file holds contracts: a customer leaves by staying inactive."
    return Guess("business.archetype", value, (reason,))


def guess_zone(parts: Parts) -> Guess:
    """UTC, and whether the user must name the zone of the clock times."""
    clocks = {clock for files in parts.values() for part in files for clock in part.clocks}
    if "naive" in clocks:
        reason = (
            "CHECK: there are clock times without a zone; write the zone they were recorded in, "
            'such as "Europe/London".'
        )
    elif "offset" in clocks:
        reason = (
            "the times carry their offset, so no zone is needed to read them; "
            "your own zone would decide where a day begins."
        )
    else:
        reason = "there are dates only, so no zone is needed."
    return Guess("business.zone", '"UTC"', (reason,))


def guess_currency(parts: Parts) -> Guess:
    """The currency of the amounts; EUR where nothing names one."""
    codes = sorted({code for part in parts.get("transactions", []) for code in _codes(part)})
    code, reason = "EUR", "CHECK: nothing in the files names the currency; write yours."
    if len(codes) > 1:
        reason = "CHECK: there are several currencies; the SELECT must convert them to one."
    elif codes and re.fullmatch("[A-Z]{3}", codes[0]):
        code, reason = codes[0], "CHECK: by the currency column or the signs on the amounts."
    return Guess("business.currency", toml_string(code), (reason,))


def _codes(part: Part) -> set[str]:
    """The codes in a currency column, or those that the signs on the amounts stand for."""
    source: Source = part.source
    if "currency" in part.cells:
        code = f"upper(trim(CAST({part.cells['currency'].sql} AS VARCHAR)))"
        rows = source.query(f"SELECT DISTINCT {code} FROM {source.sample} WHERE {code} <> ''")
        return {row[0] for row in rows}
    signs = source.signs((part.cells.get("amount") or part.cells["price"]).column)
    return {code for sign, code in CURRENCY_SIGNS.items() if sign in signs}


def guess_horizon(connection: duckdb.DuckDBPyConnection, parts: Parts, activity: Activity) -> Guess:
    """Three median gaps between active days, as the nearest usual horizon; else 90 days."""
    days = DEFAULT_HORIZON_DAYS
    if "contracts" in parts:
        reason = (
            f"{days} days is the default: cover ends by contract, so gaps in use do not "
            "tell when a customer has left."
        )
        return Guess("churn.horizon_days", str(days), (reason,))
    gap, gaps = _median_gap(connection, parts[activity.table], activity.kind)
    if gaps < _MIN_GAPS:
        reason = (
            f"CHECK: {days} days is the default: {gaps} gaps between a customer's active days "
            "are too few to estimate it."
        )
    else:
        target = _GAPS_PER_HORIZON * gap
        days = min(HORIZONS_DAYS, key=lambda horizon: abs(horizon - target))
        reason = (
            f"the median gap between a customer's active days is {gap:g} days ({gaps:,} gaps); "
            f"{_GAPS_PER_HORIZON} of them are {target:g} days, and {days} is the nearest of "
            f"{', '.join(map(str, HORIZONS_DAYS))}."
        )
    return Guess("churn.horizon_days", str(days), (reason,))


def _median_gap(
    connection: duckdb.DuckDBPyConnection, parts: list[Part], kind: str
) -> tuple[float, int]:
    """(median days between a customer's active days, number of gaps)."""
    rows = union_select(parts)
    if parts[0].table == "transactions":
        # Rows without a kind are refunds where the amount is negative, as the contract reads them.
        given = "kind" if " AS kind" in rows else "NULL"
        by_sign = "CASE WHEN CAST(amount AS VARCHAR) LIKE '-%' THEN 'refund' ELSE 'purchase' END"
        active = f"coalesce({given}, {by_sign}) = 'purchase'"
    else:
        active = f"kind = {literal(kind)}"
    day = "CAST(TRY_CAST(CAST(occurred_at AS VARCHAR) AS TIMESTAMPTZ) AS DATE)"
    days = (
        f"SELECT DISTINCT customer_id AS who, {day} AS day FROM ({rows}) "
        f"WHERE {active} AND customer_id IS NOT NULL"
    )
    gaps = (
        "SELECT day - lag(day) OVER (PARTITION BY who ORDER BY day) AS gap "
        f"FROM ({days}) WHERE day IS NOT NULL"
    )
    median, count = connection.execute(f"SELECT median(gap), count(gap) FROM ({gaps})").fetchall()[
        0
    ]
    return float(median or 0), int(count)
