"""One customer's rows in a run's history: what was known before its as_of, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.core.contract import CONTRACT
from features.core.errors import ReleaseRefused
from serving.api.lookup import Lookup

STATE = ("customer_id", "n", "first_at", "last_at", "overdue_state")


def read_rows(run: Lookup, name: str, customer: str) -> pa.Table | None:
    """The customer's rows of one table of the history, newest first; None without the table.

    Rows that happened, or were recorded, at or after the run's as_of are left out once more, though
    a run has none. ReleaseRefused where the file cannot be read.
    """
    path = run.folder / "history" / f"{name}.parquet"
    if not path.is_file():
        return None
    rows = _read_customer(path, list(CONTRACT[name].names), customer)
    clock = CONTRACT[name].clock
    for instant in {clock, "recorded_at"} & set(rows.column_names):
        rows = rows.filter(pc.less(rows[instant], run.as_of))
    # A stable order: what happened at one instant always stands in the same one.
    return rows.sort_by([(clock, "descending")]) if clock else rows


def has_values(run: Lookup, name: str, column: str) -> bool:
    """Whether a column of the history has a value for anybody, by the statistics of the file."""
    path = run.folder / "history" / f"{name}.parquet"
    if not path.is_file():
        return False
    with pq.ParquetFile(path) as file:
        place = file.schema_arrow.get_field_index(column)
        groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
        parts = [(group.num_rows, group.column(place).statistics) for group in groups]
    return any(part is None or part.null_count < rows for rows, part in parts)


def read_state(run: Lookup, customer: str) -> dict[str, Any]:
    """What the run counted of the customer: STATE, instants in µs UTC; empty without activity."""
    rows = _read_customer(run.folder / "features.parquet", list(STATE), customer)
    for place, field in enumerate(rows.schema):
        if pa.types.is_timestamp(field.type):
            rows = rows.set_column(place, field.name, rows[place].cast(pa.int64()))
    return rows.to_pylist()[0] if rows.num_rows else {}


def _read_customer(path: Path, columns: list[str], customer: str) -> pa.Table:
    """The customer's rows of a file that is sorted by customer_id."""
    try:
        # Without threads: of the few rows that are read, each would cost more than it saves.
        with pq.ParquetFile(path, memory_map=True) as file:
            rows = file.read_row_groups(
                _groups_of(file, customer), columns=columns, use_threads=False
            )
    except (OSError, ValueError, pa.ArrowException) as error:
        raise ReleaseRefused(
            where=f"the latest run, {path.name}",
            got="a file that cannot be read",
            rule="A run is used only if its files are as they were written.",
            fix="Run `lifecycle score -c …` again.",
        ) from error
    return rows.filter(pc.equal(rows["customer_id"], customer)).select(columns)


def _groups_of(file: pq.ParquetFile, customer: str) -> list[int]:
    """The groups of rows that may have the customer, by the statistics of the file."""
    place = file.schema_arrow.get_field_index("customer_id")
    groups = []
    for number in range(file.num_row_groups):
        known = file.metadata.row_group(number).column(place).statistics
        if known is None or not known.has_min_max or known.min <= customer <= known.max:
            groups.append(number)
    return groups
