"""A database that holds the rows of one outcome window and nothing else, for SELECTs of labels.

A SELECT cannot reach a row that is not there: neither what happened before or after the window, nor
a file, nor a variable of this program. `window` is the table of [activity], `window.<table>` each
table with customers' events, `customers` the id of everybody with a row at as_of.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import duckdb
import narwhals as nw
import pyarrow as pa

from features.core.contract import ALL_TABLES, EVENT_TABLES, OPEN_END_US, Column
from features.core.settings import Settings
from features.labels.outcome_window import OutcomeWindow
from features.tables.history import History
from features.tables.parsing import SQL_TYPES, quote_identifier
from features.tables.sources import connect

SCHEMA, ACTIVITY, PEOPLE = "window", "window", "customers"
# Attributes have no window, costs no customer, and deliveries are about tables.
NOT_EVENTS = ("customers", "costs", "deliveries")
_LOCAL = {"local_day": "INTEGER", "local_hour": "INTEGER"}
MEMORY = "1GB"


def window_tables(history: History) -> tuple[str, ...]:
    """The tables of the business that a label can read, in the order of the contract."""
    return tuple(name for name in (*history.names, *history.further) if name not in NOT_EVENTS)


def open_window(
    history: History,
    window: OutcomeWindow | None,
    customers: pa.ChunkedArray | pa.Array,
    settings: Settings,
    *,
    needed: Collection[str],
) -> duckdb.DuckDBPyConnection:
    """The database of one window; of the tables that are not `needed` it has no rows.

    `window` None: no table has rows. `customers`: text. Rows are in the contract's order, and one
    thread reads them, so equal rows give equal answers.
    """
    connection = connect(memory=MEMORY, threads=1)
    connection.execute("SET python_enable_replacements = false")
    connection.execute(f"CREATE SCHEMA {quote_identifier(SCHEMA)}")
    for name in window_tables(history):
        rows = None if window is None or name not in needed else _rows(history, name, window)
        _create(connection, name, rows, settings)
    ids = pa.table({"customer_id": pa.array(customers.to_pylist(), pa.string())})
    connection.register("incoming", ids)
    connection.execute(f"CREATE TABLE {PEOPLE} AS SELECT * FROM incoming")
    connection.unregister("incoming")
    connection.execute(
        f"CREATE VIEW {quote_identifier(ACTIVITY)} AS "
        f"SELECT * FROM {quote_identifier(SCHEMA)}.{history.activity_table}"
    )
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def _rows(history: History, name: str, window: OutcomeWindow) -> pa.Table:
    """The rows of one table that happened in the window and were known in time, in order."""
    table = ALL_TABLES[name]
    # A term happens when it begins. One that is cancelled after the window was not, for the label.
    before = window.end if name == "contracts" else None
    rows = history.cut(name, window.known_until, cancelled_before=before)
    columns = [*table.names, *(_LOCAL if name in EVENT_TABLES else ())]
    rows = rows.filter(window.contains(table.happened_at)).select(*columns)
    return _sorted(rows, table.names).collect(backend="pyarrow").to_native()


def _sorted(rows: nw.LazyFrame, names: Iterable[str]) -> nw.LazyFrame:
    return rows.sort(*names, nulls_last=True)


def _create(
    connection: duckdb.DuckDBPyConnection, name: str, rows: pa.Table | None, settings: Settings
) -> None:
    """The table as a SELECT reads it: instants as TIMESTAMP (UTC), money in the currency."""
    columns, local = ALL_TABLES[name].columns, name in EVENT_TABLES
    values = [f"{_readable(column, settings.minor_digits)} AS {column.name}" for column in columns]
    values += ["DATE '1970-01-01' + local_day AS local_day", "local_hour"] if local else []
    if rows is None:
        types = {column.name: SQL_TYPES[column.type] for column in columns}
        types |= _LOCAL if local else {}
        nulls = ", ".join(f"CAST(NULL AS {kind}) AS {key}" for key, kind in types.items())
        source = f"(SELECT {nulls} LIMIT 0)"
    else:
        connection.register("incoming", rows)
        source = "incoming"
    place = f"{quote_identifier(SCHEMA)}.{name}"
    connection.execute(f"CREATE TABLE {place} AS SELECT {', '.join(values)} FROM {source}")
    if rows is not None:
        connection.unregister("incoming")


def _readable(column: Column, digits: int) -> str:
    """SQL for the value of a column in the units that people write."""
    name = column.name
    if column.type in ("instant", "month"):
        value = f"make_timestamp({name})"
        return f"CASE WHEN {name} < {OPEN_END_US} THEN {value} END" if column.open_end else value
    if column.type == "money":
        whole = f"CAST({name} AS DECIMAL(18, 0))"
        if not digits:
            return whole
        unit = f"CAST({10**-digits:.{digits}f} AS DECIMAL({digits + 1}, {digits}))"
        return f"CAST({whole} * {unit} AS DECIMAL(18, {digits}))"
    return name
