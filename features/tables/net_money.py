"""Money of a row of transactions: what was paid, less what was given back."""

from __future__ import annotations

import narwhals as nw


def moves_money() -> nw.Expr:
    """Whether a row is money at all: failed payments and withdrawn rows are not."""
    return nw.col("kind").is_in(["purchase", "refund"])


def net_amount() -> nw.Expr:
    """The money of a row that moves some: of a refund, or an amount below 0, minus its size."""
    return _less_if_given_back("amount")


def net_margin() -> nw.Expr:
    """What is left of that money, by the same sign; null where the margin is not known."""
    return _less_if_given_back("margin")


def _less_if_given_back(name: str) -> nw.Expr:
    money = nw.col(name)
    given_back = (nw.col("kind") == "refund") | (nw.col("amount") < 0)
    return nw.when(given_back).then(0 - money.abs()).otherwise(money)
