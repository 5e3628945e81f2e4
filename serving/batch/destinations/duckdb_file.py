"""Scores into a table of a DuckDB file, in one transaction."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa

from features.core.errors import StoreFailed
from features.tables.parsing import quote_identifier


def write_duckdb(rows: pa.Table, path: Path, table: str) -> int:
    """Replace the rows of the same as_of; how many there were. StoreFailed."""
    name = ".".join(map(quote_identifier, table.split(".")))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with duckdb.connect(str(path)) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute("BEGIN")
            if "." in table:
                schema = quote_identifier(table.split(".")[0])
                connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
            connection.register("incoming", rows)
            connection.execute(
                f"CREATE TABLE IF NOT EXISTS {name} AS SELECT * FROM incoming LIMIT 0"
            )
            known = {row[0] for row in connection.execute(f"DESCRIBE {name}").fetchall()}
            for column, kind, *_ in connection.execute("DESCRIBE incoming").fetchall():
                if column not in known:
                    added = f"ALTER TABLE {name} ADD COLUMN {quote_identifier(column)} {kind}"
                    connection.execute(added)
            [replaced] = connection.execute(
                f"DELETE FROM {name} WHERE as_of IN (SELECT as_of FROM incoming)"
            ).fetchall()[0]
            connection.execute(f"INSERT INTO {name} BY NAME SELECT * FROM incoming")
            connection.execute("COMMIT")
            return int(replaced)
    except (OSError, duckdb.Error) as error:
        # Its message may hold a value of a customer.
        raise StoreFailed(
            where="--to",
            got=f"{type(error).__name__} of DuckDB",
            rule="The file is a DuckDB database that nobody else writes to, with columns as the "
            "scores have them.",
            fix="Close other programs that have it open, free disk space, or give another file.",
        ) from error
