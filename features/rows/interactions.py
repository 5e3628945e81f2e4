"""Interactions: who began them, visits and their sessions, hops between channels, what lies after what."""

from __future__ import annotations

import narwhals as nw

from features.catalogue.channels import COMPLAINT_DAYS, HOP_HOURS
from features.catalogue.sessions import BREAK_MINUTES, VISITS
from features.history import Known
from features.recipe import MINUTE_US, Now
from features.rows import lasting
from features.settings import DAY_US, HOUR_US


def rows(known: Known, now: Now) -> nw.LazyFrame:
    at, by_customer = nw.col("occurred_at"), nw.col("by_customer")
    last = known.activity.filter(nw.col("from_end") == 1).select("customer_id", "last_at")
    rows = lasting.interactions(known.tables["interactions"], now).join(last, on="customer_id", how="left")
    rows = rows.with_columns(
        visit=nw.col("kind").is_in(list(VISITS)),
        placed=by_customer & ~nw.col("channel").is_null(),
        after_activity=by_customer & ~nw.col("last_at").is_null() & (at > nw.col("last_at")),
    )
    return _complained(_hops(_sessions(rows)), known)


def _sessions(rows: nw.LazyFrame) -> nw.LazyFrame:
    """begins_session: no visit within the 30 minutes before; stayed_us: the time since the visit before, within one."""
    at, visit = nw.col("occurred_at"), nw.col("visit")
    before = at.shift(1).over("customer_id", "visit", order_by="occurred_at")
    rows = rows.with_columns(idle=at - before)
    begins = nw.col("idle").is_null() | (nw.col("idle") > BREAK_MINUTES * MINUTE_US)
    return rows.with_columns(begins_session=visit & begins, stayed_us=nw.when(visit & ~begins).then(nw.col("idle")))


def _hops(rows: nw.LazyFrame) -> nw.LazyFrame:
    """hop: an interaction on another channel lies within the 24 hours before (of equal instants by channel)."""
    at, channel = nw.col("occurred_at"), nw.col("channel")
    order = {"order_by": ["occurred_at", "channel"]}
    changed = channel != channel.shift(1).over("customer_id", "placed", **order)
    before = at.shift(1).over("customer_id", "placed", **order)
    # Since the last change of channel everything was on this one: what lies before it is the newest on another.
    # −1 stands for none: no instant is before 1970, and a running maximum is empty where its value is.
    rows = rows.with_columns(left_at=nw.when(changed).then(before).otherwise(nw.lit(-1)))
    # Rows alike in instant and channel come in any order, and only one of them is the change: it counts for all.
    rows = rows.with_columns(left_at=nw.col("left_at").max().over("customer_id", "placed", "occurred_at", "channel"))
    rows = rows.with_columns(elsewhere_at=nw.col("left_at").cum_max().over("customer_id", "placed", **order))
    near = at - nw.col("elsewhere_at") <= HOP_HOURS * HOUR_US
    return rows.with_columns(hop=nw.col("placed") & (nw.col("elsewhere_at") >= 0) & near)


def _complained(rows: nw.LazyFrame, known: Known) -> nw.LazyFrame:
    """after_complaint: begun within the 7 days from the customer's last complaint on."""
    if "feedback" not in known.tables:
        return rows
    complaints = known.tables["feedback"].filter(nw.col("kind") == "complaint")
    last = complaints.group_by("customer_id").agg(complained_at=nw.col("occurred_at").max())
    rows = rows.join(last, on="customer_id", how="left")
    since = nw.col("occurred_at") - nw.col("complained_at")
    near = (since >= 0) & (since < COMPLAINT_DAYS * DAY_US)
    return rows.with_columns(after_complaint=nw.col("by_customer") & ~nw.col("complained_at").is_null() & near)
