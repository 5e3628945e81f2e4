"""One customer's rows in a run's history: what was known before its as_of, and nothing else."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.core.contract import ALL_TABLES
from features.core.file_hashes import hash_file
from features.engine.prepared import table_columns
from features.recipes.attributes import Attribute
from serving.api.lookup import Lookup, refuse_file

STATE = ("customer_id", "n", "first_at", "last_at", "overdue_state")


def read_rows(
    run: Lookup, name: str, customer: str, *, attributes: Sequence[Attribute] = ()
) -> pa.Table | None:
    """The customer's rows of one table of the history, newest first; None without the table.

    `attributes`: those of the business, whose columns a row of customers has besides.

    Rows that happened, or were recorded, at or after the run's as_of are left out once more, though
    a run has none. RunRefused where the file is missing, or not as the run wrote it.
    """
    path = _history_file(run, name)
    if path is None:
        return None
    with _damage_refused(path):
        columns = [column.name for column in table_columns(name, attributes)]
        rows = _read_customer(path, columns, customer)
        clock = ALL_TABLES[name].clock
        for instant in {clock, "recorded_at"} & set(rows.column_names):
            rows = rows.filter(pc.less(rows[instant], run.as_of))
        # A stable order: what happened at one instant always stands in the same one.
        return rows.sort_by([(clock, "descending")]) if clock else rows


def read_rows_of_many(
    run: Lookup, name: str, customers: Sequence[str], columns: list[str], *, most: int
) -> pa.Table | None:
    """These customers' rows of one table of the history; None without the table.

    The file is compared with its hash, once for all requests. A little more than `most` rows are
    read where there are more. RunRefused where it is missing, or not as the run wrote it.
    """
    path = _history_file(run, name)
    if path is None:
        return None
    ids = pa.array(sorted(set(customers)), pa.string())
    with _damage_refused(path):
        stat = path.stat()
        if _file_hash(path, stat.st_ctime_ns, stat.st_size) != run.history_hashes.get(name):
            raise refuse_file(path.name, "a file that is not as it was written")
        parts: list[pa.Table] = []
        total = 0
        with pq.ParquetFile(path, memory_map=True) as file:
            # A group at a time: of few customers in a large table little stays in memory.
            groups = _groups_of(file, ids[0].as_py(), ids[-1].as_py()) if len(ids) else []
            for group in groups:
                rows = file.read_row_group(group, columns=columns, use_threads=False)
                parts.append(rows.filter(pc.is_in(rows["customer_id"], value_set=ids)))
                total += parts[-1].num_rows
                if total > most:
                    break
            if not parts:
                return file.schema_arrow.empty_table().select(columns)
    return pa.concat_tables(parts)


@functools.lru_cache(maxsize=32)
def _file_hash(path: Path, _ctime_ns: int, _size: int) -> str:
    """The sha256 of a file; it is read again once the file has another time or size."""
    return hash_file(path)["sha256"]


def has_values(run: Lookup, name: str, column: str) -> bool:
    """Whether a column of the history has a value for anybody, by the statistics of the file."""
    path = _history_file(run, name)
    if path is None:
        return False
    with _damage_refused(path), pq.ParquetFile(path) as file:
        place = file.schema_arrow.get_field_index(column)
        groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
        parts = [(group.num_rows, group.column(place).statistics) for group in groups]
    return any(part is None or part.null_count < rows for rows, part in parts)


def _history_file(run: Lookup, name: str) -> Path | None:
    """The file of a table that the run wrote, as large as it was; None for one it has not."""
    size, path = run.history.get(name), run.folder / "history" / f"{name}.parquet"
    if size is None:
        return None
    if not path.is_file() or path.stat().st_size != size:
        raise refuse_file(path.name, "a file that is missing, or not as it was written")
    return path


@contextlib.contextmanager
def _damage_refused(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, LookupError, pa.ArrowException) as error:
        raise refuse_file(path.name, "a file that cannot be read") from error


def read_state(run: Lookup, customer: str) -> dict[str, Any]:
    """What the run counted of the customer: STATE, instants in µs UTC; empty without activity."""
    rows = read_feature_row(run, customer, list(STATE))
    return rows.to_pylist()[0] if rows.num_rows else {}


def read_feature_row(run: Lookup, customer: str, columns: list[str] | None = None) -> pa.Table:
    """The customer's feature row as it was scored, instants in µs UTC; no row without activity.

    columns: some of them; None: all.
    """
    path = run.folder / "features.parquet"
    with _damage_refused(path):
        rows = _read_customer(path, columns, customer)
    for place, field in enumerate(rows.schema):
        if pa.types.is_timestamp(field.type):
            rows = rows.set_column(place, field.name, rows[place].cast(pa.int64()))
    return rows


def _read_customer(path: Path, columns: list[str] | None, customer: str) -> pa.Table:
    """The customer's rows of a file that is sorted by customer_id."""
    # Without threads: of the few rows that are read, each would cost more than it saves.
    with pq.ParquetFile(path, memory_map=True) as file:
        groups = _groups_of(file, customer, customer)
        rows = file.read_row_groups(groups, columns=columns, use_threads=False)
    rows = rows.filter(pc.equal(rows["customer_id"], customer))
    return rows if columns is None else rows.select(columns)


def _groups_of(file: pq.ParquetFile, first: str, last: str) -> list[int]:
    """The groups of rows that may have ids from first to last, by the statistics of the file."""
    place = file.schema_arrow.get_field_index("customer_id")
    groups = []
    for number in range(file.num_row_groups):
        known = file.metadata.row_group(number).column(place).statistics
        if known is None or not known.has_min_max or (known.min <= last and first <= known.max):
            groups.append(number)
    return groups
