"""The customers behind each picture, as CSV files beside the page: safe for spreadsheets."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from features.core.errors import WrongType
from serving.batch.writers import write_rows_for_spreadsheets
from serving.report.picture import CustomerList
from serving.report.written_tables import FIX, RULE

TABLE = "customers"
MEMORY = "1GB"  # of the engine that sorts them; what is more is on the disk meanwhile


def write_lists(customers: Path, lists: Iterable[CustomerList], folder: Path) -> dict[str, int]:
    """`<name>.csv` of each list in `folder`; how many customers each has.

    customers: the parquet file of the table. Columns that the table does not have are left out.
    WrongType where what a list selects or sorts by is missing, or no number or text as it should.
    """
    counts, known = {}, pq.read_schema(customers).names
    with duckdb.connect() as connection:
        # On one thread the order of rows is that of the query.
        connection.execute(f"SET memory_limit = '{MEMORY}'; SET threads = 1")
        connection.execute(f"SET temp_directory = {_quoted(folder / '.engine')}")
        connection.execute(f"CREATE VIEW {TABLE} AS FROM read_parquet({_quoted(customers)})")
        for each in lists:
            names = ["customer_id", *(name for name in each.columns if name in known)]
            query = (
                f"SELECT {', '.join(names)} FROM {TABLE} "
                f"WHERE customer_id IS NOT NULL AND ({each.where}) ORDER BY {each.order}"
            )
            try:
                rows = connection.execute(query).to_arrow_reader()
            except (duckdb.BinderException, duckdb.ConversionException) as error:
                where, got = f"the table {TABLE}", "columns of other names or types"
                raise WrongType(where=where, got=got, rule=RULE, fix=FIX) from error
            counts[each.name] = write_rows_for_spreadsheets(rows, folder / f"{each.name}.csv")
    shutil.rmtree(folder / ".engine", ignore_errors=True)
    return counts


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
