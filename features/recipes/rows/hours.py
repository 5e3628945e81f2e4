"""Hours: one row per customer and hour of the week in which activity days began, on the business's clock."""

from __future__ import annotations

import narwhals as nw

from features.recipes.recipe import Now
from features.recipes.rows.shares import surprise
from features.tables.history import Known


def rows(known: Known, now: Now) -> nw.LazyFrame:
    """hour_of_week (0 … 167, from Monday), begun (how many activity days), surprise."""
    events = known.tables[now.definitions.activity_table]
    clock = events.group_by("customer_id", "occurred_at").agg(nw.col("local_hour").min())
    days = known.activity.select("customer_id", "occurred_at", "local_day")
    # Day 0, the first of January 1970, was a Thursday; in zones west of Greenwich day −1 occurs.
    cell = (nw.col("local_day") + 3) % 7 * 24 + nw.col("local_hour")
    days = days.join(clock, on=["customer_id", "occurred_at"], how="inner").with_columns(
        hour_of_week=cell
    )
    found = days.group_by("customer_id", "hour_of_week").agg(begun=nw.col("occurred_at").count())
    return found.with_columns(surprise=surprise("begun"))
