"""Interactions: who began them, how much, and whether anything was bought since."""

from __future__ import annotations

import narwhals as nw

from features.history import Known
from features.recipe import Now


def rows(known: Known, now: Now) -> nw.LazyFrame:
    last = known.activity.filter(nw.col("from_end") == 1).select("customer_id", "last_at")
    rows = known.tables["interactions"].join(last, on="customer_id", how="left")
    by_customer = nw.col("kind") != "sent"
    return rows.with_columns(
        by_customer=by_customer,
        quantity_milli=(nw.col("quantity") * 1000).round().cast(nw.Int64),
        after_activity=by_customer & ~nw.col("last_at").is_null() & (nw.col("occurred_at") > nw.col("last_at")),
    )
