"""Where the risk meets the value: eligible customers by p_churn and by what they bring if they
stay.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise

import pyarrow as pa

from features.indicators.business_table import COUNT, NUMBER, TableShape
from features.indicators.indicator_data import IndicatorData, exact_sum
from serving.value.value_matrix import NO_VALUE

NOBODY = "a customer who is eligible and has a clv"
RISK_EDGES = tuple(step / 10 for step in range(11))
MOST_VALUES = 8  # cells side by side
RISK_VALUE = TableShape(
    "risk_value",
    "customers with risk_from ≤ p_churn < risk_to (1 in the last) and value_from ≤ clv_if_stays < "
    "value_to (below 0 too in the first); at_stake: clv_if_stays less clv, summed: how much more "
    "it would be if none of them left",
    "eligible customers with a clv, by risk and by value",
    {
        "risk_from": NUMBER,
        "risk_to": NUMBER,
        "value_from": NUMBER,
        "value_to": NUMBER,
        "customers": COUNT,
        "at_stake": NUMBER,
        "mean_p_churn": NUMBER,
    },
)
_CREATE = """
CREATE TABLE risk_cells AS
SELECT who, p_churn, clv_if_stays - clv AS at_stake,
       {risk_from} AS risk_from, {value_from} AS value_from
FROM scores WHERE eligible AND clv IS NOT NULL
"""
_CELLS = f"""
SELECT risk_from, value_from, count(*) AS n, count(*) AS customers,
       {exact_sum("at_stake")} AS at_stake, {exact_sum("p_churn")} / count(*) AS mean_p_churn
FROM risk_cells GROUP BY risk_from, value_from ORDER BY risk_from, value_from
"""


def risk_value_table(data: IndicatorData) -> dict[str, pa.Table]:
    """`risk_value`: a row for each cell with a customer, by risk and value."""
    edges = load_risk_cells(data)
    if not data.value("SELECT count(*) FROM risk_cells"):
        valued = data.value("SELECT count(clv) FROM scores")
        missing = NOBODY if valued else NO_VALUE
        return {"risk_value": RISK_VALUE.say_missing(missing, as_of=data.as_of)}
    rows = data.rows(_CELLS)
    for column, ends in (("risk", RISK_EDGES), ("value", edges)):
        upper = dict(pairwise(ends))
        to = [upper[start] for start in rows[f"{column}_from"].to_pylist()]
        rows = rows.append_column(f"{column}_to", pa.array(to, NUMBER))
    return {"risk_value": RISK_VALUE.fill(rows, as_of=data.as_of)}


def load_risk_cells(data: IndicatorData) -> tuple[float, ...]:
    """Create `risk_cells` (who, p_churn, at_stake, risk_from, value_from), if it is not there.

    Of the eligible customers with a clv. Returns the edges of the values.
    """
    ends = data.rows(
        "SELECT min(clv_if_stays) AS lowest, max(clv_if_stays) AS highest "
        "FROM scores WHERE eligible AND clv IS NOT NULL"
    ).to_pylist()
    edges = value_edges(ends[0]["lowest"] or 0.0, ends[0]["highest"] or 0.0)
    if not data.has_table("risk_cells"):
        data.connection.execute(
            _CREATE.format(
                risk_from=_start_sql("p_churn", RISK_EDGES),
                value_from=_start_sql("clv_if_stays", edges),
            )
        )
    return edges


def value_edges(lowest: float, highest: float) -> tuple[float, ...]:
    """0 and the steps 1, 2, 5, 10, 20 … from the first above the lowest value to the first above
    the highest; of more than MOST_VALUES the highest.

    >>> value_edges(3.0, 40.0), value_edges(0.0, 0.0)
    ((0.0, 5.0, 10.0, 20.0, 50.0), (0.0, 1.0))
    """
    if highest <= 0:
        return (0.0, 1.0)
    steps = [float(f"{digit}e{power}") for power in range(-9, 300) for digit in (1, 2, 5)]
    first, last = bisect_right(steps, lowest), bisect_right(steps, highest)
    return (0.0, *steps[first : last + 1][-MOST_VALUES:])


def _start_sql(column: str, edges: tuple[float, ...]) -> str:
    """SQL for the beginning of the cell that a value is in."""
    cases = " ".join(
        f"WHEN {column} >= CAST({edge!r} AS DOUBLE) THEN CAST({edge!r} AS DOUBLE)"
        for edge in reversed(edges[1:-1])
    )
    start = f"CAST({edges[0]!r} AS DOUBLE)"
    return f"CASE {cases} ELSE {start} END" if cases else start
