"""Transactions: money as integers, and which purchase is the last."""

from __future__ import annotations

import narwhals as nw

from features.recipes.recipe import Now
from features.recipes.rows import time_invariant
from features.tables.history import Known


def rows(known: Known, now: Now) -> nw.LazyFrame:
    """The transactions with amounts in whole currency units, and is_last_purchase."""
    amount, purchase = nw.col("amount"), nw.col("kind") == "purchase"
    # Squares of whole currency units in 128 bits are exact for every amount that the contract
    # allows.
    whole = (amount / now.definitions.minor_units).round().cast(nw.Int128)
    latest = nw.when(purchase).then(nw.col("occurred_at")).max().over("customer_id")
    return time_invariant.transactions(known.tables["transactions"], now).with_columns(
        amount_squared=whole * whole,
        amount_whole=whole,
        is_last_purchase=purchase & (nw.col("occurred_at") == latest),
    )
