"""Text with separators: which separator, the header, and the rows.

A regular file is read by the engine as it is; any other is read row by row into a temporary file,
without its bad rows, which are named and counted.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from features.tables.parsing import literal
from features.tables.reading.encodings import Encoding, convert_to_utf8, judge_damaged
from features.tables.reading.header import column_names
from features.tables.reading.reading import (
    BadRows,
    FileReading,
    FileSql,
    Unreadable,
    sql_of_converted,
    sql_of_source,
)
from features.tables.reading.row_writer import RowWriter
from features.tables.reading.structure import Structure, scan
from features.tables.reading.temporary import TemporaryFolder, require_disk
from features.tables.reading.text_rows import read_rows
from features.tables.reading.two_tables import SecondTable

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
LOOKED_AT_ROWS = 200
_ENGINE_LONGEST = 2_000_000  # what the engine takes as one line unless it is told
_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Dialect:
    """separator; skip: bytes before the header; lines: lines before the header (`sep=;`)."""

    separator: str
    skip: int
    lines: int
    names: tuple[str, ...]


def read_delimited(
    path: Path, file: str, encoding: Encoding, folder: TemporaryFolder
) -> FileReading:
    """The rows of one text file, which errors and bad rows call `file`. Raises Unreadable."""
    notes = []
    text = path if encoding.is_utf8 else convert_to_utf8(path, encoding, folder)
    dialect = find_dialect(text)
    structure = _scan(text, dialect)
    if not structure.utf8 and encoding.is_utf8:
        encoding = judge_damaged(text)
        if not encoding.is_utf8:
            text = convert_to_utf8(path, encoding, folder)
            dialect = find_dialect(text)
            structure = _scan(text, dialect)
    if encoding.is_guess:
        notes.append(f"it is read as {encoding.words}, a guess from its bytes")
    bad_rows = BadRows()
    if structure.regular and not dialect.lines:
        sql = _engine_sql(folder.alias(text), file, dialect, structure)
        rows = structure.records - 1
    else:
        sql, rows = _convert(text, file, dialect, folder, bad_rows)
    description = _description(dialect, encoding)
    return FileReading(sql, "text", description, dialect.names, rows, notes, bad_rows)


def _description(dialect: Dialect, encoding: Encoding) -> str:
    if len(dialect.names) == 1:
        return f"text of one column, {encoding.words}"
    return f"text with {SEPARATORS[dialect.separator]}, {encoding.words}"


def find_dialect(path: Path) -> Dialect:
    """The separator by the first rows: the one with which most of them have the header's width."""
    skip, lines, separator_line = _before_header(path)
    choices = [separator_line] if separator_line else list(SEPARATORS)
    separator = max(choices, key=lambda each: _fit(path, each, skip))
    rows = _first_rows(path, separator, skip)
    header = next(read_rows(path, separator, skip=skip), None)
    if not rows or header is None or header[1] is None:
        raise Unreadable(
            got="a first row that cannot be read" + (f": {header[2]}" if header else ""),
            rule="Row 1 has the names of the columns, each quote in it is closed.",
            fix="Correct row 1, or export the file again.",
        )
    names = column_names(rows[0], rows[1:], row=1 + lines)
    return Dialect(separator, skip, lines, tuple(names))


def _before_header(path: Path) -> tuple[int, int, str]:
    """Bytes and lines before the header, and the separator that a line `sep=;` names."""
    with path.open("rb") as file:
        head = file.read(64)
    skip = len(_MARK) if head.startswith(_MARK) else 0
    line = head[skip:].split(b"\n", 1)[0]
    separator_line = line.rstrip(b"\r").decode("ascii", errors="replace")
    if (
        len(separator_line) == 5
        and separator_line[:4].lower() == "sep="
        and separator_line[4] in SEPARATORS
    ):
        return skip + len(line) + 1, 1, separator_line[4]
    return skip, 0, ""


def _fit(path: Path, separator: str, skip: int) -> tuple[float, float, int]:
    """How well a separator fits: the share of rows as wide as the header, or as most rows are."""
    rows = _first_rows(path, separator, skip)
    widths = Counter(len(row) for row in rows)
    if not rows:
        return 0.0, 0.0, 0
    usual, count = widths.most_common(1)[0]
    if max(usual, len(rows[0])) == 1:
        return 0.0, 0.0, 1
    return (
        widths[len(rows[0])] / len(rows) * (len(rows[0]) > 1),
        count / len(rows) * (usual > 1),
        usual,
    )


def _first_rows(path: Path, separator: str, skip: int) -> list[list[str]]:
    rows = islice(read_rows(path, separator, skip=skip), LOOKED_AT_ROWS)
    return [cells for _, cells, _ in rows if cells is not None]


def _scan(text: Path, dialect: Dialect) -> Structure:
    return scan(text, separator=dialect.separator, columns=len(dialect.names), skip=dialect.skip)


def _engine_sql(path: Path, file: str, dialect: Dialect, structure: Structure) -> FileSql:
    columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in dialect.names)
    longest = ""
    if structure.longest >= _ENGINE_LONGEST // 2:
        longest = f", max_line_size={structure.longest + 2}"
    source = (
        f"read_csv({literal(str(path))}, auto_detect=false, hive_partitioning=false, header=true, "
        f"delim={literal(dialect.separator)}, quote='\"', escape='\"', "
        f"columns={{{columns}}}{longest})"
    )
    return sql_of_source(source, file=file, first_row=2, paths=[path])


def _convert(
    text: Path, file: str, dialect: Dialect, folder: TemporaryFolder, bad_rows: BadRows
) -> tuple[FileSql, int]:
    """Read row by row into a temporary file; returns how many rows it has.

    Bad rows are added to `bad_rows`.
    """
    require_disk(os.path.getsize(text), f"reading {file} row by row")
    rows = read_rows(text, dialect.separator, skip=dialect.skip)
    next(rows)  # the header
    width = len(dialect.names)
    widths: Counter[int] = Counter()
    second = SecondTable(dialect.names)
    with RowWriter(folder, dialect.names) as writer:
        for row, cells, reason in rows:
            number = row + dialect.lines
            if cells is None:
                second.skip(row)
                bad_rows.add(file, number, reason)
                continue
            if len(cells) != width:
                # Empty cells beyond the header say nothing.
                if len(cells) > width and not any(cell.strip() for cell in cells[width:]):
                    cells = cells[:width]
                else:
                    widths[len(cells)] += 1
                    second.skip(row)
                    bad_rows.add(file, number, f"it has {len(cells)} cells, the header {width}")
                    continue
            second.look(row, cells)
            writer.write(number, cells)
    _refuse_mostly_bad(writer.rows, bad_rows, width, widths)
    return sql_of_converted(writer.paths, file=file), writer.rows


def _refuse_mostly_bad(rows: int, bad: BadRows, width: int, widths: Counter[int]) -> None:
    if bad.count <= rows:
        return
    usual = widths.most_common(1)
    cells = f"; {usual[0][1]:,} of them have {usual[0][0]} cells" if usual else ""
    raise Unreadable(
        got=f"{bad.count:,} of {rows + bad.count:,} rows that do not fit the header, which has "
        f"{width} cells{cells}",
        rule="Row 1 has a name for each column, and at least half of the rows fit it.",
        fix="Correct row 1 (a name for each column), or export the file again with one separator "
        "and with quotes around cells that contain it.",
    )
