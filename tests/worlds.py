"""Other worlds for one history: the same rows scrambled, cut, shuffled, or of one customer alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.contract import CONTRACT
from features.history import History
from features.sources import connect


def tables_of(history: History) -> dict[str, pa.Table]:
    return {name: history.connection.table(name).to_arrow_table() for name in history.names}


def rebuilt(history: History, tables: dict[str, pa.Table], *, threads: int = 1) -> History:
    """The same History over other tables, in an engine of its own."""
    connection = connect(memory="1GB", threads=threads)
    for name, table in tables.items():
        connection.register("incoming", table)
        connection.execute(f"CREATE TABLE {name} AS SELECT * FROM incoming")
        connection.unregister("incoming")
    return dataclasses.replace(history, connection=connection)


def shuffled(tables: dict[str, pa.Table], seed: int = 3) -> dict[str, pa.Table]:
    rng = np.random.default_rng(seed)
    return {name: table.take(pa.array(rng.permutation(table.num_rows))) for name, table in tables.items()}


def only(tables: dict[str, pa.Table], customer: str) -> dict[str, pa.Table]:
    return {name: table.filter(pc.equal(table["customer_id"], customer)) for name, table in tables.items()}


def truncated(tables: dict[str, pa.Table], at: int) -> dict[str, pa.Table]:
    """Only what was recorded before `at`, cells that became known later taken out."""
    return {
        name: _cells(name, _past(name, table, at), at, lambda column: pa.nulls(len(column), column.type))
        for name, table in tables.items()
    }


def scrambled(tables: dict[str, pa.Table], at: int, seed: int = 5) -> dict[str, pa.Table]:
    """Every row and cell that became known at or after `at` says something else; all of it still lies there."""
    rng = np.random.default_rng(seed)
    out = {}
    for name, table in tables.items():
        past, future = _past(name, table, at), _future(name, table, at)
        noise = {
            column: pc.take(future[column], pa.array(rng.permutation(future.num_rows)))
            for column in future.column_names if column not in ("recorded_at", "occurred_at", "starts_at", "acquired_at", "valid_from")
        }  # fmt: skip
        for column, values in noise.items():
            future = future.set_column(future.column_names.index(column), column, values)
        past = _cells(
            name, past, at, lambda column: pc.add(column, 7_000_000) if pa.types.is_integer(column.type) else column
        )
        out[name] = pa.concat_tables([future, past])
    return out


def _past(name: str, table: pa.Table, at: int) -> pa.Table:
    return table.filter(_is_past(name, table, at))


def _future(name: str, table: pa.Table, at: int) -> pa.Table:
    return table.filter(pc.invert(_is_past(name, table, at)))


def _is_past(name: str, table: pa.Table, at: int) -> pa.ChunkedArray:
    if name == "customers":
        return pc.fill_null(pc.less(pc.coalesce(table["valid_from"], table["acquired_at"]), at), False)
    known = pc.less(table["recorded_at"], at)
    return known if name == "contracts" else pc.and_(known, pc.less(table["occurred_at"], at))


def _cells(name: str, table: pa.Table, at: int, change) -> pa.Table:
    """Change the cells whose own instant lies at or after `at`."""
    for column in CONTRACT[name].columns:
        if column.known_at:
            later = pc.fill_null(pc.greater_equal(table[column.known_at], at), False)
            values = pc.if_else(later, change(table[column.name]), table[column.name])
            table = table.set_column(table.column_names.index(column.name), column.name, values)
    return table
