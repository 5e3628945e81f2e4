"""The file with the ids of those who are to be forgotten: one id a line, or a CSV file."""

from __future__ import annotations

import codecs
import csv
import re
from dataclasses import dataclass
from pathlib import Path

from features.core.errors import EmptyTable, FileMissing, QueryFailed, WrongType

HEADERS = ("customer_id", "id")
SEPARATORS = ",;\t"
# What a spreadsheet makes of an id of digits: 17.0, 1.23457E+12, 1,23457E+12.
_OF_A_SPREADSHEET = re.compile(r"\d+[.,]0+|\d([.,]\d+)?[eE]\+\d+", re.ASCII)


@dataclass(frozen=True)
class IdList:
    """The ids, each once, and how many more lines repeated one."""

    ids: tuple[str, ...]
    repeated: int


def read_id_list(path: Path, *, as_written: bool = False) -> IdList:
    """The ids of a text file in UTF-8 or UTF-16; spaces around an id are not part of it.

    A file of one column may have `customer_id` or `id` as its first line; one of several columns
    has a column of that name. FileMissing, QueryFailed, EmptyTable; WrongType where a spreadsheet
    wrote numbers, unless `as_written`.
    """
    lines = [line for line in _read_text(path).splitlines() if line.strip()]
    separator = next((sign for sign in SEPARATORS if lines and sign in lines[0]), None)
    ids = _of_columns(lines, separator) if separator else _of_lines(lines)
    ids = [name for name in map(str.strip, ids) if name]
    if not ids:
        raise EmptyTable(
            where="--ids",
            got="no id",
            rule="The file has one id a line, or is a CSV file with a column customer_id.",
            fix="Write the ids of those who are to be forgotten into it.",
        )
    if not as_written:
        _refuse_numbers(ids)
    unique = tuple(dict.fromkeys(ids))
    return IdList(unique, len(ids) - len(unique))


def _read_text(path: Path) -> str:
    try:
        if not path.is_file():  # to open a pipe would wait for a writer
            raise FileNotFoundError(path)
        raw = path.read_bytes()
    except OSError as error:
        raise FileMissing(
            where="--ids",
            got="no file that can be read",
            rule="It is a text file with one id a line.",
            fix="Correct the path.",
            values=[path],
        ) from error
    wide = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = raw.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise _unreadable("bytes that are no text in UTF-8") from error
    if "\0" in text:
        raise _unreadable("zero bytes, as in a workbook")
    return text


def _unreadable(got: str) -> QueryFailed:
    return QueryFailed(
        where="--ids",
        got=got,
        rule="It is a text file in UTF-8 or UTF-16 with one id a line.",
        fix="Export the ids as text or CSV.",
    )


def _of_lines(lines: list[str]) -> list[str]:
    ids = [line.strip() for line in lines]
    ids = [_unquoted(name) for name in ids]
    return ids[1:] if ids and ids[0].strip().lower() in HEADERS else ids


def _unquoted(name: str) -> str:
    is_quoted = len(name) > 1 and name[0] == name[-1] == '"'
    return name[1:-1].replace('""', '"') if is_quoted else name


def _of_columns(lines: list[str], separator: str) -> list[str]:
    rows = list(csv.reader(lines, delimiter=separator))
    names = [name.strip().lower() for name in rows[0]]
    column = next((name for name in HEADERS if names.count(name) == 1), None)
    if column is None:
        raise QueryFailed(
            where="--ids",
            got=f"{len(names)} columns, and none of the name customer_id",
            rule="A file of several columns says which of them has the ids.",
            fix="Give the column the name customer_id, or leave the others out.",
        )
    place = names.index(column)
    return [row[place] for row in rows[1:] if place < len(row)]


def _refuse_numbers(ids: list[str]) -> None:
    places = [place for place, name in enumerate(ids, 1) if _OF_A_SPREADSHEET.fullmatch(name)]
    if places:
        raise WrongType(
            where=f"--ids, id {places[0]:,}",
            got=f"{len(places):,} of {len(ids):,} ids as a spreadsheet writes numbers, such as "
            "1.5E+11 or 17.0",
            rule="An id is text: of a number a spreadsheet drops leading zeros and last digits.",
            fix="Export the ids as text. If the tables have them just so, add --as-written.",
        )
