"""How fast complaints are answered and resolved; those that are still open count as well."""

from __future__ import annotations

from math import isnan
from typing import Any

import numpy as np
import pyarrow as pa

from features.core.instants import HOUR_US
from features.indicators.business_table import COUNT, NUMBER, TEXT, TableShape
from features.indicators.indicator_data import YEAR_DAYS, IndicatorData
from features.indicators.intervals import wilson
from features.indicators.satisfaction import load_feedback
from features.indicators.survival import median_time

FIRST_RESPONSE, RESOLUTION = "first response", "resolution"
INSTANTS = {FIRST_RESPONSE: "answered_at", RESOLUTION: "resolved_at"}
MOST_TOPICS = 20
RESPONSE_TIMES = TableShape(
    "response_times",
    f"median_hours: by which half of the complaints of the last {YEAR_DAYS} days are answered or "
    "resolved (Kaplan–Meier, so that open ones count; low and high: its 95 % interval); in_time: "
    "share resolved within [satisfaction] resolve_within_hours, of those of which it is known, "
    "with its Wilson interval; n: complaints",
    f"complaints of the last {YEAR_DAYS} days",
    {
        "measure": TEXT,
        "dimension": TEXT,
        "level": TEXT,
        "done": COUNT,
        "median_hours": NUMBER,
        "in_time": NUMBER,
        "in_time_low": NUMBER,
        "in_time_high": NUMBER,
    },
)
_WAITS = """
WITH raised AS (
    SELECT occurred_at, {instant} AS done_at, coalesce(topic, '(none)') AS topic FROM feedback
    WHERE kind = 'complaint' AND occurred_at >= {year_ago}
      AND ({instant} IS NULL OR {instant} >= occurred_at)
), largest AS (
    SELECT topic FROM raised GROUP BY topic ORDER BY count(*) DESC, topic LIMIT {most}
)
SELECT CASE WHEN topic IN (FROM largest) THEN topic ELSE '(others)' END AS topic,
       coalesce(done_at, {as_of}) - occurred_at AS wait, done_at IS NOT NULL AS done
FROM raised ORDER BY ALL
"""


def response_times_table(data: IndicatorData) -> dict[str, pa.Table]:
    """`response_times`: first response and resolution, of all complaints and by topic.

    By channel the table says that feedback has none. The first response of a complaint is its
    `answered_at`.
    """
    tables = []
    has_feedback = load_feedback(data)
    for measure, instant in INSTANTS.items():
        if has_feedback and data.value(_count(instant)):
            tables += [*_measure(data, measure, instant), _no_channel(data, measure)]
        else:
            missing = f"complaints with {instant}, known before as_of"
            tables.append(RESPONSE_TIMES.say_missing(missing, as_of=data.as_of, measure=measure))
    return {"response_times": pa.concat_tables(tables)}


def _count(instant: str) -> str:
    return f"SELECT count({instant}) FROM feedback WHERE kind = 'complaint'"


def _measure(data: IndicatorData, measure: str, instant: str) -> list[pa.Table]:
    rows = data.rows(
        _WAITS.format(instant=instant, year_ago=data.year_ago, as_of=data.as_of, most=MOST_TOPICS)
    )
    if not rows.num_rows:
        missing = f"complaints of the last {YEAR_DAYS} days"
        return [RESPONSE_TIMES.say_missing(missing, as_of=data.as_of, measure=measure)]
    topics = rows["topic"].to_numpy(zero_copy_only=False)
    wait, done = rows["wait"].to_numpy(), rows["done"].to_numpy(zero_copy_only=False).astype(bool)
    groups = [("all", "all", np.full(len(wait), fill_value=True))]
    groups += [("topic", str(topic), topics == topic) for topic in sorted(set(topics))]
    hours = data.settings.satisfaction.resolve_within_hours
    within = hours * HOUR_US if measure == RESOLUTION else None
    cells = [
        {
            "measure": measure,
            "dimension": dimension,
            "level": level,
            **_cells(wait[mine], done[mine], within),
        }
        for dimension, level, mine in groups
    ]
    return [RESPONSE_TIMES.fill_rows(cells, as_of=data.as_of)]


def _cells(wait: np.ndarray, done: np.ndarray, within: float | None) -> dict[str, Any]:
    middle, low, high = (each / HOUR_US for each in median_time(wait, done))
    numbers = {"median_hours": middle, "low": low, "high": high, **_in_time(wait, done, within)}
    known = {name: None if isnan(value) else float(value) for name, value in numbers.items()}
    return {"n": len(wait), "done": int(done.sum()), **known}


def _in_time(wait: np.ndarray, done: np.ndarray, within: float | None) -> dict[str, float]:
    """The share within a limit (µs) and its interval, of the complaints of which it is known.

    That are those that are done, or open for longer. NaN without such a one, and without a limit.
    """
    limit = float("nan") if within is None else within
    judged, in_time = (done | (wait > limit)) & (within is not None), done & (wait <= limit)
    low, high = wilson(np.array([in_time.sum()]), np.array([judged.sum()]))
    share = in_time.sum() / judged.sum() if judged.any() else float("nan")
    return {"in_time": share, "in_time_low": float(low[0]), "in_time_high": float(high[0])}


def _no_channel(data: IndicatorData, measure: str) -> pa.Table:
    missing = "a channel of complaints: the contract of feedback has none"
    return RESPONSE_TIMES.say_missing(
        missing, as_of=data.as_of, measure=measure, dimension="channel"
    )
