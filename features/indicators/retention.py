"""The retention curve: how long customers stay, where many have not left yet (Kaplan–Meier).

Without contracts a customer leaves at the last activity before the first silence of the horizon's
length; that is known once the horizon and the label latency have passed. With contracts a customer
leaves when the first unbroken cover ends.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from features.core.instants import DAY_US
from features.indicators.business_table import COUNT, NUMBER, TEXT, TableShape
from features.indicators.cohorts import acquired_sql
from features.indicators.indicator_data import IndicatorData, load, month_text
from features.indicators.survival import survival_curve

STEP_DAYS = 30
EVERYBODY = "all"
_COLUMNS = {"cohort": TEXT, "age_days": COUNT, "retention": NUMBER, "left": COUNT}
_CURVE = (
    "share that has not left age_days after {start} (Kaplan–Meier; interval of Greenwood on "
    "log −log); a customer leaves once, {leaves}; n: still observed at that age; left: by then; "
    "null where nobody has been observed so long"
)
_LIVES = """
WITH acquired AS ({acquired}), gaps AS (
    SELECT who, occurred_at, cohort, acquired_at,
           lead(occurred_at) OVER (PARTITION BY who ORDER BY occurred_at) AS next_at
    FROM activity JOIN acquired USING (who) WHERE occurred_at >= acquired_at
), lives AS (
    SELECT who, cohort, acquired_at,
           min(occurred_at)
               FILTER (coalesce(next_at, {as_of}) - occurred_at >= {horizon}) AS left_at
    FROM gaps GROUP BY ALL
)
SELECT {month} AS cohort,
       least(coalesce(left_at, {mature}), {mature}) - acquired_at AS duration,
       coalesce(left_at <= {mature}, false) AS has_left, count(*) AS customers
FROM lives WHERE acquired_at <= {mature} GROUP BY ALL ORDER BY ALL
"""
_COVER = """
WITH chains AS (
    SELECT *, sum(CASE WHEN begins_cover THEN 1 ELSE 0 END) OVER (
        PARTITION BY customer_id ORDER BY starts_at, ends_at, plan
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS chain
    FROM terms
), lives AS (
    SELECT min(starts_at) AS starts_at, max(runs_until) FILTER (chain = 1) AS left_at
    FROM chains GROUP BY customer_id HAVING min(starts_at) < {as_of}
)
SELECT strftime(timezone('{zone}', make_timestamptz(starts_at)), '%Y-%m') AS cohort,
       least(left_at, {as_of}) - starts_at AS duration, left_at <= {as_of} AS has_left,
       count(*) AS customers
FROM lives GROUP BY ALL ORDER BY ALL
"""


def retention_table(data: IndicatorData) -> dict[str, pa.Table]:
    """`retention`: the curve of all customers, then of each cohort, every 30 days of age."""
    shape = _shape(data)
    lives = _cover_lives(data) if data.settings.contractual else _activity_lives(data)
    if not lives.num_rows:
        start = "cover that has begun" if data.settings.contractual else "a horizon after the first"
        missing = f"customers who have been observed long enough ({start})"
        return {"retention": shape.say_missing(missing, as_of=data.as_of)}
    repeats = lives["customers"].to_numpy()
    cohort = np.repeat(lives["cohort"].to_numpy(zero_copy_only=False), repeats)
    duration = np.repeat(lives["duration"].to_numpy(), repeats)
    has_left = np.repeat(lives["has_left"].to_numpy(zero_copy_only=False).astype(bool), repeats)
    ages = np.arange(0, duration.max() // DAY_US + 1, STEP_DAYS)
    tables = [
        shape.fill(_curve(name, duration[mine], has_left[mine], ages), as_of=data.as_of)
        for name, mine in _groups(cohort)
    ]
    return {"retention": pa.concat_tables(tables)}


def _groups(cohort: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Everybody, then each cohort: its name and which rows are of it. Rows are by cohort."""
    yield EVERYBODY, np.arange(len(cohort))
    names, starts = np.unique(cohort, return_index=True)
    for name, rows in zip(names, np.split(np.arange(len(cohort)), starts[1:]), strict=True):
        yield str(name), rows


def _curve(name: str, duration: np.ndarray, has_left: np.ndarray, ages: np.ndarray) -> pa.Table:
    curve = survival_curve(duration, has_left, ages * DAY_US)
    ends = np.sort(duration[has_left])
    return pa.table(
        {
            "cohort": pa.repeat(name, len(ages)),
            "age_days": ages,
            "retention": pa.array(curve.share, from_pandas=True),
            "left": np.searchsorted(ends, ages * DAY_US, side="right"),
            "n": curve.at_risk,
            "low": pa.array(curve.low, from_pandas=True),
            "high": pa.array(curve.high, from_pandas=True),
        }
    )


def _activity_lives(data: IndicatorData) -> pa.Table:
    churn = data.settings.churn
    horizon, latency = churn.horizon_days * DAY_US, churn.label_latency_days * DAY_US
    return data.rows(
        _LIVES.format(
            acquired=acquired_sql(data),
            as_of=data.as_of,
            horizon=horizon,
            mature=data.as_of - horizon - latency,
            month=month_text("cohort"),
        )
    )


def _cover_lives(data: IndicatorData) -> pa.Table:
    columns = ("customer_id", "starts_at", "ends_at", "plan", "runs_until", "begins_cover")
    terms = data.known.tables["contracts"].select(*columns).collect(backend="pyarrow")
    load(data.connection, terms.to_native(), "CREATE TABLE terms AS SELECT * FROM incoming")
    return data.rows(_COVER.format(as_of=data.as_of, zone=data.settings.zone))


def _shape(data: IndicatorData) -> TableShape:
    days = data.settings.churn.horizon_days
    if data.settings.contractual:
        curve = _CURVE.format(start="cover began", leaves="when the unbroken cover ends")
        return TableShape("retention", curve, "customers whose cover has begun", _COLUMNS)
    leaves = f"at the last activity before {days} days without one"
    curve = _CURVE.format(start="acquisition", leaves=leaves)
    people = f"customers acquired at least {days} days before as_of"
    return TableShape("retention", curve, people, _COLUMNS)
