"""The integer columns and flags that reductions read: one definition per row, whatever the engine.

Everything a row says that is not already an integer becomes one here, so that sums are exact. One file a table.
"""

from __future__ import annotations

import narwhals as nw

from features.history import Known
from features.recipe import Now
from features.rows import activity, contracts, feedback, interactions, transactions

BUILDERS = {
    "activity": activity.rows,
    "transactions": transactions.rows,
    "interactions": interactions.rows,
    "feedback": feedback.rows,
    "contracts": contracts.rows,
}


def prepared(known: Known, now: Now, table: str) -> nw.LazyFrame:
    """The rows of one known table with the columns `Reduction.value` and `Reduction.where` may name."""
    return BUILDERS[table](known, now)
