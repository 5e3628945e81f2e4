"""Channels: one row per customer and channel of the interactions the customer began, all time and by window."""

from __future__ import annotations

import narwhals as nw

from features.core.instants import DAY_US
from features.recipes.recipe import Now
from features.recipes.rows.shares import surprise
from features.tables.history import Known


def rows(known: Known, now: Now) -> nw.LazyFrame:
    """used; surprise; per window of W days near_W (used in it), and moved_W, near and earlier use crosswise."""
    at, windows = nw.col("occurred_at"), now.definitions.windows_days
    begun = known.tables["interactions"].filter(
        (nw.col("kind") != "sent") & ~nw.col("channel").is_null()
    )
    near = {
        f"near_{days}": nw.when(at >= now.as_of - days * DAY_US).then(at).count()
        for days in windows
    }
    used = begun.group_by("customer_id", "channel").agg(used=at.count(), **near)
    counts = ("used", *near)
    used = used.with_columns(
        **{
            f"all_{count}": nw.col(count).sum().over("customer_id").cast(nw.Int64)
            for count in counts
        }
    )
    return used.with_columns(
        surprise=surprise("used"), **{f"moved_{days}": _moved(f"near_{days}") for days in windows}
    )


def _moved(near: str) -> nw.Expr:
    """|near · all earlier − earlier · all near|: the difference of the two shares, times both totals, exactly."""
    # With earlier = used − near on both sides the products of near alone fall out.
    return (nw.col(near) * nw.col("all_used") - nw.col("used") * nw.col(f"all_{near}")).abs()
