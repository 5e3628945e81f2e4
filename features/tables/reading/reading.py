"""What reading a file gives: SQL for its rows, what was recognised, and the rows left out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from features.tables.file_rows import FILE, ROW
from features.tables.parsing import literal, quote_identifier

LISTED_ROWS = 1_000


class Unreadable(Exception):
    """A file that cannot be read: what was got, the rule, and what to do. The caller adds where."""

    def __init__(self, got: str, rule: str, fix: str) -> None:
        self.got, self.rule, self.fix = got, rule, fix
        super().__init__(f"{got}. {rule} {fix}")


@dataclass(frozen=True)
class BadRow:
    """A row that was left out: its number in the file as a spreadsheet shows it, and why."""

    file: str
    row: int
    reason: str


@dataclass
class BadRows:
    """The rows left out of a file: how many, and the first LISTED_ROWS of them."""

    count: int = 0
    listed: list[BadRow] = field(default_factory=list)

    def add(self, file: str, row: int, reason: str) -> None:
        """Count one row, and list it while the list is short."""
        self.count += 1
        if len(self.listed) < LISTED_ROWS:
            self.listed.append(BadRow(file, row, reason))

    def extend(self, other: BadRows) -> None:
        """Count the rows of another file too."""
        self.count += other.count
        self.listed = [*self.listed, *other.listed][:LISTED_ROWS]


@dataclass(frozen=True)
class FileSql:
    """SQL for the rows of a file.

    plain: a SELECT of its columns. numbered: the same with FILE and ROW (`features.tables.
    file_rows`). paths: what the engine must be allowed to open.
    """

    plain: str
    numbered: str
    paths: tuple[Path, ...]


@dataclass
class FileReading:
    """One file as it was read.

    kind: a key of `kinds.KINDS`, sheet or folder. description: the format in words. rows: those
    that are read, without `bad_rows`. notes: what a person should know, such as an ending that
    says something else.
    """

    sql: FileSql
    kind: str
    description: str
    columns: tuple[str, ...]
    rows: int
    notes: list[str] = field(default_factory=list)
    bad_rows: BadRows = field(default_factory=BadRows)


@dataclass(frozen=True)
class FileReport:
    """What `check` says of a file under [files].

    path: as the configuration names it, without its folder. rows: those that are read. bad_rows:
    how many were left out because they could not be read. examples: the first of those.
    """

    path: str
    description: str
    rows: int = 0
    notes: tuple[str, ...] = ()
    bad_rows: int = 0
    examples: tuple[BadRow, ...] = ()

    @classmethod
    def from_reading(cls, path: Path, reading: FileReading) -> FileReport:
        return cls(
            path.name,
            reading.description,
            reading.rows,
            tuple(reading.notes),
            reading.bad_rows.count,
            tuple(reading.bad_rows.listed),
        )


def sql_of_source(source: str, *, file: str, first_row: int, paths: Iterable[Path]) -> FileSql:
    """SQL for a table function whose rows are those of the file, one by one.

    first_row: the number that a spreadsheet shows for the first of them.
    """
    return FileSql(
        f"SELECT * FROM {source}",
        f"SELECT *, {literal(file)} AS {FILE}, "
        f"row_number() OVER () + {first_row - 1} AS {ROW} FROM {source}",
        tuple(paths),
    )


def sql_of_converted(paths: list[Path], *, file: str) -> FileSql:
    """SQL for Parquet files that we wrote ourselves, with the row numbers in the column ROW."""
    listed = ", ".join(literal(str(path)) for path in paths)
    source = f"read_parquet([{listed}], union_by_name=true, hive_partitioning = false)"
    return FileSql(
        f"SELECT * EXCLUDE ({quote_identifier(ROW)}) FROM {source}",
        f"SELECT *, {literal(file)} AS {FILE} FROM {source}",
        tuple(paths),
    )
