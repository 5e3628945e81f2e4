"""A second ladder: start, growth, maturity, decline, by the direction of a customer's activity.

The time since the first activity is cut into equal parts. The slope of log(1 + activities) over
the parts is the median of the slopes between all pairs of them (Theil 1950); whether it has a sign
is decided by Kendall's statistic. The level never decides, and what is undecided is maturity.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from features.indicators.business_table import COUNT, NUMBER, TEXT, TableShape
from features.indicators.indicator_data import YEAR_DAYS, IndicatorData, load
from features.indicators.intervals import wilson
from features.indicators.stage_tables import load_stages
from features.recipes.stages import STAGES

PARTS = 8  # of the time since the first activity
START_GAPS = 2  # completed gaps up to which nothing can be said of a direction
Z90 = 1.6448536269514722  # the 95 % quantile of the normal distribution: an interval of 90 %
NOBODY = "a customer with an activity before as_of"
START, GROWTH, MATURITY, DECLINE = "start", "growth", "maturity", "decline"
NAMES = (START, GROWTH, MATURITY, DECLINE)
TRENDS = TableShape(
    "trends",
    f"trend: the direction of log(1 + activities) over {PARTS} equal parts of the time since the "
    "first activity: growth and decline where Kendall's statistic lies outside its 90 % interval "
    f"around 0, else maturity; start: at most {START_GAPS} completed gaps; median_slope: per part "
    "(Theil 1950); share: of the customers with an activity (of a stage: of those of the stage), "
    "with its 95 % Wilson interval; money_last_year: purchases minus refunds of the last "
    f"{YEAR_DAYS} days",
    "customers with an activity, by trend",
    {
        "stage": TEXT,
        "trend": TEXT,
        "customers": COUNT,
        "share": NUMBER,
        "median_slope": NUMBER,
        "money_last_year": NUMBER,
    },
)
_COUNTS = """
WITH first AS (SELECT who, min(occurred_at) AS first_at, count(*) AS n FROM activity GROUP BY who)
SELECT who, n, first_at, least(CAST((occurred_at - first_at) * {parts}::HUGEINT
       // greatest({as_of} - first_at, 1) AS BIGINT), {parts} - 1) AS part, count(*) AS activities
FROM activity JOIN first USING (who) GROUP BY ALL ORDER BY who, part
"""
_ROWS = """
SELECT {stage} AS stage, trend, count(*) AS customers, median(slope) AS median_slope,
       {money} AS money_last_year,
       CAST(sum(count(*)) OVER (PARTITION BY {stage}) AS BIGINT) AS n
FROM trend_of JOIN states_now USING (who)
LEFT JOIN (SELECT who, sum(net) AS net FROM money WHERE occurred_at >= {year_ago} GROUP BY who)
USING (who) GROUP BY {stage}, trend
"""


def trend_table(data: IndicatorData) -> dict[str, pa.Table]:
    """`trends`: each trend of everybody (stage "all"), then of each stage, in their orders."""
    load_stages(data)
    counts = data.rows(_COUNTS.format(parts=PARTS, as_of=data.as_of))
    if not counts.num_rows:
        return {"trends": TRENDS.say_missing(NOBODY, as_of=data.as_of)}
    load(data.connection, customer_trends(counts), "CREATE TABLE trend_of AS FROM incoming")
    money = data.units("coalesce(sum(net), 0)") if data.has_purchase else "NULL"
    tables = [
        data.rows(_ROWS.format(stage=stage, money=money, year_ago=data.year_ago))
        for stage in ("'all'", "states_now.stage")
    ]
    rows = pa.concat_tables(tables)
    order = ["all", *STAGES]
    places = [
        (order.index(stage), NAMES.index(trend))
        for stage, trend in zip(rows["stage"].to_pylist(), rows["trend"].to_pylist(), strict=True)
    ]
    rows = rows.take(pa.array(sorted(range(len(places)), key=places.__getitem__)))
    customers, n = rows["customers"].to_numpy(), rows["n"].to_numpy()
    low, high = wilson(customers, n)
    for name, values in (("share", customers / n), ("low", low), ("high", high)):
        rows = rows.append_column(name, pa.array(values))
    return {"trends": TRENDS.fill(rows, as_of=data.as_of)}


def customer_trends(counts: pa.Table) -> pa.Table:
    """who, trend and slope of each customer (null for `start`).

    counts: who, n (activities), part (0 … PARTS − 1) and activities, sorted by who.
    """
    who, first = np.unique(counts["who"].to_numpy(), return_index=True)
    n = counts["n"].to_numpy()[first]
    activities = np.zeros((len(who), PARTS))
    row = np.repeat(np.arange(len(who)), np.diff([*first, counts.num_rows]))
    activities[row, counts["part"].to_numpy()] = counts["activities"].to_numpy()
    logs, starts = np.log1p(activities), n - 1 <= START_GAPS
    way = direction(logs)
    trend = np.select([starts, way > 0, way < 0], [START, GROWTH, DECLINE], default=MATURITY)
    slopes = pa.array(median_slope(logs), mask=starts)
    return pa.table({"who": who, "trend": trend.astype(str).tolist(), "slope": slopes})


def median_slope(values: np.ndarray) -> np.ndarray:
    """The median of the slopes between all pairs of columns, (rows,). values: (rows, parts)."""
    i, j = np.triu_indices(values.shape[1], 1)
    return np.median((values[:, j] - values[:, i]) / (j - i), axis=1)


def direction(values: np.ndarray) -> np.ndarray:
    """1 where the columns of a row rise, −1 where they fall, 0 where neither is sure, (rows,).

    Kendall's statistic (rising pairs less falling ones) outside its interval of 90 % around 0. An
    interval of the slope itself would hold 0 for everybody who stopped half-way: nearly half of
    the pairs are equal then. (Mann 1945; Kendall 1975, with ties)
    """
    i, j = np.triu_indices(values.shape[1], 1)
    statistic = np.sign(values[:, j] - values[:, i]).sum(axis=1)
    reach = Z90 * np.sqrt(_kendall_variance(values))
    return np.where(np.abs(statistic) > reach, np.sign(statistic), 0).astype(int)


def _kendall_variance(values: np.ndarray) -> np.ndarray:
    """The variance of Kendall's statistic over the columns of each row, ties counted, (rows,)."""
    parts = values.shape[1]
    equal = (values[:, :, None] == values[:, None, :]).sum(axis=2)
    # A group of t equal values adds t(t − 1)(2t + 5), and each of its members has its share of it.
    ties = ((equal - 1) * (2 * equal + 5)).sum(axis=1)
    return np.maximum(parts * (parts - 1) * (2 * parts + 5) - ties, 0) / 18
