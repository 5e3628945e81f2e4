"""What entropies are summed from: an integer per part of a whole."""

from __future__ import annotations

import narwhals as nw

from features.recipes.recipe import LOG_SCALE


def surprise(count: str) -> nw.Expr:
    """count · ln(the customer's total / count) in millionths; summed over the parts and over the total: nats."""
    total = nw.col(count).sum().over("customer_id").cast(nw.Int64)
    return nw.col(count) * ((total / nw.col(count)).log() * LOG_SCALE).round().cast(nw.Int64)
