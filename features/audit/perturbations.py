"""Perturbations of a history's tables that leave unchanged what was known before an instant.

Rows are cut, scrambled, delivered late or twice, shuffled, renamed or removed. Every function
takes and returns typed contract tables (Arrow, by name) and changes nothing in place.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.core.contract import ALL_TABLES, EVENT_TABLES
from features.core.instants import DAY_US
from features.tables.history import History
from features.tables.sources import connect

Tables = dict[str, pa.Table]
LOCAL = ("local_day", "local_hour")
CLOCKS = ("recorded_at", "occurred_at", "starts_at", "acquired_at", "valid_from", *LOCAL)
LATER_US = 7_000_000
YEAR_OF_WEEKS = 364  # days: weekdays stay the same, dates change


def read_tables(history: History) -> Tables:
    """The contract tables of a history, as Arrow."""
    names = (*history.names, *history.switched)
    return {name: history.connection.table(name).to_arrow_table() for name in names}


def rebuild_history(
    history: History, tables: Tables, *, threads: int = 1, memory: str = "1GB"
) -> History:
    """The same History over other tables, in an engine of its own."""
    connection = connect(memory=memory, threads=threads)
    for name, table in tables.items():
        connection.register("incoming", table)
        connection.execute(f"CREATE TABLE {name} AS SELECT * FROM incoming")
        connection.unregister("incoming")
    further = tuple(name for name in history.further if name in tables)
    return dataclasses.replace(history, connection=connection, further=further)


def shuffle_rows(tables: Tables, seed: int = 3) -> Tables:
    rng = np.random.default_rng(seed)
    return {
        name: table.take(pa.array(rng.permutation(table.num_rows)))
        for name, table in tables.items()
    }


def keep_customer(tables: Tables, customer: str) -> Tables:
    return {
        name: table.filter(pc.equal(table["customer_id"], customer))
        for name, table in tables.items()
    }


def keep_customers(tables: Tables, customers: pa.Array) -> Tables:
    return {
        name: table.filter(pc.is_in(table["customer_id"], value_set=customers))
        for name, table in tables.items()
    }


def truncate_history(tables: Tables, at: int) -> Tables:
    """Only what was recorded before `at`; cells that became known later are empty."""
    return {
        name: _change_late_cells(name, _past(name, table, at), at, _empty_column)
        for name, table in tables.items()
    }


def scramble_future(tables: Tables, at: int, seed: int = 5) -> Tables:
    """Every row and cell that became known at or after `at` gets other values."""
    rng = np.random.default_rng(seed)
    changed = {}
    for name, table in tables.items():
        past, future = _past(name, table, at), _future(name, table, at)
        for column in future.column_names:
            if column not in CLOCKS:
                future = _permute(future, column, rng)
        past = _change_late_cells(name, past, at, _shift_values)
        changed[name] = pa.concat_tables([future, past])
    return changed


def copy_to_instant(tables: Tables, at: int, seed: int = 17) -> Tables:
    """Repeat known rows exactly at `at`, and fill empty cells (answers, cancellations …) at it."""
    rng = np.random.default_rng(seed)
    changed = {}
    for name, table in tables.items():
        extra = _past(name, table, at)
        for column in extra.column_names:
            if column in CLOCKS and column not in LOCAL:
                extra = _constant(extra, column, at)
            elif name == "customers" and column != "customer_id":
                # A version with other values, valid from `at` on.
                extra = _permute(extra, column, rng)
        filled = _fill_cells(name, table, at)
        changed[name] = pa.concat_tables([filled, _prefix_ids(name, extra, "at")])
    return changed


def add_late_rows(tables: Tables, at: int, seed: int = 11) -> Tables:
    """Repeat known rows with other values: they occurred before `at` and were recorded later.

    Half of the rows with an id become corrections of that id, the others rows of their own.
    """
    rng = np.random.default_rng(seed)
    changed = dict(tables)
    for name, table in tables.items():
        if "recorded_at" not in table.column_names:
            continue
        extra = _past(name, table, at)
        count = extra.num_rows
        for column in extra.column_names:
            if column not in (*CLOCKS, "customer_id", "transaction_id", "ends_at"):
                extra = _permute(extra, column, rng)
        recorded = at + rng.integers(0, 30 * DAY_US, count)
        extra = _with(extra, "recorded_at", pa.chunked_array([pa.array(recorded, pa.int64())]))
        corrections = extra.slice(0, count // 2)
        new_rows = _prefix_ids(name, extra.slice(count // 2), "late")
        changed[name] = pa.concat_tables([corrections, new_rows, table])
    return changed


def rename_ids(tables: Tables, number: int = 0, seed: int = 13) -> tuple[Tables, dict[str, str]]:
    """Give every customer and row another id, in another order; also return new id -> old id.

    Different `number`s give different ids.
    """
    ids = (table["customer_id"].unique().to_pylist() for table in tables.values())
    names = sorted({name for of_table in ids for name in of_table})
    places = np.random.default_rng([seed, number]).permutation(len(names))
    new = pa.array([str(10**9 * (number + 1) + int(place)) for place in places], pa.string())
    changed = {}
    for name, table in tables.items():
        renamed = pc.take(new, pc.index_in(table["customer_id"], pa.array(names, pa.string())))
        changed[name] = _prefix_ids(name, _with(table, "customer_id", renamed), f"row{number}")
    return changed, dict(zip(new.to_pylist(), names, strict=True))


def stack_customers(several: list[Tables], seed: int = 19) -> tuple[Tables, list[dict[str, str]]]:
    """Several sets of tables as one, shuffled, each with customer ids of its own.

    Also return new id -> old id for each set.
    """
    parts = [rename_ids(tables, number) for number, tables in enumerate(several)]
    joined = {name: pa.concat_tables([tables[name] for tables, _ in parts]) for name in several[0]}
    return shuffle_rows(joined, seed), [old_names for _, old_names in parts]


def change_load_times(tables: Tables, at: int) -> Tables:
    """Known events are recorded at other times before `at`, in the same order."""
    changed = dict(tables)
    for name in set(tables) & set(EVENT_TABLES):
        before = tables[name]["recorded_at"]
        # Twice as long before `at`: the order stays, and nothing passes `at`.
        earlier = pc.subtract(pc.multiply(before, 2), at)
        values = pc.if_else(pc.less(before, at), earlier, before)
        changed[name] = _with(tables[name], "recorded_at", values)
    return changed


def shift_dates(tables: Tables, days: int = YEAR_OF_WEEKS) -> Tables:
    """Everything happens `days` later (whole weeks, so that weekdays stay)."""
    changed = {}
    for name, table in tables.items():
        for column in ALL_TABLES[name].columns:
            if column.type == "instant" and column.name in table.column_names:
                table = _with(table, column.name, pc.add(table[column.name], days * DAY_US))
        if "local_day" in table.column_names:
            table = _with(table, "local_day", pc.add(table["local_day"], days).cast(pa.int32()))
        changed[name] = table
    return changed


def _past(name: str, table: pa.Table, at: int) -> pa.Table:
    return table.filter(_is_past(name, table, at))


def _future(name: str, table: pa.Table, at: int) -> pa.Table:
    return table.filter(pc.invert(_is_past(name, table, at)))


def _is_past(name: str, table: pa.Table, at: int) -> pa.ChunkedArray:
    """Rows with both clocks before `at`; a customer without a date counts as known at any time."""
    if name == "customers":
        since = pc.coalesce(table["valid_from"], table["acquired_at"])
        return pc.fill_null(pc.less(since, at), True)
    known = pc.less(table["recorded_at"], at)
    return known if name == "contracts" else pc.and_(known, pc.less(table["occurred_at"], at))


def _change_late_cells(
    name: str, table: pa.Table, at: int, change: Callable[[pa.ChunkedArray], pa.ChunkedArray]
) -> pa.Table:
    """Change the cells whose own instant lies at or after `at`."""
    changed = table
    for column in ALL_TABLES[name].columns:
        if column.known_at:
            late = pc.fill_null(pc.greater_equal(table[column.known_at], at), False)
            old = table[column.name]
            changed = _with(changed, column.name, pc.if_else(late, change(old), old))
    return changed


def _empty_column(column: pa.ChunkedArray) -> pa.Array:
    return pa.nulls(len(column), column.type)


def _permute(table: pa.Table, column: str, rng: np.random.Generator) -> pa.Table:
    """The table with the values of one column in another order."""
    order = pa.array(rng.permutation(table.num_rows))
    return _with(table, column, pc.take(table[column], order))


def _fill_cells(name: str, table: pa.Table, at: int) -> pa.Table:
    """Fill empty cells that become known at an instant of their own: known exactly at `at`."""
    clocks = {column.known_at for column in ALL_TABLES[name].columns if column.known_at}
    filled = table
    for clock in sorted(clocks):
        empty = table[clock].is_null()
        for column in ALL_TABLES[name].columns:
            if column.known_at == clock:
                old = table[column.name]
                value = pa.scalar(at if column.name == clock else 1.0, old.type)
                filled = _with(filled, column.name, pc.if_else(empty, value, old))
    return filled


def _shift_values(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_integer(column.type):
        return pc.add(column, LATER_US)
    return pc.add(column, 0.5) if pa.types.is_floating(column.type) else column


def _prefix_ids(name: str, table: pa.Table, prefix: str) -> pa.Table:
    """Give the ids of rows (not of customers) a prefix, which makes them other rows."""
    for column in ALL_TABLES[name].columns:
        row_id = column.type == "id" and column.name != "customer_id"
        if row_id and column.name in table.column_names:
            joined = pc.binary_join_element_wise(pa.scalar(prefix), table[column.name], "-")
            table = _with(table, column.name, joined)
    return table


def _constant(table: pa.Table, column: str, value: object) -> pa.Table:
    kind = table.schema.field(column).type
    values = pa.array([value] * table.num_rows, kind)
    return _with(table, column, pa.chunked_array([values], type=kind))


def _with(table: pa.Table, column: str, values: pa.ChunkedArray | pa.Array) -> pa.Table:
    return table.set_column(table.column_names.index(column), table.schema.field(column), values)
