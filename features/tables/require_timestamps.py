"""Refuses a table without instants: it cannot be checked, audited or scored."""

from __future__ import annotations

import duckdb

from features.core.contract import Table
from features.core.errors import TimestampsMissing
from features.tables.parsing import INSTANT, literal, quote_identifier


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
        rule="A prediction for an instant uses only what was known before it. A table with one "
        "row per customer and no instants does not say when its values or its label became known. "
        "So it cannot be cut at an as_of, and a good result on it may be the label itself.",
        fix="Use the events from which the table was made (each with customer_id and occurred_at: "
        "purchases, usage, calls, complaints, terms), or monthly states with the day on which each "
        "was recorded.",
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
