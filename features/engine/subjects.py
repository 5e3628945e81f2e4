"""Pairs of a customer and an instant as customers of their own, so that one query builds them all.

Every pair gets a number, which stands in the place of the customer's id: its rows are those known
at the pair's instant, and `as_of` is a column instead of a number. The engine then evaluates the
expressions of `features.engine.build` once for all pairs.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.tables.history import History, Known, active_days

AS_OF = nw.col("as_of")

PAIR_COLUMNS = ("customer_id", "as_of")
# Joined rows that the engine holds at a time. A pair counts as so many rows more, for its columns.
ROWS_AT_ONCE, ROWS_OF_A_PAIR = 8_000_000, 50


def number_pairs(
    customers: pa.Array | pa.ChunkedArray, as_of: pa.Array | pa.ChunkedArray
) -> pa.Table:
    """The pairs (pairs,) as subjects: customer_id (the pair's number), named (the id), as_of."""
    numbers = pa.array(np.arange(len(customers)))
    return pa.table({"customer_id": numbers, "named": customers, "as_of": as_of})


def frame_from_arrow(history: History, table: pa.Table) -> nw.LazyFrame:
    """An Arrow table as a lazy frame of the history's engine."""
    return nw.from_native(history.connection.from_arrow(table))


@contextmanager
def join_to_subjects(history: History, subjects: pa.Table) -> Iterator[History]:
    """A history of subjects: each table joined to them, in a schema that is dropped afterwards."""
    schema, cursor = f"subjects_{uuid.uuid4().hex}", history.connection.cursor()
    source = history.schema or "main"
    cursor.execute(f"CREATE SCHEMA {schema}")

    def drop() -> None:
        cursor.execute(f"DROP SCHEMA {schema} CASCADE")
        cursor.close()

    try:
        cursor.register("incoming", subjects)
        cursor.execute(f"CREATE TABLE {schema}.subjects AS SELECT * FROM incoming")
        for name in (*history.names, *history.switched):
            cursor.execute(
                f"CREATE VIEW {schema}.{name} AS "
                "SELECT t.* REPLACE (s.customer_id AS customer_id), s.as_of "
                f"FROM {source}.{name} t JOIN {schema}.subjects s ON t.customer_id = s.named"
            )
        yield replace(history, connection=cursor, schema=schema, further=history.switched)
    # Not after an interrupt: an engine that was interrupted may never answer again.
    except Exception:
        drop()
        raise
    else:
        drop()


def known_at_subjects(joined: History) -> Known:
    """What was known at each subject's as_of."""
    tables = {name: joined.cut(name, AS_OF) for name in joined.names}
    active = active_days(joined.qualifying(tables[joined.activity_table]))
    # Grouping into days drops as_of, and every later step reads it.
    subjects = joined.table("subjects").select(*PAIR_COLUMNS)
    with_as_of = active.join(subjects, on="customer_id", how="left")
    further = {name: joined.cut(name, AS_OF) for name in joined.further}
    return Known(AS_OF, tables, lambda: joined.materialise(with_as_of), subjects, further=further)


def restore_ids(rows: pa.Table, first: int, ids: pa.Array, columns: Sequence[str]) -> pa.Table:
    """The `columns` of `rows` with customers' own ids; `ids` are those of `first` and onwards."""
    positions = pc.subtract(rows["customer_id"], first).combine_chunks()
    named = pa.chunked_array([ids.take(positions)], pa.string())
    place = rows.column_names.index("customer_id")
    return rows.set_column(place, "customer_id", named).select(list(columns))


def split_by_rows(
    positions: np.ndarray, rows: np.ndarray, *, instants: int = 1
) -> Iterator[np.ndarray]:
    """`positions` in parts of at most ROWS_AT_ONCE joined rows (one position alone may have more).

    `rows`: the rows of each position (positions,), which are joined at each of its `instants`.
    """
    number = np.cumsum((rows[positions] + ROWS_OF_A_PAIR) * instants) // ROWS_AT_ONCE
    parts = np.split(positions, np.flatnonzero(np.diff(number)) + 1)
    yield from (part for part in parts if len(part))
