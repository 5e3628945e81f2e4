"""The parsed rows of one SELECT: accepted ones as the table of the contract, others as rejects.

`_parsed` has all of them with source_row, their number in the SELECT (from 1 on), and the reason
why a row is rejected, or null. Usually the accepted rows become a table in a canonical order. Many
rows of which somebody only counts stay in a temporary Parquet file, in the order in which they
came: the order costs more than reading the rows, and the table more memory than the engine needs.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import duckdb

from features.core.contract import EVENT_TABLES, Table
from features.core.errors import EmptyTable
from features.core.settings import Settings
from features.tables.file_rows import number_file_rows
from features.tables.forgotten_rows import forgotten_rows_sql
from features.tables.parsing import SQL_TYPES, literal, local_day, local_hour, quote_identifier
from features.tables.queries import first_value
from features.tables.reading.temporary import open_private
from features.tables.reject_examples import reject_examples
from features.tables.repeated_rows import REPEATED, may_repeat
from features.tables.typed_tables import FILLED, RowCounts
from features.tables.versions import has_id, refuse_contradictions, refuse_duplicate_customers
from features.tables.zone_shifts import utc_shift

# source_row: the row of the SELECT, from 1 on. file, file_row: where it stands (`file_rows`), if
# the SELECT takes rows of single files.
EMPTY_REJECTS = (
    "CREATE TABLE IF NOT EXISTS rejects (table_name VARCHAR, source_row BIGINT, file VARCHAR, "
    "file_row BIGINT, reason VARCHAR)"
)

# Of different values in one column of a part of a file.
LARGEST_DICTIONARY = 2_000
WRITING_MEMORY = "400MB"


@dataclass(frozen=True)
class ParsedRows:
    """source: SQL for the rows of `_parsed`. in_file: whether a file has them."""

    source: str
    in_file: bool = False


def keep_parsed(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    query: str,
    types: dict[str, str],
    settings: Settings,
    *,
    file: Path | None = None,
) -> ParsedRows:
    """Run the SQL of `typed_tables.parse_rows`, keep its rows, and make the view `_parsed`.

    types: DuckDB types by column of the SELECT. file: a temporary file for the rows that does not
    exist yet; they are in memory where it is None.
    """
    # Row numbers come from the stored rows: counting rows as they come needs a single thread.
    if file is None:
        connection.execute(f"CREATE OR REPLACE TEMP TABLE _parsed_rows AS {query}")
        rows = ParsedRows("SELECT rowid + 1 AS source_row, * FROM _parsed_rows")
    else:
        _write_file(connection, table, query, types, settings, file)
        rows = ParsedRows(_file_source(table, types, file), in_file=True)
    _view_parsed(connection, rows)
    return rows


def _write_file(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    query: str,
    types: dict[str, str],
    settings: Settings,
    file: Path,
) -> None:
    """Write the rows with their local time, without the columns that are empty in all of them."""
    os.close(open_private(file))
    if table.name in EVENT_TABLES:
        query = with_local_time(query, settings.zone)
    empty = ", ".join(quote_identifier(name) for name in _empty_columns(table, types))
    columns = f"* EXCLUDE ({empty})" if empty else "*"
    # A dictionary of nearly as many ids as there are rows costs time and saves nothing.
    copy = (
        f"COPY (SELECT {columns} FROM ({query})) TO {literal(str(file))} "
        f"(FORMAT parquet, DICTIONARY_SIZE_LIMIT {LARGEST_DICTIONARY}, USE_TMP_FILE false)"
    )
    if "memory" in settings.engine.model_fields_set:
        connection.execute(copy)
        return
    # The engine reads ahead of what is written as far as its memory goes. Less is enough, unless
    # the rows are very long.
    connection.execute(f"SET memory_limit = '{WRITING_MEMORY}'")
    in_vain = False
    # After other errors nothing is asked of the engine: it may have been interrupted.
    try:
        connection.execute(copy)
    except duckdb.OutOfMemoryException:
        in_vain = True
    connection.execute(f"SET memory_limit = '{settings.engine.memory}'")
    if in_vain:
        connection.execute(copy)


def _file_source(table: Table, types: dict[str, str], file: Path) -> str:
    """SQL for the rows of a file of `_write_file`."""
    of_type = {column.name: SQL_TYPES[column.type] for column in table.columns}
    empty = "".join(
        f", CAST(NULL AS {of_type[name]}) AS {quote_identifier(name)}"
        for name in _empty_columns(table, types)
    )
    return (
        f"SELECT file_row_number + 1 AS source_row, * EXCLUDE (file_row_number){empty} "
        f"FROM read_parquet({literal(str(file))}, file_row_number = true)"
    )


def _empty_columns(table: Table, types: dict[str, str]) -> list[str]:
    """The columns that the SELECT does not have, and that nothing fills."""
    return [name for name in table.names if name not in types and name not in FILLED]


def with_local_time(query: str, zone: str) -> str:
    """SQL that adds local_day and local_hour of `occurred_at`, as `parsing.local_day` gives them.

    It takes longer to plan and less to run.
    """
    calendar = f"epoch_us(timezone({literal(zone)}, make_timestamptz(occurred_at)))"
    local = f"coalesce(occurred_at + {utc_shift('occurred_at', zone)}, {calendar})"
    return (
        "SELECT * EXCLUDE (_local), CAST(_local // 86400000000 AS INTEGER) AS local_day, "
        "CAST(_local // 3600000000 % 24 AS INTEGER) AS local_hour "
        f"FROM (SELECT *, {local} AS _local FROM ({query}))"
    )


def leave_out_forgotten(
    connection: duckdb.DuckDBPyConnection, table: Table, rows: ParsedRows
) -> tuple[ParsedRows, int]:
    """The rows without those of forgotten customers, as `_parsed` has them now, and their count."""
    names = [column.name for column in table.columns]
    forgotten = forgotten_rows_sql(connection, "_parsed", names, table.name)
    if forgotten is None:
        return rows, 0
    count = first_value(connection, f"SELECT count(*) FROM _parsed WHERE {forgotten}")
    rows = ParsedRows(f"SELECT * FROM ({rows.source}) WHERE NOT {forgotten}", rows.in_file)
    _view_parsed(connection, rows)
    return rows, count


def store_rows(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    counts: RowCounts,
    settings: Settings,
    types: dict[str, str],
    select: str,
    rows: ParsedRows,
) -> None:
    """Store the accepted rows of `_parsed` as the table, the others in `rejects`, and count both.

    types: DuckDB types by column of `_read`, the rows of `select`. Raises DuplicateCustomers,
    ContradictoryVersions, or EmptyTable where no row is accepted.
    """
    counts.unique_ids = _has_unique_ids(connection, table)
    if settings.contract.exact_duplicates == "drop" or table.version_of:
        rows = _reject_exact_duplicates(connection, table, settings, types, rows, counts)
    if table.attributes:
        refuse_duplicate_customers(connection)
    if table.version_of and not table.attributes and not counts.unique_ids:
        refuse_contradictions(connection, table)
    _store_rejects(connection, table, counts, select)
    counts.examples = reject_examples(connection, table, types, counts.rejected, settings)
    if rows.in_file:
        _view_accepted(connection, table, rows)
    else:
        _store_accepted(connection, table, settings, types)
    counts.kept = first_value(connection, f"SELECT count(*) FROM {table.name}")
    if counts.kept == 0:
        raise EmptyTable(
            where=f"[tables] {table.name}",
            got=f"{counts.read:,} rows read, all rejected: {counts.rejected}",
            rule="A table under [tables] has rows that fit the contract. Allowed is: "
            + "; ".join(f"{each.allowed} ({each.reason})" for each in counts.examples)
            + ".",
            fix="Correct the SELECT; docs/contract.md has the rules.",
            values=[each.example for each in counts.examples if each.example],
        )


def _view_parsed(connection: duckdb.DuckDBPyConnection, rows: ParsedRows) -> None:
    connection.execute(f"CREATE OR REPLACE TEMP VIEW _parsed AS {rows.source}")


def _has_unique_ids(connection: duckdb.DuckDBPyConnection, table: Table) -> bool:
    """Whether surely no two accepted rows have one id: then none of them repeats another."""
    if not table.version_of or table.attributes:
        return False
    accepted = f"reason IS NULL AND {has_id(table)}"
    return not may_repeat(connection, "_parsed", ", ".join(table.version_of), where=accepted)


def _reject_exact_duplicates(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    settings: Settings,
    types: dict[str, str],
    rows: ParsedRows,
    counts: RowCounts,
) -> ParsedRows:
    """Of rows that are equal in every column one counts: a file read twice changes nothing.

    Returns the rows with the reason of those that do not count, as `_parsed` has them now.
    """
    # With "keep", only transactions with an id are compared: two equal ones are one row sent twice.
    keep = settings.contract.exact_duplicates == "keep" and table.name == "transactions"
    compared = "reason IS NULL AND transaction_id IS NOT NULL" if keep else "reason IS NULL"
    if counts.unique_ids:
        compared += f" AND NOT ({has_id(table)})"
    # Every other column is empty, or filled from these.
    columns = ", ".join(quote_identifier(name) for name in table.names if name in types)
    if not may_repeat(connection, "_parsed", columns, where=compared):
        return rows
    duplicates = f"_duplicates_of_{table.name}"
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {duplicates} AS SELECT source_row FROM _parsed "
        f"WHERE {compared} AND hash({columns}) IN (SELECT digest FROM {REPEATED}) "
        f"QUALIFY row_number() OVER (PARTITION BY {columns} ORDER BY source_row) > 1"
    )
    is_one = f"source_row IN (SELECT source_row FROM {duplicates})"
    source = (
        f"SELECT * REPLACE (CASE WHEN {is_one} THEN 'exact_duplicate' ELSE reason END AS reason) "
        f"FROM ({rows.source})"
    )
    rows = ParsedRows(source, rows.in_file)
    _view_parsed(connection, rows)
    return rows


def _store_rejects(
    connection: duckdb.DuckDBPyConnection, table: Table, counts: RowCounts, select: str
) -> None:
    connection.execute(EMPTY_REJECTS)
    rejected = connection.execute(
        "SELECT reason, count(*) FROM _parsed WHERE reason IS NOT NULL "
        "GROUP BY reason ORDER BY reason"
    )
    counts.rejected = dict(rejected.fetchall())
    # The rows of the files are counted only for those who look for some of them.
    if counts.rejected:
        number_file_rows(
            connection,
            select,
            counts.read + counts.forgotten,
            of="SELECT source_row FROM _parsed WHERE reason IS NOT NULL",
        )
        connection.execute(
            f"INSERT INTO rejects SELECT {literal(table.name)}, source_row, file, file_row, reason "
            "FROM _parsed LEFT JOIN _file_rows USING (source_row) WHERE reason IS NOT NULL "
            "ORDER BY source_row"
        )


def _view_accepted(connection: duckdb.DuckDBPyConnection, table: Table, rows: ParsedRows) -> None:
    """The accepted rows of a file, with their local time, as a view of the table's name."""
    columns = [quote_identifier(name) for name in table.names]
    if table.name in EVENT_TABLES:
        columns += ["local_day", "local_hour"]
    connection.execute(
        f"CREATE OR REPLACE VIEW {table.name} AS "
        f"SELECT {', '.join(columns)} FROM ({rows.source}) WHERE reason IS NULL"
    )


def _store_accepted(
    connection: duckdb.DuckDBPyConnection, table: Table, settings: Settings, types: dict[str, str]
) -> None:
    columns = ", ".join(quote_identifier(name) for name in table.names)
    order = ", ".join(quote_identifier(name) for name in table.names if name in types)
    day = ""
    if table.name in EVENT_TABLES:
        zone = settings.zone
        day = f", {local_day(zone)} AS local_day, {local_hour(zone)} AS local_hour"
    # In a canonical order, so that no result depends on the order in which the rows came. Columns
    # that the SELECT does not have are filled from the others, so they order nothing.
    connection.execute(
        f"CREATE OR REPLACE TABLE {table.name} AS "
        f"SELECT {columns}{day} FROM _parsed WHERE reason IS NULL ORDER BY {order}"
    )
