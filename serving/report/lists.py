"""The customers behind each picture, as CSV files beside the page: safe for spreadsheets."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from serving.batch.writers import FORMULA
from serving.report.picture import CustomerList

TABLE = "customers"
MEMORY = "1GB"  # of the engine that sorts them; what is more is on the disk meanwhile


def write_lists(customers: Path, lists: Iterable[CustomerList], folder: Path) -> dict[str, int]:
    """`<name>.csv` of each list in `folder`; how many customers each has.

    customers: the parquet file of the table. A text that a spreadsheet would take for a formula has
    an apostrophe before it. Columns that the table does not have are left out.
    """
    counts, schema = {}, pq.read_schema(customers)
    with duckdb.connect() as connection:
        # On one thread the order of rows is that of the query.
        connection.execute(f"SET memory_limit = '{MEMORY}'; SET threads = 1")
        connection.execute(f"SET temp_directory = {_quoted(folder / '.engine')}")
        connection.execute(f"CREATE VIEW {TABLE} AS FROM read_parquet({_quoted(customers)})")
        for each in lists:
            names = ["customer_id", *(one for one in each.columns if one in schema.names)]
            columns = ", ".join(_safe(name, schema.field(name).type) for name in names)
            query = (
                f"SELECT {columns} FROM {TABLE} "
                f"WHERE customer_id IS NOT NULL AND ({each.where}) ORDER BY {each.order}"
            )
            path = _quoted(folder / f"{each.name}.csv")
            copied = connection.execute(f"COPY ({query}) TO {path} (FORMAT csv, HEADER)")
            counts[each.name] = int((copied.fetchone() or (0,))[0])
    shutil.rmtree(folder / ".engine", ignore_errors=True)
    return counts


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def _safe(name: str, kind: pa.DataType) -> str:
    if not pa.types.is_string(kind):
        return f'"{name}"'
    return (
        f"CASE WHEN regexp_matches(\"{name}\", '{FORMULA}') THEN '''' || \"{name}\" "
        f'ELSE "{name}" END AS "{name}"'
    )
