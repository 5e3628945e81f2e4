"""Small helpers around one SQL query."""

from __future__ import annotations

from typing import Any

import duckdb


def first_value(connection: duckdb.DuckDBPyConnection, sql: str, **parameters: Any) -> Any:
    """The first column of the first row of a query that has a row, such as a count."""
    row = connection.execute(sql, parameters or None).fetchone()
    if row is None:
        raise LookupError(f"no row from: {sql}")
    return row[0]
