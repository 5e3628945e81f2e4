"""Sheets of a workbook (xlsx, xls, ods) as rows of text.

A date is written as ISO text, a day without a clock as the day alone, a whole number without `.0`,
a flag as true or false, an error as the sheet shows it (#N/A; xlsx only, elsewhere it is empty).
"""

from __future__ import annotations

import datetime as dt
import zipfile
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import python_calamine as calamine

from features.tables.reading.header import column_names
from features.tables.reading.reading import (
    FileReading,
    Unreadable,
    sql_of_converted,
)
from features.tables.reading.row_writer import RowWriter
from features.tables.reading.sheet_errors import error_cells
from features.tables.reading.temporary import TemporaryFolder, gigabytes, require_disk
from features.tables.reading.two_tables import SecondTable

# A sheet is held in memory by its reader. A full one (1,048,576 rows of 15 columns) is under this.
MOST_UNPACKED = 2 * 10**9
_LOOKED_AT_ROWS = 20


def list_sheets(path: Path) -> list[str]:
    """The names of the visible sheets that have cells. Raises Unreadable."""
    workbook = _open(path)
    return [name for name in _visible(workbook) if workbook.get_sheet_by_name(name).end]


def read_sheet(
    path: Path, sheet: str | None, file: str, folder: TemporaryFolder, words: str
) -> FileReading:
    """The rows of one sheet, which bad rows and rejects call `file`; words: the kind's.

    Without a name, the only sheet that has cells. Raises Unreadable.
    """
    workbook = _open(path)
    name = _choose(workbook, sheet, path)
    try:
        data = workbook.get_sheet_by_name(name)
    except calamine.CalamineError as error:
        raise _damaged(error) from error
    if data.end is None or data.start is None:
        raise Unreadable(
            got=f"the sheet '{name}' without a cell",
            rule="A sheet has a header and rows.",
            fix="Name another sheet, or leave the file out.",
        )
    require_disk(path.stat().st_size * 4, f"reading {file}")
    errors = error_cells(path, name)
    rows = _text_rows(data, data.start[1], errors)
    number, header = next(rows)
    if number > 1:
        raise Unreadable(
            got=f"{number - 1:,} blank row{'s' if number > 2 else ''} above the header",
            rule="Row 1 has the names of the columns, and nothing stands above it.",
            fix="Delete the rows above the names of the columns.",
        )
    first = [row for _, row in zip(range(_LOOKED_AT_ROWS), rows, strict=False)]
    _refuse_merged(data, len(header))
    names = column_names(header, [cells for _, cells in first])
    _refuse_side_by_side(header, names)
    second = SecondTable(names)
    with RowWriter(folder, names) as writer:
        for number, cells in (*first, *rows):
            second.look(number, cells)
            writer.write(number, cells)
    return FileReading(
        sql_of_converted(writer.paths, file=file),
        "sheet",
        f"{words}, sheet '{name}'",
        tuple(names),
        writer.rows,
    )


def _open(path: Path) -> calamine.CalamineWorkbook:
    _refuse_bomb(path)
    try:
        return calamine.CalamineWorkbook.from_path(str(path))
    except calamine.PasswordError as error:
        raise Unreadable(
            got="a workbook with a password",
            rule="A workbook has no password.",
            fix="Open it, remove the password, and save it.",
        ) from error
    except (calamine.CalamineError, OSError) as error:
        raise _damaged(error) from error


def _damaged(error: Exception) -> Unreadable:
    return Unreadable(
        got=f"a workbook that cannot be read ({type(error).__name__})",
        rule="A workbook is complete and was saved by a spreadsheet program.",
        fix="Open it in a spreadsheet program and save it again, or save the sheet as CSV.",
    )


def _refuse_bomb(path: Path) -> None:
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > MOST_UNPACKED:
        raise Unreadable(
            got=f"a workbook of {gigabytes(unpacked)} when it is unpacked",
            rule=f"A workbook has at most {gigabytes(MOST_UNPACKED)} unpacked, because a sheet is "
            "held in memory while it is read.",
            fix="Save each sheet as CSV, which may have any size.",
        )


def _visible(workbook: calamine.CalamineWorkbook) -> list[str]:
    return [
        each.name
        for each in workbook.sheets_metadata
        if each.visible == calamine.SheetVisibleEnum.Visible
        and each.typ == calamine.SheetTypeEnum.WorkSheet
    ]


def _choose(workbook: calamine.CalamineWorkbook, sheet: str | None, path: Path) -> str:
    """The named sheet; without a name, the only visible one with cells."""
    names = workbook.sheet_names
    if sheet is not None:
        match = [name for name in names if name == sheet]
        match = match or [name for name in names if name.strip().lower() == sheet.strip().lower()]
        if len(match) != 1:
            raise Unreadable(
                got=f"no sheet '{sheet}'; it has {_listed(names)}",
                rule="The text after # is the name of a sheet.",
                fix=f'Write one of them, such as "{path.name}#{names[0]}".' if names else "",
            )
        return match[0]
    filled = [name for name in _visible(workbook) if workbook.get_sheet_by_name(name).end]
    if len(filled) != 1:
        raise Unreadable(
            got=f"a workbook with {len(filled)} sheets: {_listed(filled)}"
            if filled
            else "a workbook without a cell",
            rule="One sheet is one table.",
            fix=f'Name the sheet after #, such as "{path.name}#{filled[0]}".'
            if filled
            else "Export it again, or leave it out.",
        )
    return filled[0]


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:10])
    return f"{shown} and {len(names) - 10} more" if len(names) > 10 else shown


def _text_rows(
    data: calamine.CalamineSheet, first_column: int, errors: dict[tuple[int, int], str]
) -> Iterator[tuple[int, list[str]]]:
    """(number, cells) of each row that is not blank."""
    by_row: dict[int, list[tuple[int, str]]] = {}
    for (place, column), text in errors.items():
        by_row.setdefault(place, []).append((column - first_column, text))
    for number, row in enumerate(data.iter_rows(), start=1):
        _refuse_long_numbers(number, row)
        cells = [_text(cell) for cell in row]
        for column, text in by_row.get(number, ()):
            if 0 <= column < len(cells):
                cells[column] = cells[column] or text
        if any(cell.strip() for cell in cells):
            yield number, cells


def _refuse_long_numbers(number: int, row: Sequence[Any]) -> None:
    """Unreadable for a number of more than 15 digits: a workbook rounds it, so ids would merge."""
    for place, cell in enumerate(row, start=1):
        if isinstance(cell, int | float) and 1e15 <= abs(cell) < 1e22 and cell == int(cell):
            raise Unreadable(
                got=f"a number of more than 15 digits (row {number}, column {place})",
                rule="A workbook keeps 15 digits of a number, so longer ids become equal.",
                fix="Format the column as text and fill it again, or export the table as CSV.",
            )


def _text(cell: Any) -> str:
    match cell:
        case str():
            return cell
        case bool():
            return "true" if cell else "false"
        case float() | int():
            return _number_text(cell)
        case dt.datetime():
            return _whole_milliseconds(cell).isoformat(sep=" ")
        case dt.date() | dt.time():
            return cell.isoformat()
        case dt.timedelta():
            seconds = cell.total_seconds()
            hours, rest = divmod(round(seconds), 3600)
            return f"{hours}:{rest // 60:02}:{rest % 60:02}"
    return str(cell)


def _number_text(number: float) -> str:
    """Digits without an exponent, and without a point where the number is whole."""
    if number != number or number in (float("inf"), float("-inf")):
        return str(number)
    text = format(Decimal(repr(number)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _whole_milliseconds(moment: dt.datetime) -> dt.datetime:
    """A sheet stores a time as a fraction of a day, which is exact to about a millisecond."""
    nearest = moment + dt.timedelta(microseconds=500)
    nearest = nearest.replace(microsecond=nearest.microsecond // 1000 * 1000)
    second = (nearest + dt.timedelta(milliseconds=2)).replace(microsecond=0)
    return second if abs(second - nearest) <= dt.timedelta(milliseconds=2) else nearest


def _refuse_merged(data: calamine.CalamineSheet, width: int) -> None:
    merged = [
        (start, end)
        for start, end in data.merged_cell_ranges or ()
        if start[0] == 0 and start != end
    ]
    if merged:
        places = ", ".join(f"{_place(start)}:{_place(end)}" for start, end in merged[:3])
        raise Unreadable(
            got=f"merged cells in the header ({places})",
            rule="Row 1 has one cell with a name for each column.",
            fix="Unmerge these cells and write a name into each, or save the table without the "
            "upper header.",
        )


def _place(cell: tuple[int, int]) -> str:
    """`(0, 27)` is AB1."""
    letters, column = "", cell[1] + 1
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(65 + rest) + letters
    return f"{letters}{cell[0] + 1}"


def _refuse_side_by_side(header: Sequence[str], names: Sequence[str]) -> None:
    """Two tables side by side have a column without a name between them."""
    named = [place for place, cell in enumerate(header) if cell.strip()]
    gaps = [place for place in range(named[0], named[-1]) if not header[place].strip()]
    if gaps:
        raise Unreadable(
            got=f"a column without a name between others (the {gaps[0] + 1}. of {len(names)})",
            rule="A sheet has one table, and every column of it has a name in row 1.",
            fix="Name the column in row 1 or delete it; move a second table to a sheet of its own.",
        )
