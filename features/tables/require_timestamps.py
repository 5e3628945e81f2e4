"""Refuses a table without instants: it cannot be checked, audited or scored."""

from __future__ import annotations

import duckdb

from features.core import one_row_each
from features.core.contract import Table
from features.core.errors import TimestampsMissing
from features.tables.parsing import INSTANT, literal, quote_identifier
from features.tables.queries import first_value


def check_timestamps(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    types: dict[str, str],
    *,
    source: str = "_read",
) -> None:
    """TimestampsMissing, if the table lacks a required instant and has none under another name.

    types: DuckDB types by column of the SELECT. A table with instants under another name passes: a
    later check names the missing column.
    """
    needed = [
        column.name for column in table.columns if column.required and column.type == "instant"
    ]
    if (
        not needed
        or all(name in types for name in needed)
        or _any_instant(connection, types, source)
    ):
        return
    has_owner = "customer_id" in types
    raise TimestampsMissing(
        where=f"[tables] {table.name}",
        got=f"{len(types)} columns and no instant in any of them"
        + ("" if has_owner else ", and no customer_id"),
        rule=one_row_each.RULE,
        fix=one_row_each.FIX,
    )


# With fewer rows one date for all may be chance.
_FEWEST_ROWS = 20


def check_several_instants(connection: duckdb.DuckDBPyConnection, table: Table) -> None:
    """TimestampsMissing where `_parsed` has one row for each customer, all of one instant.

    table: the one of the activity. Such a date is that of the export: the table is a snapshot, as
    one without dates is.
    """
    accepted = "FROM _parsed WHERE reason IS NULL"
    [(rows, first, last)] = connection.execute(
        f"SELECT count(*), min(occurred_at), max(occurred_at) {accepted}"
    ).fetchall()
    if rows < _FEWEST_ROWS or first < last:
        return
    if rows > first_value(connection, f"SELECT count(DISTINCT customer_id) {accepted}"):
        return
    raise TimestampsMissing(
        where=f"[tables] {table.name}",
        got=f"{rows:,} rows, one for each customer, and one occurred_at for all of them",
        rule=one_row_each.RULE,
        fix=one_row_each.FIX,
    )


def _any_instant(connection: duckdb.DuckDBPyConnection, types: dict[str, str], source: str) -> bool:
    """Whether a column has an instant's type, or is text and mostly reads as instants."""
    if any(kind.startswith(("TIMESTAMP", "DATE")) for kind in types.values()):
        return True
    texts = [quote_identifier(name) for name, kind in types.items() if kind == "VARCHAR"]
    if not texts:
        return False
    shares = ", ".join(
        f"avg(CAST(regexp_matches(trim({name}), {literal(INSTANT)}) AS INTEGER))" for name in texts
    )
    row = connection.execute(f"SELECT {shares} FROM {source}").fetchone()
    # The share is null where a column has no value at all.
    return any((share or 0) > 0.5 for share in row or ())
