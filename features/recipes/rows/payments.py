"""Purchases of which the method of payment is known, and whether it is another than the time before."""

from __future__ import annotations

import narwhals as nw

from features.recipes.recipe import Now
from features.tables.history import Known


def rows(known: Known, now: Now) -> nw.LazyFrame:
    method = nw.col("method")
    told = known.tables["transactions"].filter((nw.col("kind") == "purchase") & ~method.is_null())
    # Of purchases at one instant the order of their methods decides: rows have no order.
    before = method.shift(1).over("customer_id", order_by=("occurred_at", "method"))
    told = told.select("customer_id", "method", before=before)
    return told.select(
        "customer_id", method_changed=~nw.col("before").is_null() & (nw.col("before") != method)
    )
