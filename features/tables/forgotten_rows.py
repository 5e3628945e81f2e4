"""Customers whom this home forgot are left out of every table, whatever the files still have.

The files are not ours to change, and have the rows until somebody deletes them there. So their ids
are hashed when tables are read (`features.core.forgotten`); whoever reads tables cannot choose.
"""

from __future__ import annotations

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from features.core.forgotten import Forgotten, read_forgotten
from features.tables.parsing import quote_identifier
from features.tables.queries import first_value

# The columns that name a customer, in the contract's tables and in ours.
CUSTOMER_COLUMNS = ("customer_id", "referrer_id", "referred_id")


def customer_columns(names: list[str]) -> list[str]:
    """Those of the columns that name a customer."""
    return [name for name in CUSTOMER_COLUMNS if name in names]


def forgotten_rows_sql(
    connection: duckdb.DuckDBPyConnection,
    source: str,
    columns: list[str],
    table: str,
    forgotten: Forgotten | None = None,
) -> str | None:
    """SQL that is true for the rows of forgotten customers; None where `source` has none.

    source: a table or view with these columns. table: the name that the list of ids gets, which
    lasts as long as the connection. forgotten: by default whom this home forgot.
    """
    forgotten = read_forgotten() if forgotten is None else forgotten
    named = customer_columns(columns)
    if not forgotten or not named:
        return None
    ids = " UNION ".join(f"SELECT {quote_identifier(name)} AS id FROM {source}" for name in named)
    rows = connection.execute(f"SELECT DISTINCT id FROM ({ids}) WHERE id IS NOT NULL")
    matches = forgotten.among(rows.to_arrow_table()["id"].to_pylist())
    if not matches:
        return None
    listed = quote_identifier(f"_forgotten_of_{table}")
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {listed} (id VARCHAR)")
    connection.register("_forgotten_ids", pa.table({"id": pa.array(matches, pa.string())}))
    connection.execute(f"INSERT INTO {listed} SELECT id FROM _forgotten_ids")
    connection.unregister("_forgotten_ids")
    tests = [
        f"coalesce({quote_identifier(name)} IN (SELECT id FROM {listed}), false)" for name in named
    ]
    return f"({' OR '.join(tests)})"


def delete_forgotten(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    """Delete the rows of forgotten customers of a table of the connection; how many there were."""
    columns = [row[0] for row in connection.execute(f"DESCRIBE {table}").fetchall()]
    forgotten = forgotten_rows_sql(connection, table, columns, table)
    if forgotten is None:
        return 0
    return first_value(connection, f"DELETE FROM {table} WHERE {forgotten}")


def hide_forgotten(connection: duckdb.DuckDBPyConnection, view: str, rows: str) -> None:
    """Make a view of the connection, over the query `rows`, one without forgotten customers."""
    columns = [row[0] for row in connection.execute(f"DESCRIBE {view}").fetchall()]
    forgotten = forgotten_rows_sql(connection, view, columns, view)
    if forgotten is not None:
        connection.execute(
            f"CREATE OR REPLACE VIEW {view} AS SELECT * FROM ({rows}) WHERE NOT {forgotten}"
        )


def without_forgotten(table: pa.Table, forgotten: Forgotten | None = None) -> pa.Table:
    """The table without the rows of forgotten customers; it has the column customer_id."""
    forgotten = read_forgotten() if forgotten is None else forgotten
    rows = forgotten_mask(table, forgotten)
    return table if rows is None else table.filter(pc.invert(rows))


def forgotten_mask(table: pa.Table, forgotten: Forgotten) -> pa.Array | None:
    """Which rows are of forgotten customers; None where none is."""
    masks = []
    for name in customer_columns(table.column_names):
        column = table[name].cast(pa.string())
        matches = forgotten.among(pc.unique(column).to_pylist())
        if matches:
            masks.append(pc.is_in(column, pa.array(matches, pa.string())))
    if not masks:
        return None
    rows = masks[0]
    for mask in masks[1:]:
        rows = pc.or_(rows, mask)
    return rows
