"""Columns that are the same at every instant at which the row is known.

They depend on the row alone, or on the customer's rows before it. `features.engine.running_totals`
sums them once for many instants. Feedback has none, because an answer is added to its row later.
"""

from __future__ import annotations

from collections.abc import Callable

import narwhals as nw

from features.core.instants import MINUTE_US
from features.recipes.recipe import LOG_SCALE, Now


def activity(rows: nw.LazyFrame, now: Now) -> nw.LazyFrame:
    """The rows with gaps in minutes, their squares and logs (in millionths), is_acquisition."""
    gap = nw.col("gap")
    minutes = (gap / MINUTE_US).floor().cast(nw.Int64)
    # Two activities are on different days but can be seconds apart: a gap counts at least one
    # minute.
    minutes = nw.when(minutes >= 1).then(minutes).otherwise(nw.when(~gap.is_null()).then(nw.lit(1)))
    rows = rows.with_columns(
        gap_minutes=minutes,
        has_gap=~gap.is_null(),
        is_acquisition=nw.col("position")
        == (1 if now.definitions.acquired == "first_activity" else 2),
        occurred_minutes=(nw.col("occurred_at") / MINUTE_US).floor().cast(nw.Int64),
    )
    return rows.with_columns(
        gap_minutes_squared=nw.col("gap_minutes") * nw.col("gap_minutes"),
        gap_log=(nw.col("gap_minutes").cast(nw.Float64).log() * LOG_SCALE).round().cast(nw.Int64),
    )


def transactions(rows: nw.LazyFrame, now: Now) -> nw.LazyFrame:
    """The rows with amount_minor, spent_minor (0 for other rows than purchases), discount_minor."""
    amount, purchase = nw.col("amount"), nw.col("kind") == "purchase"
    return rows.with_columns(
        amount_minor=amount,
        spent_minor=nw.when(purchase & (amount > 0)).then(amount).otherwise(nw.lit(0)),
        discount_minor=nw.col("discount"),
    )


def interactions(rows: nw.LazyFrame, now: Now) -> nw.LazyFrame:
    """The rows with by_customer (the customer began it) and quantity_milli (thousandths)."""
    return rows.with_columns(
        by_customer=nw.col("kind") != "sent",
        quantity_milli=(nw.col("quantity") * 1000).round().cast(nw.Int64),
    )


# By table: the function that adds the columns, and their names.
TIME_INVARIANT: dict[str, tuple[Callable[[nw.LazyFrame, Now], nw.LazyFrame], set[str]]] = {
    "activity": (
        activity,
        {
            "has_gap",
            "gap_minutes",
            "gap_minutes_squared",
            "gap_log",
            "is_acquisition",
            "occurred_minutes",
        },
    ),
    "transactions": (transactions, {"amount_minor", "spent_minor", "discount_minor"}),
    "interactions": (interactions, {"by_customer", "quantity_milli"}),
    "feedback": (lambda rows, now: rows, set()),
}
