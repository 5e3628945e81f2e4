"""Other worlds for one history: the same rows cut, scrambled, delivered late or twice, shuffled, renamed, or alone.

Every function takes and gives typed contract tables (Arrow, by name) and touches nothing else. What was known before
`at` is the same in each of them, so whatever is said of it must be the same too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.core.contract import CONTRACT, EVENT_TABLES
from features.core.instants import DAY_US
from features.tables.history import History
from features.tables.sources import connect

Tables = dict[str, pa.Table]
LOCAL = ("local_day", "local_hour")
CLOCKS = ("recorded_at", "occurred_at", "starts_at", "acquired_at", "valid_from", *LOCAL)
LATER_US = 7_000_000
YEAR_OF_WEEKS = 364  # days: every weekday stays itself, every date becomes another


def tables_of(history: History) -> Tables:
    return {name: history.connection.table(name).to_arrow_table() for name in history.names}


def rebuilt(history: History, tables: Tables, *, threads: int = 1, memory: str = "1GB") -> History:
    """The same History over other tables, in an engine of its own."""
    connection = connect(memory=memory, threads=threads)
    for name, table in tables.items():
        connection.register("incoming", table)
        connection.execute(f"CREATE TABLE {name} AS SELECT * FROM incoming")
        connection.unregister("incoming")
    return dataclasses.replace(history, connection=connection)


def shuffled(tables: Tables, seed: int = 3) -> Tables:
    rng = np.random.default_rng(seed)
    return {
        name: table.take(pa.array(rng.permutation(table.num_rows)))
        for name, table in tables.items()
    }


def only(tables: Tables, customer: str) -> Tables:
    return {
        name: table.filter(pc.equal(table["customer_id"], customer))
        for name, table in tables.items()
    }


def some(tables: Tables, customers: pa.Array) -> Tables:
    return {
        name: table.filter(pc.is_in(table["customer_id"], value_set=customers))
        for name, table in tables.items()
    }


def truncated(tables: Tables, at: int) -> Tables:
    """Only what was recorded before `at`, cells that became known later taken out."""
    return {
        name: _cells(
            name, _past(name, table, at), at, lambda column: pa.nulls(len(column), column.type)
        )
        for name, table in tables.items()
    }


def scrambled(tables: Tables, at: int, seed: int = 5) -> Tables:
    """Every row and cell that became known at or after `at` says something else; all of it still lies there."""
    rng = np.random.default_rng(seed)
    out = {}
    for name, table in tables.items():
        past, future = _past(name, table, at), _future(name, table, at)
        for column in future.column_names:
            if column not in CLOCKS:
                future = _with(
                    future,
                    column,
                    pc.take(future[column], pa.array(rng.permutation(future.num_rows))),
                )
        out[name] = pa.concat_tables([future, _cells(name, past, at, _other)])
    return out


def at_the_instant(tables: Tables, at: int, seed: int = 17) -> Tables:
    """Known rows once more, lying exactly at `at`; and what was not answered, closed or cancelled is, exactly then."""
    rng = np.random.default_rng(seed)
    out = {}
    for name, table in tables.items():
        extra = _past(name, table, at)
        for column in extra.column_names:
            if column in CLOCKS and column not in LOCAL:
                extra = _constant(extra, column, at)
            elif (
                name == "customers" and column != "customer_id"
            ):  # a version that says something else from now on
                extra = _with(
                    extra, column, pc.take(extra[column], pa.array(rng.permutation(extra.num_rows)))
                )
        out[name] = pa.concat_tables([_filled_at(name, table, at), _newly_named(name, extra, "at")])
    return out


def late(tables: Tables, at: int, seed: int = 11) -> Tables:
    """Known rows once more, with other values: they happened before `at` and were recorded at it or after it.

    Half of the rows with an id come as corrections of that id, the others as rows of their own.
    """
    rng = np.random.default_rng(seed)
    out = dict(tables)
    for name, table in tables.items():
        if "recorded_at" not in table.column_names:
            continue
        extra = _past(name, table, at)
        count = extra.num_rows
        for column in extra.column_names:
            if column not in (*CLOCKS, "customer_id", "transaction_id", "ends_at"):
                extra = _with(
                    extra, column, pc.take(extra[column], pa.array(rng.permutation(count)))
                )
        recorded = at + rng.integers(0, 30 * DAY_US, count)
        extra = _with(extra, "recorded_at", pa.chunked_array([pa.array(recorded, pa.int64())]))
        own = pa.concat_tables(
            [extra.slice(0, count // 2), _newly_named(name, extra.slice(count // 2), "late")]
        )
        out[name] = pa.concat_tables([own, table])
    return out


def renamed(tables: Tables, number: int = 0, seed: int = 13) -> tuple[Tables, dict[str, str]]:
    """Every customer and row is called otherwise (one to one, in another order); and the old name of each new one.

    Other `number`s give other names.
    """
    names = sorted(
        {name for table in tables.values() for name in table["customer_id"].unique().to_pylist()}
    )
    places = np.random.default_rng([seed, number]).permutation(len(names))
    new = pa.array([str(10**9 * (number + 1) + int(place)) for place in places], pa.string())
    out = {}
    for name, table in tables.items():
        called = pc.take(new, pc.index_in(table["customer_id"], pa.array(names, pa.string())))
        out[name] = _newly_named(name, _with(table, "customer_id", called), f"row{number}")
    return out, dict(zip(new.to_pylist(), names, strict=True))


def stacked(several: list[Tables], seed: int = 19) -> tuple[Tables, list[dict[str, str]]]:
    """Many worlds in one, in one shuffled order: customers of each are called otherwise; and their old names by world."""
    parts = [renamed(tables, number) for number, tables in enumerate(several)]
    joined = {name: pa.concat_tables([tables[name] for tables, _ in parts]) for name in several[0]}
    return shuffled(joined, seed), [old for _, old in parts]


def loaded_otherwise(tables: Tables, at: int) -> Tables:
    """Known events recorded at other times: all before `at`, in the same order."""
    out = dict(tables)
    for name in set(tables) & set(EVENT_TABLES):
        was = tables[name]["recorded_at"]
        moved = pc.subtract(pc.multiply(was, 2), at)
        out[name] = _with(tables[name], "recorded_at", pc.if_else(pc.less(was, at), moved, was))
    return out


def moved(tables: Tables, days: int = YEAR_OF_WEEKS) -> Tables:
    """Everything happened `days` (whole weeks) later."""
    out = {}
    for name, table in tables.items():
        for column in CONTRACT[name].columns:
            if column.type == "instant" and column.name in table.column_names:
                table = _with(table, column.name, pc.add(table[column.name], days * DAY_US))
        if "local_day" in table.column_names:
            table = _with(table, "local_day", pc.add(table["local_day"], days).cast(pa.int32()))
        out[name] = table
    return out


def _past(name: str, table: pa.Table, at: int) -> pa.Table:
    return table.filter(_is_past(name, table, at))


def _future(name: str, table: pa.Table, at: int) -> pa.Table:
    return table.filter(pc.invert(_is_past(name, table, at)))


def _is_past(name: str, table: pa.Table, at: int) -> pa.ChunkedArray:
    """Rows with both clocks before `at`. A customer without a date is declared constant: known at any time."""
    if name == "customers":
        return pc.fill_null(
            pc.less(pc.coalesce(table["valid_from"], table["acquired_at"]), at), True
        )
    known = pc.less(table["recorded_at"], at)
    return known if name == "contracts" else pc.and_(known, pc.less(table["occurred_at"], at))


def _cells(name: str, table: pa.Table, at: int, change: Callable) -> pa.Table:
    """Change the cells whose own instant lies at or after `at`."""
    found = table
    for column in CONTRACT[name].columns:
        if column.known_at:
            later = pc.fill_null(pc.greater_equal(table[column.known_at], at), False)
            found = _with(
                found,
                column.name,
                pc.if_else(later, change(table[column.name]), table[column.name]),
            )
    return found


def _filled_at(name: str, table: pa.Table, at: int) -> pa.Table:
    """Empty cells that wait for an instant get a value, known exactly at `at`."""
    clocks = {column.known_at for column in CONTRACT[name].columns if column.known_at}
    found = table
    for clock in sorted(clocks):
        waits = table[clock].is_null()
        for column in CONTRACT[name].columns:
            if column.known_at == clock:
                value = at if column.name == clock else 1.0
                filled = pa.scalar(value, table[column.name].type)
                found = _with(found, column.name, pc.if_else(waits, filled, table[column.name]))
    return found


def _other(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_integer(column.type):
        return pc.add(column, LATER_US)
    return pc.add(column, 0.5) if pa.types.is_floating(column.type) else column


def _newly_named(name: str, table: pa.Table, prefix: str) -> pa.Table:
    """Ids of rows (not of customers) get a prefix: they are rows of their own."""
    for column in CONTRACT[name].columns:
        if (
            column.type == "id"
            and column.name != "customer_id"
            and column.name in table.column_names
        ):
            joined = pc.binary_join_element_wise(pa.scalar(prefix), table[column.name], "-")
            table = _with(table, column.name, joined)
    return table


def _constant(table: pa.Table, column: str, value: object) -> pa.Table:
    kind = table.schema.field(column).type
    return _with(
        table, column, pa.chunked_array([pa.array([value] * table.num_rows, kind)], type=kind)
    )


def _with(table: pa.Table, column: str, values: pa.ChunkedArray | pa.Array) -> pa.Table:
    return table.set_column(table.column_names.index(column), table.schema.field(column), values)
