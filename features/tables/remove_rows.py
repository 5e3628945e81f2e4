"""Take the rows of forgotten customers out of a table in a file; all other rows keep every bit.

A Parquet file is written anew, a group of rows at a time; of a CSV file the lines of the others are
copied as they are. Neither reads the file into memory as a whole.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.core.forgotten import Forgotten
from features.tables.forgotten_rows import CUSTOMER_COLUMNS, customer_columns, forgotten_mask

SUFFIXES = (".parquet", ".csv")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# Instants at which a customer was there, in the tables of a run.
INSTANTS = ("occurred_at", "starts_at", "acquired_at")


@dataclass
class Removed:
    """What was taken out: how many rows, of whom, and when they were first there (µs UTC)."""

    rows: int = 0
    ids: set[str] = field(default_factory=set)
    first: dict[str, int] = field(default_factory=dict)

    def add(self, other: Removed) -> None:
        """Count what was taken out elsewhere, too."""
        self.rows += other.rows
        self.ids |= other.ids
        for name, at in other.first.items():
            self.first[name] = min(at, self.first.get(name, at))


def remove_rows(path: Path, forgotten: Forgotten, target: Path | None) -> Removed:
    """Write the file without the rows of forgotten customers to `target`; what was taken out.

    target: None to count alone. Nothing is written where nothing is taken out. OSError, ValueError
    and pa.ArrowException where the file cannot be read or written.
    """
    if path.suffix == ".parquet":
        return _remove_from_parquet(path, forgotten, target)
    return _remove_from_csv(path, forgotten, target)


def _remove_from_parquet(path: Path, forgotten: Forgotten, target: Path | None) -> Removed:
    with pq.ParquetFile(path) as file:
        removed = _count_in_groups(file, forgotten)
        if removed.rows and target is not None:
            _copy_groups(file, forgotten, target)
    return removed


def _count_in_groups(file: pq.ParquetFile, forgotten: Forgotten) -> Removed:
    """Only the columns with ids and instants are read."""
    removed = Removed()
    schema = file.schema_arrow
    named = customer_columns(schema.names)
    if not named:
        return removed
    instants = [
        name
        for name in INSTANTS
        if name in schema.names and pa.types.is_int64(schema.field(name).type)
    ]
    for group in range(file.num_row_groups):
        rows = file.read_row_group(group, columns=[*named, *instants])
        mask = forgotten_mask(rows, forgotten)
        if mask is not None:
            removed.add(_removed_of(rows.filter(mask), named, instants, forgotten))
    return removed


def _removed_of(
    rows: pa.Table, named: list[str], instants: list[str], forgotten: Forgotten
) -> Removed:
    ids = {
        name
        for column in named
        for name in forgotten.among(pc.unique(rows[column].cast(pa.string())).to_pylist())
    }
    first: dict[str, int] = {}
    if "customer_id" in named:
        for instant in instants:
            least = rows.group_by("customer_id").aggregate([(instant, "min")]).to_pylist()
            for each in least:
                name, at = each["customer_id"], each[f"{instant}_min"]
                if at is not None:
                    first[name] = min(at, first.get(name, at))
    return Removed(rows.num_rows, ids, first)


def _copy_groups(file: pq.ParquetFile, forgotten: Forgotten, target: Path) -> None:
    """Each group of rows stays a group, so that single customers are read as quickly."""
    options = {"compression": _compression(file)}
    with pq.ParquetWriter(target, file.schema_arrow, **options) as writer:
        for group in range(file.num_row_groups):
            rows = file.read_row_group(group)
            mask = forgotten_mask(rows, forgotten)
            rows = rows if mask is None else rows.filter(pc.invert(mask))
            if rows.num_rows:
                writer.write_table(rows, row_group_size=rows.num_rows)


def _compression(file: pq.ParquetFile) -> str:
    if not file.num_row_groups:
        return "snappy"
    return str(file.metadata.row_group(0).column(0).compression).lower()


def _remove_from_csv(path: Path, forgotten: Forgotten, target: Path | None) -> Removed:
    removed = Removed()
    with path.open("rb") as source:
        lines = _records(source)
        header = next(lines, b"")
        names = _cells(header.removeprefix(BYTE_ORDER_MARK))
        places = [names.index(name) for name in CUSTOMER_COLUMNS if name in names]
        if not places:
            if any(name.encode() in header for name in CUSTOMER_COLUMNS):
                raise ValueError("a file with another separator or encoding")
            return removed
        is_forgotten = _test_of_cells(places, forgotten, removed)
        removed.rows = sum(map(is_forgotten, lines))
    if removed.rows and target is not None:
        with ExitStack() as files:
            source = files.enter_context(path.open("rb"))
            written = files.enter_context(target.open("wb"))
            lines = _records(source)
            written.write(next(lines))
            written.writelines(line for line in lines if not is_forgotten(line))
    return removed


def _test_of_cells(
    places: list[int], forgotten: Forgotten, removed: Removed
) -> Callable[[bytes], bool]:
    """Whether a line of a CSV file is of a forgotten customer; their ids go to `removed`."""

    def test(line: bytes) -> bool:
        cells = _cells(line)
        # An id that a spreadsheet would run has a ' before it in our lists.
        ids = [cells[place] for place in places if place < len(cells)]
        ids += [name.removeprefix("'") for name in ids if name.startswith("'")]
        matches = forgotten.among(ids)
        removed.ids.update(matches)
        return bool(matches)

    return test


def _cells(line: bytes) -> list[str]:
    return next(csv.reader(io.StringIO(line.decode("utf-8"), newline="")), [])


def _records(file: io.BufferedReader) -> Iterator[bytes]:
    """The lines of a CSV file with their ends; a line end between quotes ends no line."""
    parts: list[bytes] = []
    quotes = 0
    for line in file:
        parts.append(line)
        quotes += line.count(b'"')
        if quotes % 2 == 0:
            yield b"".join(parts)
            parts, quotes = [], 0
    if parts:
        yield b"".join(parts)
