"""Targets of the simulated businesses, for tests."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from features.core.contract import ALL_TABLES
from features.core.settings import Settings
from features.core.target_schema import Target
from features.labels.outcome_window import OutcomeWindow

# The label of churn, written as a target: who has no activity in the window.
GONE = (
    "SELECT customer_id FROM customers WHERE customer_id NOT IN "
    "(SELECT customer_id FROM window WHERE kind = 'purchase')"
)
SPENDS = (
    "SELECT customer_id FROM window WHERE kind = 'purchase' "
    "GROUP BY customer_id HAVING sum(amount) > 60"
)
# Nobody's features can tell: heads or tails, another toss at every date.
COIN = (
    "SELECT customer_id FROM customers WHERE "
    "hash(customer_id || (SELECT CAST(max(local_day) AS VARCHAR) FROM window)) % 2 = 0"
)
NOBODY = "SELECT customer_id FROM window WHERE amount > 1e6"
COMPLAINS = "SELECT customer_id FROM window.feedback WHERE kind = 'complaint'"
SPEND = (
    "SELECT customer_id, sum(amount) AS amount FROM window.transactions "
    "WHERE kind = 'purchase' GROUP BY customer_id"
)
SAME = "SELECT customer_id, 5 AS amount FROM customers"
# One target of each status, and one of the eligible alone.
OF_EVERY_KIND: dict[str, str | Target] = {
    "gone": GONE,
    "coin": COIN,
    "nobody": NOBODY,
    "complains": Target(label=COMPLAINS),
    "spend": Target(amount=SPEND, population="everyone"),
    "same": Target(amount=SAME),
}


def with_targets(settings: Settings, **labels: str | Target) -> Settings:
    """The settings with these targets; a text is the SELECT of one among everyone."""
    targets = {
        name: label if isinstance(label, Target) else Target(label=label, population="everyone")
        for name, label in labels.items()
    }
    return settings.model_copy(update={"targets": targets})


def scramble_outside(
    tables: dict[str, pa.Table], window: OutcomeWindow, *, amount: int
) -> dict[str, pa.Table]:
    """The tables with other values in every row that did not happen in the window.

    Rows of the window that were recorded too late for the label change too; ids and clocks stay.
    """
    return {
        name: _scramble(name, table, window, amount) if name != "customers" else table
        for name, table in tables.items()
    }


def _scramble(name: str, table: pa.Table, window: OutcomeWindow, amount: int) -> pa.Table:
    happened = table[ALL_TABLES[name].happened_at]
    inside = pc.and_(
        pc.and_(pc.greater_equal(happened, window.begin), pc.less(happened, window.end)),
        pc.less(table["recorded_at"], window.known_until),
    )
    for column in ("amount", "price", "quantity", "category", "plan", "topic", "score"):
        if column in table.column_names:
            kind = table.schema.field(column).type
            other = pa.scalar(f"other {amount}" if pa.types.is_string(kind) else amount, kind)
            values = pc.if_else(inside, table[column], other)
            table = table.set_column(table.column_names.index(column), column, values)
    return table
