"""Tables for users, as parquet or CSV: a whole file or none, with instants as datetimes.

Tables inside the program have instants as int64 microseconds UTC. They become datetimes only when a
file for a user is written; `with_microseconds` is the way back.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from features.core.errors import BadSetting, StoreFailed
from features.core.staged_files import staged_file

INSTANT_COLUMNS = ("as_of", "first_at", "last_at", "recency_from", "cover_until")
# As OWASP lists the beginnings that spreadsheets run; the full-width forms are the last four.
FORMULA = "^[=+\\-@\t\r\n＝＋－＠]"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # without it, spreadsheets take UTF-8 for another encoding
DATETIME = pa.timestamp("us", tz="UTC")
# 9999-12-31T23:59:59.999999Z, the last instant that Python and pandas can read.
LAST_INSTANT_US = 253_402_300_799_999_999


def with_datetimes(table: pa.Table) -> pa.Table:
    """The table with its instants as timestamp[us, tz=UTC]; null stays null.

    Of the int64 columns those in INSTANT_COLUMNS. An instant after year 9999 (cover without an end)
    becomes null.
    """
    for position, name in enumerate(table.column_names):
        column = table.column(position)
        # By name and type: a business may call a text attribute first_at.
        if name in INSTANT_COLUMNS and pa.types.is_int64(column.type):
            is_datetime = pc.less_equal(column, LAST_INSTANT_US)
            datetimes = pc.if_else(is_datetime, column, pa.scalar(None, pa.int64())).cast(DATETIME)
            table = table.set_column(position, name, datetimes)
    return table


def with_microseconds(table: pa.Table) -> pa.Table:
    """The inverse of `with_datetimes`: instants as int64 microseconds UTC."""
    for position, name in enumerate(table.column_names):
        column = table.column(position)
        if name in INSTANT_COLUMNS and pa.types.is_timestamp(column.type):
            table = table.set_column(position, name, column.cast(DATETIME).cast(pa.int64()))
    return table


def write_table(table: pa.Table, path: Path) -> None:
    """Write .parquet or .csv, by the ending of `path`; an old file stays until the new is whole.

    Instants are written as datetimes. CSV has no lists: their elements are joined with `|`.
    BadSetting for another ending, StoreFailed where the file cannot be written.
    """
    if path.suffix not in (".parquet", ".csv"):
        raise BadSetting(
            where="--out",
            got=f"a name ending in '{path.suffix}'",
            rule="It ends in .parquet or .csv.",
            fix="Give --out a name that ends in .parquet or .csv.",
        )
    table = with_datetimes(table)
    with out_errors():
        path.parent.mkdir(parents=True, exist_ok=True)
        with staged_file(path) as staged:
            if path.suffix == ".parquet":
                pq.write_table(table, staged)
            else:
                pa.csv.write_csv(_without_lists(table), staged)


@contextlib.contextmanager
def out_errors() -> Iterator[None]:
    """StoreFailed, which names --out, instead of an OSError of the block."""
    try:
        yield
    except OSError as error:
        raise StoreFailed(
            where="--out",
            got=error.strerror or "a write that failed",
            rule="The folder must be writable, with free space.",
            fix="Free disk space or correct the folder's rights; run again.",
        ) from error


def _without_lists(table: pa.Table) -> pa.Table:
    for position, name in enumerate(table.column_names):
        column = table.column(position)
        if pa.types.is_list(column.type):
            table = table.set_column(position, name, pc.binary_join(column, "|"))
    return table


def write_table_for_spreadsheets(table: pa.Table, path: Path) -> None:
    """Write a .csv that a spreadsheet may open: a text that would be a formula has a ' before it.

    StoreFailed where the file cannot be written.
    """
    write_table(without_formulas(table), path)


def write_rows_for_spreadsheets(rows: pa.RecordBatchReader, path: Path) -> int:
    """Write a .csv for people, a batch of rows at a time; how many rows there were.

    As `write_table_for_spreadsheets`, with a byte order mark. The file is written where it is
    named: for a folder that is not in place yet. OSError where it cannot be written.
    """
    count = 0
    with path.open("wb") as file:
        file.write(BYTE_ORDER_MARK)
        with pa.csv.CSVWriter(file, rows.schema) as writer:
            for batch in rows:
                writer.write_table(without_formulas(pa.Table.from_batches([batch])))
                count += batch.num_rows
    return count


def without_formulas(table: pa.Table) -> pa.Table:
    """The table with a ' before each text that a spreadsheet would run."""
    for position, name in enumerate(table.column_names):
        column = table.column(position)
        if pa.types.is_string(column.type):
            risky = pc.match_substring_regex(column, FORMULA)
            quoted = pc.binary_join_element_wise("'", column, "")
            table = table.set_column(position, name, pc.if_else(risky, quoted, column))
    return table
