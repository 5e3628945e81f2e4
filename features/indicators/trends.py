"""A second ladder: start, growth, maturity, decline, by the direction of a customer's activity.

The time since the first activity is cut into equal parts. The slope of log(1 + activities) over
the parts is the median of the slopes between all pairs of them (Theil 1950), its interval comes
from Kendall's statistic (Sen 1968). The level never decides, and what is undecided is maturity.
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
    "first activity (median of slopes, 90 % interval): growth above 0, decline below, maturity "
    f"where it contains 0, start up to {START_GAPS} completed gaps; median_slope: per part; share: "
    "of the customers with an activity (of a stage: of those of the stage), with its 95 % Wilson "
    f"interval; money_last_year: purchases minus refunds of the last {YEAR_DAYS} days",
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
    slope, low, high = theil_sen(np.log1p(activities))
    starts = n - 1 <= START_GAPS
    trend = np.select(
        [starts, low > 0, high < 0], [START, GROWTH, DECLINE], default=MATURITY
    ).astype(str)
    slopes = pa.array(slope, mask=starts)
    return pa.table({"who": who, "trend": trend.tolist(), "slope": slopes})


def theil_sen(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The median slope of each row over its columns, and its 90 % interval: (rows,) each.

    values: (rows, parts). Of rows with equal values Kendall's variance is smaller (ties are
    counted), so the interval is, too. (Sen 1968, sections 2 and 3)
    """
    parts = values.shape[1]
    i, j = np.triu_indices(parts, 1)
    slopes = np.sort((values[:, j] - values[:, i]) / (j - i), axis=1)
    count = slopes.shape[1]
    middle = np.median(slopes, axis=1) if count else np.zeros(len(values))
    reach = Z90 * np.sqrt(_kendall_variance(values))
    # The M-th smallest from either end, M = (count − reach) / 2, rounded to the wider side.
    lower = np.clip(np.floor((count - reach) / 2).astype(int) - 1, 0, count - 1)
    upper = np.clip(np.ceil((count + reach) / 2).astype(int), 0, count - 1)
    at = np.arange(len(values))
    return middle, slopes[at, lower], slopes[at, upper]


def _kendall_variance(values: np.ndarray) -> np.ndarray:
    """The variance of Kendall's statistic over the columns of each row, ties counted, (rows,)."""
    parts = values.shape[1]
    equal = (values[:, :, None] == values[:, None, :]).sum(axis=2)
    # A group of t equal values adds t(t − 1)(2t + 5), and each of its members has its share of it.
    ties = ((equal - 1) * (2 * equal + 5)).sum(axis=1)
    return np.maximum(parts * (parts - 1) * (2 * parts + 5) - ties, 0) / 18
