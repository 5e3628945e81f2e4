"""Activity: one row per customer and day with activity: its gap, period and past outcome window."""

from __future__ import annotations

import narwhals as nw

from features.core.instants import DAY_US
from features.recipes.recipe import Now
from features.recipes.rows import time_invariant
from features.tables.history import Known


def rows(known: Known, now: Now) -> nw.LazyFrame:
    """The activity with its gaps, and the period and outcome window of each day.

    period: how many population mean gaps ago, from 0. outcome_window: which past window of the
    horizon's length, from 0, the newest whose outcome is known.
    """
    at, gap = nw.col("occurred_at"), nw.col("gap")
    age = known.as_of - at
    # The newest outcome window ends one label latency before as_of; each earlier one ends a horizon
    # earlier.
    latency = now.definitions.label_latency_days * DAY_US
    horizon = now.definitions.horizon_days * DAY_US
    mean_gap = now.definitions.population_mean_gap_us
    return time_invariant.activity(known.activity, now).with_columns(
        is_last=nw.col("from_end") == 1,
        recent_gap=~gap.is_null() & (nw.col("from_end") <= 5),
        ten_gaps=~gap.is_null() & (nw.col("from_end") <= 10),
        gap_below_recency=~gap.is_null() & (gap < known.as_of - nw.col("last_at")),
        period=((age - 1) / mean_gap).floor().cast(nw.Int64),
        in_periods=age <= 12 * mean_gap,
        in_last_mean_gap=age <= mean_gap,
        outcome_closed=age > latency,
        outcome_window=((age - latency - 1) / horizon).floor().cast(nw.Int64),
    )
