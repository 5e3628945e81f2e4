"""Cohorts by month of acquisition: who is active and what they spend, month by month of their age.

A cell whose month is not over yet (label latency included) is null, and not 0. `[stages] acquired`
says which activity acquires a customer.
"""

from __future__ import annotations

import pyarrow as pa

from features.indicators.business_table import COUNT, NUMBER, TEXT, TableShape
from features.indicators.indicator_data import NO_PURCHASE, IndicatorData, month_text
from features.indicators.intervals import wilson

COHORTS = TableShape(
    "cohorts",
    "age_months: calendar months since that of acquisition; active_share: active in that month, so "
    "that a customer can come back (not the curve of `retention`, which one leaves once); money: "
    "purchases minus refunds of the month; net_revenue_retention: money over that of month 0; "
    "gross_revenue_retention: the same, but of each customer at most the money of month 0",
    "customers acquired in the month",
    {
        "cohort": TEXT,
        "age_months": COUNT,
        "active": COUNT,
        "active_share": NUMBER,
        "money": NUMBER,
        "net_revenue_retention": NUMBER,
        "gross_revenue_retention": NUMBER,
    },
)
ACQUIRED = """
SELECT who, occurred_at AS acquired_at, month AS cohort FROM activity WHERE position = {position}
"""
_CELLS = """
WITH acquired AS ({acquired}),
sizes AS (SELECT cohort, count(*) AS n FROM acquired GROUP BY cohort),
cells AS (
    SELECT cohort, n, unnest(range(0, {current_month} - (SELECT min(cohort) FROM sizes) + 1)) AS age
    FROM sizes
),
active AS (
    SELECT cohort, month - cohort AS age, count(DISTINCT who) AS active
    FROM activity JOIN acquired USING (who) WHERE month >= cohort GROUP BY ALL
),
months AS (
    SELECT who, cohort, month - cohort AS age, sum(net) AS net
    FROM money JOIN acquired USING (who) WHERE month >= cohort GROUP BY ALL
),
spent AS (
    SELECT months.cohort, months.age, sum(months.net) AS net,
           sum(greatest(least(months.net, coalesce(begun.net, 0)), 0)) AS gross
    FROM months LEFT JOIN months AS begun ON begun.who = months.who AND begun.age = 0
    GROUP BY ALL
),
begun AS (
    SELECT cohort, sum(net) AS net, sum(greatest(net, 0)) AS gross FROM months WHERE age = 0
    GROUP BY cohort
),
filled AS (
    SELECT cells.cohort, cells.age, n, cells.cohort + cells.age < {first_open_month} AS is_known,
           coalesce(active, 0) AS active, coalesce(spent.net, 0) AS net,
           coalesce(spent.gross, 0) AS gross, begun.net AS begun_net, begun.gross AS begun_gross
    FROM cells LEFT JOIN active USING (cohort, age) LEFT JOIN spent USING (cohort, age)
    LEFT JOIN begun ON begun.cohort = cells.cohort
)
SELECT {month} AS cohort, age AS age_months, n, CASE WHEN is_known THEN active END AS active,
       CASE WHEN is_known THEN active / n END AS active_share,
       CASE WHEN is_known AND {has_money} THEN {money} END AS money,
       CASE WHEN is_known AND begun_net > 0 THEN CAST(net AS DOUBLE) / begun_net END
           AS net_revenue_retention,
       CASE WHEN is_known AND begun_gross > 0 THEN CAST(gross AS DOUBLE) / begun_gross END
           AS gross_revenue_retention
FROM filled ORDER BY filled.cohort, age
"""


def cohort_table(data: IndicatorData) -> dict[str, pa.Table]:
    """`cohorts`: one row per cohort and age, up to the age of the oldest, by cohort and age."""
    acquired = acquired_sql(data)
    if not data.value(f"SELECT count(*) FROM ({acquired})"):
        missing = "a customer who was acquired before as_of"
        return {"cohorts": COHORTS.say_missing(missing, as_of=data.as_of)}
    rows = data.rows(
        _CELLS.format(
            acquired=acquired,
            current_month=data.current_month,
            first_open_month=data.first_open_month,
            month=month_text("cohort"),
            money=data.units("net"),
            has_money=str(data.has_purchase).lower(),
        )
    )
    active = rows["active"].cast(pa.float64()).to_numpy()
    low, high = wilson(active, rows["n"].to_numpy())
    for name, ends in (("low", low), ("high", high)):
        rows = rows.append_column(name, pa.array(ends, from_pandas=True))
    tables = [COHORTS.fill(rows, as_of=data.as_of)]
    if not data.has_purchase:
        tables.append(COHORTS.say_missing(NO_PURCHASE, as_of=data.as_of))
    return {"cohorts": pa.concat_tables(tables)}


def acquired_sql(data: IndicatorData) -> str:
    """SQL for who, acquired_at (µs) and cohort (month) of every customer acquired before as_of."""
    position = 1 if data.settings.stages.acquired == "first_activity" else 2
    return ACQUIRED.format(position=position)
