"""The customers behind each picture, as CSV files beside the page: safe for spreadsheets."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import duckdb
import pyarrow as pa

from serving.batch.writers import FORMULA
from serving.report.picture import CustomerList, Section

TABLE = "customers"


def customer_lists(sections: Iterable[Section]) -> list[CustomerList]:
    """Every list of the page, each once."""
    lists = {
        picture.customers.name: picture.customers
        for section in sections
        for picture in section.pictures
        if picture.customers is not None
    }
    return list(lists.values())


def write_lists(customers: pa.Table, lists: Iterable[CustomerList], folder: Path) -> dict[str, int]:
    """`<name>.csv` of each list in `folder`; how many customers each has.

    A text that a spreadsheet would take for a formula has an apostrophe before it. Columns that
    the table does not have are left out.
    """
    counts = {}
    connection = duckdb.connect()
    try:
        connection.register(TABLE, customers)
        for each in lists:
            names = ["customer_id", *(one for one in each.columns if one in customers.column_names)]
            columns = ", ".join(_safe(name, customers.schema.field(name).type) for name in names)
            query = (
                f"SELECT {columns} FROM (SELECT * FROM {TABLE} "
                f"WHERE customer_id IS NOT NULL AND ({each.where}) ORDER BY {each.order})"
            )
            path = str(folder / f"{each.name}.csv").replace("'", "''")
            [count] = connection.execute(
                f"COPY ({query}) TO '{path}' (FORMAT csv, HEADER)"
            ).fetchone() or (0,)
            counts[each.name] = int(count)
    finally:
        connection.close()
    return counts


def _safe(name: str, kind: pa.DataType) -> str:
    if not pa.types.is_string(kind):
        return f'"{name}"'
    return (
        f"CASE WHEN regexp_matches(\"{name}\", '{FORMULA}') THEN '''' || \"{name}\" "
        f'ELSE "{name}" END AS "{name}"'
    )
