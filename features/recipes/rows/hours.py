"""Hours: one row per customer and local hour of the week in which days with activity began."""

from __future__ import annotations

import narwhals as nw

from features.recipes.recipe import Now
from features.recipes.rows.shares import entropy_term
from features.tables.history import Known


def rows(known: Known, now: Now) -> nw.LazyFrame:
    """customer_id, hour_of_week (0 … 167, Monday 0:00 is 0), begun (days), entropy_term."""
    events = known.tables[now.definitions.activity_table]
    clock = events.group_by("customer_id", "occurred_at").agg(nw.col("local_hour").min())
    days = known.activity.select("customer_id", "occurred_at", "local_day")
    # Day 0, 1 January 1970, was a Thursday. Day −1 occurs in zones west of Greenwich.
    hour_of_week = (nw.col("local_day") + 3) % 7 * 24 + nw.col("local_hour")
    days = days.join(clock, on=["customer_id", "occurred_at"], how="inner").with_columns(
        hour_of_week=hour_of_week
    )
    hours = days.group_by("customer_id", "hour_of_week").agg(begun=nw.col("occurred_at").count())
    return hours.with_columns(entropy_term=entropy_term("begun"))
