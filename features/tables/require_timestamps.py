"""Why a table of customers without instants cannot be audited, checked or scored."""

from __future__ import annotations

import duckdb

from features.core.contract import Table
from features.core.errors import Timeless
from features.tables.parsing import INSTANT, literal, quoted


def refuse(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    types: dict[str, str],
    *,
    source: str = "_read",
) -> None:
    """Timeless, if the table needs an instant it does not have and no column of `source` reads as one.

    `types` are the columns of the SELECT and their engine types. A table that has instants under another name is left
    to the error that names the missing column.
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
    owner = "customer_id" in types
    raise Timeless(
        where=f"[tables] {table.name}",
        got=f"{len(types)} columns and no instant in any of them"
        + ("" if owner else ", nor whose row it is (customer_id)"),
        rule="What is said of a customer at an instant rests on what was known before it. A table with one row a customer "
        "and no instants tells neither when its values became known nor when its label came about: nothing can be cut at "
        "an as_of, so nothing can be checked, audited or promised, and a high score on it may be the label itself.",
        fix="Bring the events the table was made of (each with customer_id and occurred_at: purchases, usage, calls, "
        "complaints, terms), or monthly states with the day on which each was recorded.",
    )


def _any_instant(connection: duckdb.DuckDBPyConnection, types: dict[str, str], source: str) -> bool:
    """Whether a column is of an instant's type, or a text column mostly reads as instants."""
    if any(stated.startswith(("TIMESTAMP", "DATE")) for stated in types.values()):
        return True
    texts = [quoted(name) for name, stated in types.items() if stated == "VARCHAR"]
    if not texts:
        return False
    shares = ", ".join(
        f"avg(CAST(regexp_matches(trim({name}), {literal(INSTANT)}) AS INTEGER))" for name in texts
    )
    return any(
        (share or 0) > 0.5
        for share in connection.execute(f"SELECT {shares} FROM {source}").fetchone()
    )
