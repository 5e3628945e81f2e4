"""The terms of an entropy: one integer per part of a whole, so that their sum is exact."""

from __future__ import annotations

import narwhals as nw

from features.recipes.recipe import LOG_SCALE


def entropy_term(count: str) -> nw.Expr:
    """count · ln(the customer's total / count), in millionths.

    Their sum over the customer's parts, divided by the total, is the entropy in nats (Shannon
    1948).
    """
    total = nw.col(count).sum().over("customer_id").cast(nw.Int64)
    return nw.col(count) * ((total / nw.col(count)).log() * LOG_SCALE).round().cast(nw.Int64)
