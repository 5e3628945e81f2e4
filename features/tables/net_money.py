"""Money of a row of transactions: what was paid, less what was given back."""

from __future__ import annotations

import narwhals as nw


def moves_money() -> nw.Expr:
    """Whether a row is money at all: failed payments and withdrawn rows are not."""
    return nw.col("kind").is_in(["purchase", "refund"])


def net_amount() -> nw.Expr:
    """The money of a row that moves some: of a refund, or an amount below 0, minus its size."""
    amount = nw.col("amount")
    given_back = (nw.col("kind") == "refund") | (amount < 0)
    return nw.when(given_back).then(0 - amount.abs()).otherwise(amount)
