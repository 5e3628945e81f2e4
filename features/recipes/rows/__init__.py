"""The integer columns and flags that reductions read: one definition per row, whatever the engine.

Everything a row says that is not already an integer becomes one here, so that sums are exact. One file a table.
"""

from __future__ import annotations

import narwhals as nw

from features.recipes.recipe import Now
from features.recipes.rows import (
    activity,
    categories,
    channels,
    contracts,
    customers,
    feedback,
    gap_pairs,
    hours,
    interactions,
    payments,
    transactions,
)
from features.tables.history import Known

BUILDERS = {
    "activity": activity.rows,
    "transactions": transactions.rows,
    "interactions": interactions.rows,
    "feedback": feedback.rows,
    "contracts": contracts.rows,
    "customers": customers.rows,
    "gap_pairs": gap_pairs.rows,
    "payments": payments.rows,
    "channels": channels.rows,
    "categories": categories.rows,
    "hours": hours.rows,
}


def prepared(known: Known, now: Now, table: str) -> nw.LazyFrame:
    """The rows of one known table with the columns `Reduction.value` and `Reduction.where` may name."""
    return BUILDERS[table](known, now)
