"""The tables that the page draws: read as they were written, a row at a time, and never changed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from features.core.errors import ColumnMissing, WrongType
from serving.batch.writers import with_microseconds

RULE = "The page draws tables as `lifecycle value --out` writes them."
FIX = "Type: lifecycle value --out DIR, then lifecycle report --tables DIR."
# Tables whose rows are the parts of a total, by the columns that tell the totals apart.
PARTS: dict[str, tuple[str, ...]] = {
    "stages_now": (),
    "stages_over_time": ("day",),
    "migration": ("from_stage",),
    "leaving": (),
    "worth": ("by",),
    "tiers": (),
    "rfm_segments": (),
    "value_matrix": (),
}
_KEYS = ("days", "age_days")  # what a row is about, and nothing of customers
_LABELS = ("measure", "claim", "indicator", "channel")  # what a row of a table is about
FIRST_ROWS = 100  # of a table with a row for each customer
FEWEST = 10  # cells of fewer customers are not shown: they are almost persons


@dataclass(frozen=True)
class Row:
    """One row of a table: which one, and its cells.

    `is_withheld`: it is not shown, because a row of few customers would follow from a total.
    `withheld`: columns of which only this cell is not shown, for the same reason.
    """

    table: str
    number: int
    cells: Mapping[str, Any]
    is_withheld: bool = False
    withheld: frozenset[str] = frozenset()

    def __getitem__(self, column: str) -> Any:
        if column not in self.cells:
            raise ColumnMissing(
                where=f"the table {self.table}", got=f"no column '{column}'", rule=RULE, fix=FIX
            )
        return self.cells[column]

    @property
    def is_small(self) -> bool:
        """Whether it is about one to nine customers, or counts so few of many."""
        return any(0 < self.count_of(name) < FEWEST for name in ("n", "customers"))

    def hides(self, column: str) -> bool:
        """Whether a number of the column would be about one to nine customers."""
        few = 0 < self.count_of(f"customers_{column}") < FEWEST
        is_withheld = self.is_withheld or column in self.withheld
        return column not in _KEYS and (is_withheld or self.is_small or few)

    def number_of(self, column: str) -> float | None:
        """The number of a column; None where it is null, or about too few customers.

        WrongType for what is no finite number.
        """
        value = self[column]
        if value is None or self.hides(column):
            return None
        return self._checked(column, value)

    def count_of(self, column: str) -> float:
        """How many customers a column counts; 0 where there is none, WrongType as `number_of`."""
        value = self.cells.get(column)
        return 0.0 if value is None else self._checked(column, value)

    def _checked(self, column: str, value: Any) -> float:
        if isinstance(value, int | float) and math.isfinite(value):
            return float(value)
        where = f"the table {self.table}, column {column}"
        raise WrongType(where=where, got="no finite number", rule=RULE, fix=FIX)


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
        return [
            row
            for row in self._all_rows(name)
            if all(row.cells.get(column) == value for column, value in cells.items())
        ]

    def _all_rows(self, name: str) -> list[Row]:
        if name not in self._read:
            table, rows = self.tables.get(name), []
            if table is not None and not self.missing(name):
                rows = [Row(name, at, cells) for at, cells in enumerate(table.to_pylist())]
            self._read[name] = with_withheld([row for row in rows if not row.cells.get("missing")])
        return self._read[name]

    @cached_property
    def _read(self) -> dict[str, list[Row]]:
        """The rows of tables that were read already: both languages read the same."""
        return {}

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


def with_withheld(rows: list[Row]) -> list[Row]:
    """The rows, one more withheld in each group of PARTS in which a single one is small.

    The rows of such a group add up to a total that is shown; with two hidden, neither follows.
    """
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        if row.table in PARTS:
            groups.setdefault(tuple(row[each] for each in PARTS[row.table]), []).append(row)
    withheld = set()
    for group in groups.values():
        counts = {row.number: _part(row) for row in group}
        small = [number for number, count in counts.items() if 0 < count < FEWEST]
        others = [(count, number) for number, count in counts.items() if count >= FEWEST]
        if len(small) == 1 and others:
            withheld.add(min(others)[1])
    return [replace(row, is_withheld=True) if row.number in withheld else row for row in rows]


def _part(row: Row) -> float:
    """How many customers the row counts of its group."""
    return row.count_of("customers" if "customers" in row.cells else "n")


def read_tables(folder: Path) -> WrittenTables:
    """The parquet files of a folder that `lifecycle value --out` wrote.

    Of tables with a row for each customer only the first rows are read; `files` has all of them.
    """
    files = {path.stem: path for path in sorted(folder.glob("*.parquet"))}
    return WrittenTables({name: _read(path) for name, path in files.items()}, files=files)


def _read(path: Path) -> pa.Table:
    """The table of a file; WrongType, which names the file, where it is none."""
    try:
        return _read_file(pq.ParquetFile(path))
    except (OSError, ValueError, pa.ArrowException) as error:
        where, got = f"--tables, {path.name}", "no parquet file that can be read"
        raise WrongType(where=where, got=got, rule=RULE, fix=FIX) from error


def _read_file(file: pq.ParquetFile) -> pa.Table:
    if "customer_id" not in file.schema_arrow.names:
        return with_microseconds(file.read())
    batch = next(file.iter_batches(batch_size=FIRST_ROWS), None)
    table = file.schema_arrow.empty_table() if batch is None else pa.Table.from_batches([batch])
    return with_microseconds(table)
