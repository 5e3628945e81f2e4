"""Payments: purchases with a known method of payment, and whether the method changed."""

from __future__ import annotations

import narwhals as nw

from features.recipes.recipe import Now
from features.tables.history import Known


def rows(known: Known, now: Now) -> nw.LazyFrame:
    """customer_id, method_changed (False for the customer's first)."""
    method = nw.col("method")
    paid = known.tables["transactions"].filter((nw.col("kind") == "purchase") & ~method.is_null())
    # Purchases at one instant are ordered by method, so that the order of rows does not matter.
    before = method.shift(1).over("customer_id", order_by=("occurred_at", "method"))
    paid = paid.select("customer_id", "method", before=before)
    return paid.select(
        "customer_id", method_changed=~nw.col("before").is_null() & (nw.col("before") != method)
    )
