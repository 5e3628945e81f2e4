"""Scores into a table of PostgreSQL, in one transaction.

The table is made where there is none, with (as_of, customer_id) as its key; columns that a later
release adds are added. Two jobs at once wait for each other.
"""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv

from features.core.errors import BadSetting, StoreFailed

CHUNK_ROWS = 50_000
CONNECT_SECONDS = 10
NO_PSYCOPG = {
    "got": "no package psycopg",
    "rule": "Writing to PostgreSQL needs the extra `postgres`.",
    "fix": 'Type: pip install "customer-lifecycle[postgres]"',
}
_TYPES = {
    pa.string(): "text",
    pa.large_string(): "text",
    pa.bool_(): "boolean",
    pa.float64(): "double precision",
    pa.int64(): "bigint",
    pa.int32(): "integer",
}


def write_postgresql(rows: pa.Table, address: str, table: str) -> int:
    """Replace the rows of the same as_of; how many there were.

    BadSetting without the package psycopg; StoreFailed where the database cannot be reached or
    refuses, after which it is as it was.
    """
    try:
        import psycopg
    except ImportError as error:
        raise BadSetting(where="--to", **NO_PSYCOPG) from error
    try:
        with psycopg.connect(address, connect_timeout=CONNECT_SECONDS) as connection:
            return _replace(connection, rows, table)
    except psycopg.Error as error:
        # Its message may hold a row or the address.
        state = f" {error.sqlstate}" if error.sqlstate else ""
        raise StoreFailed(
            where="--to",
            got=f"{type(error).__name__}{state} of PostgreSQL",
            rule="The database can be reached, and the table has the columns of the scores.",
            fix="Check the address with psql; the password belongs into PGPASSWORD or ~/.pgpass. "
            "Nothing was changed: type the command again, or give another --table.",
        ) from error


def _replace(connection: Any, rows: pa.Table, table: str) -> int:
    from psycopg import sql

    name = sql.Identifier(*table.split("."))
    columns = sql.SQL(", ").join(map(sql.Identifier, rows.column_names))
    with connection.cursor() as cursor:
        # Until the transaction ends: two jobs at once would both make the table.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [f"lifecycle {table}"])
        if "." in table:
            schema = sql.Identifier(table.split(".")[0])
            cursor.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(schema))
        defined = sql.SQL(", ").join(
            sql.SQL("{} {}").format(sql.Identifier(field.name), sql.SQL(_sql_type(field)))
            for field in rows.schema
        )
        cursor.execute(
            sql.SQL("CREATE TABLE IF NOT EXISTS {} ({}, PRIMARY KEY (as_of, customer_id))").format(
                name, defined
            )
        )
        for field in rows.schema:
            kind = sql.SQL(_sql_type(field))
            cursor.execute(
                sql.SQL("ALTER TABLE {} ADD COLUMN IF NOT EXISTS {} {}").format(
                    name, sql.Identifier(field.name), kind
                )
            )
        days = pc.unique(rows["as_of"]).to_pylist()
        cursor.execute(sql.SQL("DELETE FROM {} WHERE as_of = ANY(%s)").format(name), [days])
        replaced = cursor.rowcount
        copying = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(name, columns)
        with cursor.copy(copying) as copy:
            for batch in rows.to_batches(max_chunksize=CHUNK_ROWS):
                copy.write(_csv(pa.Table.from_batches([batch])))
    return int(replaced)


def _sql_type(field: pa.Field) -> str:
    if pa.types.is_timestamp(field.type):
        return "timestamptz"
    if pa.types.is_list(field.type):
        return "text[]"
    return _TYPES[field.type]


def _csv(rows: pa.Table) -> bytes:
    """The rows as COPY reads them: a null is an empty cell, every other cell has quotes."""
    for place, name in enumerate(rows.column_names):
        if pa.types.is_list(rows.column(place).type):
            rows = rows.set_column(place, name, _array_text(rows.column(place)))
    sink = io.BytesIO()
    options = arrow_csv.WriteOptions(include_header=False, quoting_style="all_valid")
    arrow_csv.write_csv(rows, sink, options)
    return sink.getvalue()


def _array_text(lists: pa.ChunkedArray) -> pa.ChunkedArray:
    """Lists of texts as PostgreSQL writes them: {"one","two"}; null stays null."""
    parts = []
    for chunk in lists.chunks:
        escaped = pc.replace_substring(chunk.values, "\\", "\\\\")
        escaped = pc.replace_substring(escaped, '"', '\\"')
        quoted = pc.binary_join_element_wise('"', escaped, '"', "")
        again = pa.ListArray.from_arrays(chunk.offsets, quoted, mask=chunk.is_null())
        joined = pc.binary_join(again, ",")
        parts.append(pc.binary_join_element_wise("{", joined, "}", ""))
    return pa.chunked_array(parts, pa.string())
