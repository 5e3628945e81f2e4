"""Activity rows: gaps as whole minutes, and which gap, period, acquisition and outcome window a day belongs to."""

from __future__ import annotations

import narwhals as nw

from features.core.instants import DAY_US
from features.recipes.recipe import Now
from features.recipes.rows import time_invariant
from features.tables.history import Known


def rows(known: Known, now: Now) -> nw.LazyFrame:
    at, gap = nw.col("occurred_at"), nw.col("gap")
    age = known.as_of - at
    # The newest outcome window ends a latency before as_of, and every window before it a horizon earlier.
    latency, horizon = (
        now.definitions.label_latency_days * DAY_US,
        now.definitions.horizon_days * DAY_US,
    )
    return time_invariant.activity(known.activity, now).with_columns(
        is_last=nw.col("from_end") == 1,
        recent_gap=~gap.is_null() & (nw.col("from_end") <= 5),
        ten_gaps=~gap.is_null() & (nw.col("from_end") <= 10),
        gap_below_recency=~gap.is_null() & (gap < known.as_of - nw.col("last_at")),
        period=((age - 1) / now.definitions.base_gap_us).floor().cast(nw.Int64),
        in_periods=age <= 12 * now.definitions.base_gap_us,
        in_last_base_gap=age <= now.definitions.base_gap_us,
        outcome_closed=age > latency,
        outcome_window=((age - latency - 1) / horizon).floor().cast(nw.Int64),
    )
