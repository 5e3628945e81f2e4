"""Channels: one row per customer and channel of the interactions that the customer began."""

from __future__ import annotations

import narwhals as nw

from features.core.instants import DAY_US
from features.recipes.recipe import Now
from features.recipes.rows.shares import entropy_term
from features.tables.history import Known


def rows(known: Known, now: Now) -> nw.LazyFrame:
    """customer_id, channel, used, entropy_term; and per window of W days near_W and moved_W.

    used: interactions over all time. near_W: those in the last W days. moved_W: see `_moved`.
    """
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
        entropy_term=entropy_term("used"),
        **{f"moved_{days}": _moved(f"near_{days}") for days in windows},
    )


def _moved(near: str) -> nw.Expr:
    """Difference of the channel's shares of recent and earlier use, times both totals.

    |near · all earlier − earlier · all near|: a whole number, so the sum over channels is exact.
    """
    # earlier = used − near on both sides, so near · all near cancels.
    return (nw.col(near) * nw.col("all_used") - nw.col("used") * nw.col(f"all_{near}")).abs()
