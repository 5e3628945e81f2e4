"""Rows of forgotten customers in databases that `lifecycle score --to` wrote."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from features.core.errors import BadSetting, LifecycleError, StoreFailed
from features.core.staged_files import staged_file
from features.tables.parsing import literal, quote_identifier
from features.tables.remove_rows import Removed
from serving.batch.destinations.postgresql import CONNECT_SECONDS, NO_PSYCOPG

_CUSTOMER = "customer_id"


def forget_in_duckdb(
    path: Path, table: str, ids: Sequence[str], *, dry_run: bool = False
) -> Removed:
    """Delete the rows of the customers; what was taken out. StoreFailed.

    The file is written anew: a row that is deleted in place stays readable in its free blocks.
    """
    name = ".".join(map(quote_identifier, table.split(".")))
    where = f"{_CUSTOMER} IN (SELECT id FROM forgotten_ids)"
    try:
        if not path.is_file():
            raise FileNotFoundError(path)
        with duckdb.connect(config={"autoinstall_known_extensions": "false"}) as connection:
            connection.register("forgotten_ids", pa.table({"id": pa.array(ids, pa.string())}))
            connection.execute(f"ATTACH {literal(str(path))} AS scores (READ_ONLY)")
            rows = connection.execute(f"SELECT {_CUSTOMER} FROM scores.{name} WHERE {where}")
            removed = _removed(rows.fetchall())
            if not removed.rows or dry_run:
                return removed
            with staged_file(path) as staged:
                _copy_others(connection, staged, name, where)
                staged.chmod(path.stat().st_mode & 0o777)
            return removed
    except (OSError, duckdb.Error) as error:
        raise _failed(
            type(error).__name__, "DuckDB", "Close other programs that have it open."
        ) from error


def _copy_others(
    connection: duckdb.DuckDBPyConnection, target: Path, name: str, where: str
) -> None:
    """Write all tables to the database `target`, that of this name without the customers."""
    connection.execute(f"ATTACH {literal(str(target))} AS rest")
    connection.execute("COPY FROM DATABASE scores TO rest (SCHEMA)")
    tables = connection.execute(
        "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = 'scores'"
    ).fetchall()
    of_name = {name, f'"main".{name}'}
    for schema, table in tables:
        each = f"{quote_identifier(schema)}.{quote_identifier(table)}"
        rest = f" WHERE NOT coalesce({where}, false)" if each in of_name else ""
        connection.execute(f"INSERT INTO rest.{each} SELECT * FROM scores.{each}{rest}")
    connection.execute("DETACH rest")


def forget_in_postgresql(
    address: str, table: str, ids: Sequence[str], *, dry_run: bool = False
) -> Removed:
    """Delete the rows of the customers in one transaction; what was taken out. StoreFailed."""
    try:
        import psycopg
    except ImportError as error:
        raise BadSetting(where="--also", **NO_PSYCOPG) from error
    try:
        with psycopg.connect(address, connect_timeout=CONNECT_SECONDS) as connection:
            return _delete(connection, table, list(ids), dry_run=dry_run)
    except psycopg.Error as error:
        raise _failed(
            type(error).__name__, "PostgreSQL", "Check the address and --table with psql."
        ) from error


def _delete(connection: Any, table: str, ids: list[str], *, dry_run: bool) -> Removed:
    from psycopg import sql

    name, column = sql.Identifier(*table.split(".")), sql.Identifier(_CUSTOMER)
    select = "SELECT {column} FROM {name} WHERE {column} = ANY(%s)"
    delete = "DELETE FROM {name} WHERE {column} = ANY(%s) RETURNING {column}"
    statement = sql.SQL(select if dry_run else delete).format(name=name, column=column)
    with connection.cursor() as cursor:
        cursor.execute(statement, [ids])
        return _removed(cursor.fetchall())


def _removed(rows: Sequence[tuple[str]]) -> Removed:
    return Removed(len(rows), {name for (name,) in rows})


def _failed(kind: str, engine: str, fix: str) -> LifecycleError:
    # Its message may hold an id or the address.
    return StoreFailed(
        where="--also",
        got=f"{kind} of {engine}",
        rule="--also names what `lifecycle score --to` wrote, and --table its table.",
        fix=f"{fix} Type the command again: what was done already is done.",
    )
