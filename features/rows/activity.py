"""Activity rows: gaps as whole minutes, and which gap, which period, which acquisition a day is."""

from __future__ import annotations

import narwhals as nw

from features.history import Known
from features.recipe import LOG_SCALE, MINUTE_US, Now


def rows(known: Known, now: Now) -> nw.LazyFrame:
    at, gap = nw.col("occurred_at"), nw.col("gap")
    minutes = (gap / MINUTE_US).floor().cast(nw.Int64)
    minutes = nw.when(minutes >= 1).then(minutes).otherwise(nw.when(~gap.is_null()).then(nw.lit(1)))
    age = known.as_of - at
    rows = known.activity.with_columns(
        gap_minutes=minutes,
        has_gap=~gap.is_null(),
        is_last=nw.col("from_end") == 1,
        is_acquisition=nw.col("position") == (1 if now.definitions.acquired == "first_activity" else 2),
        recent_gap=~gap.is_null() & (nw.col("from_end") <= 5),
        gap_below_recency=~gap.is_null() & (gap < known.as_of - nw.col("last_at")),
        occurred_minutes=(at / MINUTE_US).floor().cast(nw.Int64),
        period=((age - 1) / now.definitions.base_gap_us).floor().cast(nw.Int64),
        in_periods=age <= 12 * now.definitions.base_gap_us,
        in_last_base_gap=age <= now.definitions.base_gap_us,
    )
    return rows.with_columns(
        gap_minutes_squared=nw.col("gap_minutes") * nw.col("gap_minutes"),
        gap_log=(nw.col("gap_minutes").cast(nw.Float64).log() * LOG_SCALE).round().cast(nw.Int64),
    )
