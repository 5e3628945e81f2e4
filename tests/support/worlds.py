"""Other worlds for one history, for tests: those of the audit, and one more."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from features.audit.perturbations import (
    keep_customer,
    read_tables,
    rebuild_history,
    scramble_future,
    shuffle_rows,
    truncate_history,
)
from features.core.contract import EVENT_TABLES
from features.core.instants import DAY_US, HOUR_US

__all__ = [
    "keep_customer",
    "read_tables",
    "rebuild_history",
    "scramble_future",
    "shuffle_rows",
    "tied",
    "truncate_history",
]


def tied(tables: dict[str, pa.Table], every: int = 20 * DAY_US) -> dict[str, pa.Table]:
    """Events happen at few instants: many rows of a customer share theirs."""
    out = dict(tables)
    for name in set(tables) & set(EVENT_TABLES):
        table = tables[name]
        at = pc.multiply(pc.divide(table["occurred_at"], every), every)
        day = pc.divide(at, DAY_US)
        hour = pc.divide(pc.subtract(at, pc.multiply(day, DAY_US)), HOUR_US)
        for column, values in (("occurred_at", at), ("local_day", day), ("local_hour", hour)):
            kind = table.schema.field(column)
            table = table.set_column(table.column_names.index(column), kind, values.cast(kind.type))
        out[name] = table
    return out
