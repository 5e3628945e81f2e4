"""Interactions: who began them, visits and sessions, changes of channel, what came after what."""

from __future__ import annotations

import narwhals as nw

from features.core.instants import DAY_US, HOUR_US, MINUTE_US
from features.recipes.recipe import Now
from features.recipes.rows import time_invariant
from features.tables.history import Known

# What a customer does on the pages or in the product. Calls and answers to messages are not visits.
VISITS = ("visit", "login", "usage", "cancel_page", "downgrade_page")
BREAK_MINUTES = 30
HOP_HOURS, COMPLAINT_DAYS = 24, 7
_ORDER = {"order_by": ["occurred_at", "channel"]}


def rows(known: Known, now: Now) -> nw.LazyFrame:
    """The interactions with flags for visits, sessions and changes of channel.

    placed: begun by the customer, on a known channel. after_activity: begun after the last
    activity. after_complaint: see `_after_complaint`; missing without a table of feedback.
    """
    at, by_customer = nw.col("occurred_at"), nw.col("by_customer")
    last = known.activity.filter(nw.col("from_end") == 1).select("customer_id", "last_at")
    rows = time_invariant.interactions(known.tables["interactions"], now).join(
        last, on="customer_id", how="left"
    )
    # Each with_columns is a pass over the rows, which costs a request time: so there are few of
    # them.
    flags = {
        "visit": nw.col("kind").is_in(list(VISITS)),
        "placed": by_customer & ~nw.col("channel").is_null(),
        "after_activity": by_customer & ~nw.col("last_at").is_null() & (at > nw.col("last_at")),
    }
    if "feedback" in known.tables:
        rows = rows.join(_complained(known), on="customer_id", how="left")
        flags["after_complaint"] = _after_complaint()
    rows = rows.with_columns(**flags)
    return _hops(rows.with_columns(idle=_idle(), left_at=_left_at()))


def _idle() -> nw.Expr:
    """The time since the visit before, in µs."""
    at = nw.col("occurred_at")
    return at - at.shift(1).over("customer_id", "visit", order_by="occurred_at")


def _left_at() -> nw.Expr:
    """The instant of the interaction before a change of channel; −1 without a change."""
    at, channel = nw.col("occurred_at"), nw.col("channel")
    changed = channel != channel.shift(1).over("customer_id", "placed", **_ORDER)
    before = at.shift(1).over("customer_id", "placed", **_ORDER)
    # −1 and not null, because a running maximum is null where its value is. No instant is before
    # 1970.
    return nw.when(changed).then(before).otherwise(nw.lit(-1))


def _hops(rows: nw.LazyFrame) -> nw.LazyFrame:
    """The rows with begins_session, stayed_us and hop.

    begins_session: a visit without another in the 30 minutes before. stayed_us: the time since the
    visit before, within a session. hop: the customer used another channel within the 24 hours
    before.
    """
    at, visit, idle = nw.col("occurred_at"), nw.col("visit"), nw.col("idle")
    begins = idle.is_null() | (idle > BREAK_MINUTES * MINUTE_US)
    rows = rows.with_columns(
        # Of rows with equal instant and channel, any one may be the change: it counts for all of
        # them.
        left_at=nw.col("left_at").max().over("customer_id", "placed", "occurred_at", "channel"),
        begins_session=visit & begins,
        stayed_us=nw.when(visit & ~begins).then(idle),
    )
    # After the last change every interaction was on this channel, so the one before it is the
    # newest elsewhere.
    elsewhere_at = nw.col("left_at").cum_max().over("customer_id", "placed", **_ORDER)
    near = at - nw.col("elsewhere_at") <= HOP_HOURS * HOUR_US
    rows = rows.with_columns(elsewhere_at=elsewhere_at)
    return rows.with_columns(hop=nw.col("placed") & (nw.col("elsewhere_at") >= 0) & near)


def _complained(known: Known) -> nw.LazyFrame:
    complaints = known.tables["feedback"].filter(nw.col("kind") == "complaint")
    return complaints.group_by("customer_id").agg(complained_at=nw.col("occurred_at").max())


def _after_complaint() -> nw.Expr:
    """Begun by the customer within 7 days after their last complaint."""
    since = nw.col("occurred_at") - nw.col("complained_at")
    near = (since >= 0) & (since < COMPLAINT_DAYS * DAY_US)
    return nw.col("by_customer") & ~nw.col("complained_at").is_null() & near
