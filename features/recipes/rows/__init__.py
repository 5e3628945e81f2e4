"""The integer columns and flags of rows that reductions read; one file per table.

Each is defined once, whichever engine runs it. Values that are not integers become integers here,
so that sums are exact.
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
    treatments,
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
    "treatments": treatments.rows,
}


def prepare_rows(known: Known, now: Now, table: str) -> nw.LazyFrame:
    """The rows of one known table with the columns that `Reduction.value` and `.where` may name."""
    return BUILDERS[table](known, now)
