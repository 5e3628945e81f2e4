"""The tables that the page draws: read as they were written, a row at a time, and never changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from serving.batch.writers import with_microseconds

_KEYS = ("days", "age_days")  # what a row is about, and nothing of customers
_LABELS = ("measure", "claim", "indicator", "channel")  # what a row of a table is about
FIRST_ROWS = 100  # of a table with a row for each customer
FEWEST = 10  # cells of fewer customers are not shown: they are almost persons


@dataclass(frozen=True)
class Row:
    """One row of a table: which one, and its cells."""

    table: str
    number: int
    cells: Mapping[str, Any]

    def __getitem__(self, column: str) -> Any:
        return self.cells[column]

    @property
    def is_small(self) -> bool:
        """Whether it is about one to nine customers, or counts so few of many."""
        return any(0 < (self.cells.get(count) or 0) < FEWEST for count in ("n", "customers"))

    def hides(self, column: str) -> bool:
        """Whether a number of the column would be about one to nine customers."""
        few = 0 < (self.cells.get(f"customers_{column}") or 0) < FEWEST
        return column not in _KEYS and (self.is_small or few)

    def number_of(self, column: str) -> float | None:
        """The number of a column; None where it is null, or about too few customers."""
        value = self.cells[column]
        return None if value is None or self.hides(column) else float(value)


@dataclass(frozen=True)
class WrittenTables:
    """Tables by name, and the currency of their money (None where it is not stated).

    `files`: where tables were read from that are to be copied as they are.
    """

    tables: Mapping[str, pa.Table]
    currency: str | None = None
    files: Mapping[str, Path] = field(default_factory=dict)

    def rows(self, name: str, /, **cells: Any) -> list[Row]:
        """The rows of a table whose cells are these, in its order.

        None where the table is not there, or says what is missing instead.
        """
        table = self.tables.get(name)
        if table is None or self.missing(name):
            return []
        return [
            Row(name, number, each)
            for number, each in enumerate(table.to_pylist())
            if all(each.get(column) == value for column, value in cells.items())
            and each.get("missing") is None
        ]

    def first(self, name: str, count: int) -> list[Row]:
        """The first rows of a table that has one for each customer."""
        table = self.tables.get(name)
        if table is None or self.missing(name):
            return []
        rows = table.slice(0, count).to_pylist()
        return [Row(name, number, each) for number, each in enumerate(rows)]

    def row(self, name: str, /, **cells: Any) -> Row | None:
        """The first of these rows."""
        return next(iter(self.rows(name, **cells)), None)

    def missing(self, name: str) -> str | None:
        """What a table says is missing, where it has no row with numbers."""
        table = self.tables.get(name)
        if table is None:
            return name
        if not table.num_rows or "missing" not in table.column_names:
            return None
        says = table["missing"]
        return None if says.null_count else str(says[0].as_py())

    def notes(self, names: Iterable[str]) -> list[tuple[str, str]]:
        """What rows of these tables say is missing: what the row is about, and what it misses."""
        notes: dict[str, str] = {}
        for name in names:
            table = self.tables.get(name)
            if table is None or "missing" not in table.column_names:
                continue
            for row in table.filter(table["missing"].is_valid()).to_pylist():
                about = (row[each] for each in _LABELS if row.get(each))
                notes.setdefault(row["missing"], next(about, ""))
        return [(about, text) for text, about in notes.items()]


def read_tables(folder: Path) -> WrittenTables:
    """The parquet files of a folder that `lifecycle value --out` wrote.

    Of tables with a row for each customer only the first rows are read; `files` has all of them.
    """
    files = {path.stem: path for path in sorted(folder.glob("*.parquet"))}
    tables = {name: _read(path) for name, path in files.items()}
    return WrittenTables(tables, files=files)


def _read(path: Path) -> pa.Table:
    file = pq.ParquetFile(path)
    if "customer_id" not in file.schema_arrow.names:
        return with_microseconds(file.read())
    batch = next(file.iter_batches(batch_size=FIRST_ROWS), None)
    table = file.schema_arrow.empty_table() if batch is None else pa.Table.from_batches([batch])
    return with_microseconds(table)
