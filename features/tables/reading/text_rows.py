"""The rows of an irregular text file, one by one: a bad row is named, and the next one is read.

Records are counted as a spreadsheet shows them: blank lines count, a cell with line ends is one
record. A cell in quotes that is never closed costs its own line alone.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from features.tables.reading.encodings import DAMAGED

# A cell in quotes may have so many lines; after that its quote counts as never closed.
MOST_LINES = 1_000
LONGEST_CELL = 2**25
csv.field_size_limit(LONGEST_CELL)

Row = tuple[int, list[str] | None, str]


def read_rows(path: Path, separator: str, *, skip: int = 0) -> Iterator[Row]:
    """(number, cells, '') of each record, and (number, None, reason) of one without cells.

    Blank lines are counted and left out. skip: bytes before the first record.
    """
    with path.open("rb") as binary:
        binary.seek(skip)
        with open(
            binary.fileno(), encoding="utf-8", errors="surrogateescape", newline="", closefd=False
        ) as lines:
            yield from _numbered(_Lines(lines), separator)


class _Lines:
    """Lines that can be put back."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines, self._returned = lines, list[str]()

    def next(self) -> str | None:
        if self._returned:
            return self._returned.pop()
        return next(self._lines, None)

    def put_back(self, lines: list[str]) -> None:
        self._returned += reversed(lines)


def _numbered(lines: _Lines, separator: str) -> Iterator[Row]:
    number = 0
    while (line := lines.next()) is not None:
        number += 1
        plain = line.rstrip("\r\n")
        if not plain.strip():
            continue
        if not plain.isascii() and DAMAGED.search(plain):
            yield number, None, "it has bytes that are no text in this encoding"
        elif "\x00" in plain:
            yield number, None, "it has a NUL (a byte that is zero)"
        elif '"' not in plain:
            yield number, plain.split(separator), ""
        else:
            cells, reason = _quoted(line, lines, separator)
            if cells is None or any(DAMAGED.search(cell) for cell in cells):
                reason = reason or "it has bytes that are no text in this encoding"
                yield number, None, reason
            elif any("\x00" in cell for cell in cells):
                yield number, None, "it has a NUL (a byte that is zero)"
            else:
                yield number, cells, ""


def _quoted(line: str, lines: _Lines, separator: str) -> tuple[list[str] | None, str]:
    """The cells of a record that begins with `line`; further lines are taken as needed."""
    taken = [line]
    while True:
        cells, is_open = _parse("".join(taken), separator)
        if cells is not None:
            return cells, ""
        more = _lines_to_quote(lines, MOST_LINES - len(taken)) if is_open else []
        if more and '"' in more[-1]:
            taken += more
            continue
        lines.put_back([*taken[1:], *more])
        if is_open or len(taken) > 1:
            return None, "a quote is opened and never closed"
        return None, "it has a quote inside of a cell in quotes (it must be doubled)"


def _lines_to_quote(lines: _Lines, most: int) -> list[str]:
    """The next lines up to one with a quote: no other can close the cell."""
    taken: list[str] = []
    while len(taken) < most and (line := lines.next()) is not None:
        taken.append(line)
        if '"' in line:
            break
    return taken


def _parse(text: str, separator: str) -> tuple[list[str] | None, bool]:
    """The cells, or None and whether the text ends inside a cell in quotes."""
    try:
        # One record: the line ends inside of quotes belong to their cell.
        rows = list(csv.reader([text], delimiter=separator, strict=True))
    except csv.Error as error:
        return None, "unexpected end of data" in str(error)
    return (rows[0] if len(rows) == 1 else None), False
