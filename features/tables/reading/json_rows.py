"""JSON as rows of text: an array of objects, one object with one such array, or JSON lines.

A key is a column; one that an object does not have is an empty cell. Numbers keep their digits as
they are written. A nested value becomes its JSON text. Objects are read one after the other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from json.encoder import encode_basestring
from pathlib import Path
from typing import Any, TextIO

from features.tables.reading.encodings import DAMAGED, Encoding, convert_to_utf8
from features.tables.reading.reading import (
    BadRows,
    FileReading,
    Unreadable,
    sql_of_converted,
)
from features.tables.reading.row_writer import RowWriter
from features.tables.reading.temporary import TemporaryFolder, require_disk

PIECE = 2**20
LONGEST_OBJECT = 64 * 2**20
MOST_KEYS = 5_000
_RULE = "A JSON file is an array of objects, one object with one such array, or an object a line."


class Digits(str):
    """A number as it is written."""

    __slots__ = ()


_DECODER = json.JSONDecoder(
    parse_int=Digits, parse_float=Digits, parse_constant=Digits, strict=False
)
Row = tuple[int, dict[str, Any] | None]


def read_json(
    path: Path, kind: str, file: str, encoding: Encoding, folder: TemporaryFolder
) -> FileReading:
    """The objects of a file of kind json or jsonl. Raises Unreadable."""
    require_disk(path.stat().st_size, f"reading {file}")
    text = path if encoding.is_utf8 else convert_to_utf8(path, encoding, folder)
    bad_rows = BadRows()
    with open(text, encoding="utf-8-sig", errors="surrogateescape") as lines:
        rows = _lines(lines) if kind == "jsonl" else _objects(lines)
        with RowWriter(folder, []) as writer:
            for number, row in rows:
                if row is None:
                    bad_rows.add(file, number, "it is no JSON object")
                else:
                    _write(writer, number, row)
            if not writer.names:
                raise Unreadable(
                    got="no object" if not bad_rows.count else "no line that is a JSON object",
                    rule=_RULE,
                    fix="Export the rows as JSON lines or CSV.",
                )
    if bad_rows.count > writer.rows:
        raise Unreadable(
            got=f"{bad_rows.count:,} of {bad_rows.count + writer.rows:,} lines are no JSON object",
            rule=_RULE,
            fix="Export the rows as JSON lines or CSV.",
        )
    words = "JSON lines" if kind == "jsonl" else "JSON"
    return FileReading(
        sql_of_converted(writer.paths, file=file),
        kind,
        f"{words}, {encoding.words}",
        tuple(writer.names),
        writer.rows,
        [],
        bad_rows,
    )


def _write(writer: RowWriter, number: int, row: dict[str, Any]) -> None:
    if row.keys() - writer.names:
        _add_columns(writer, row)
    writer.write(number, [_text(row.get(name)) for name in writer.names])


def _add_columns(writer: RowWriter, row: dict[str, Any]) -> None:
    known = {name.lower() for name in writer.names}
    new = [name for name in row if name not in writer.names]
    for name in new:
        if name.lower() in known or not name.strip():
            raise Unreadable(
                got=f"two keys of one name: '{name}'" if name.strip() else "a key without a name",
                rule="Every key has a name of its own (capital letters make no difference).",
                fix="Rename one of them in the export.",
            )
        known.add(name.lower())
    if len(known) > MOST_KEYS:
        raise Unreadable(
            got=f"more than {MOST_KEYS:,} different keys",
            rule="Keys are the names of columns, the same in every object.",
            fix="Export an array of objects with the same keys, in which ids are values.",
        )
    writer.add_columns(new)


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, str):  # a number too
        return value
    return _json_text(value)


def _json_text(value: Any) -> str:
    """JSON again, with every number as it was written."""
    if isinstance(value, dict):
        pairs = (f"{encode_basestring(key)}: {_json_text(each)}" for key, each in value.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list):
        return f"[{', '.join(_json_text(each) for each in value)}]"
    if isinstance(value, Digits):
        return str(value)
    if isinstance(value, str):
        return encode_basestring(value)
    return {True: "true", False: "false", None: "null"}[value]


def _lines(lines: TextIO) -> Iterator[Row]:
    """Each line that is not blank: its number, and its object or None."""
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield number, _object_of(line)


def _object_of(line: str) -> dict[str, Any] | None:
    if DAMAGED.search(line):
        return None
    try:
        value, end = _DECODER.raw_decode(line.strip())
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and end == len(line.strip()) else None


class _Text:
    """A text that is read in pieces; `at` is the place of the next character in `piece`."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self.piece, self.at, self.ended = "", 0, False

    def more(self) -> bool:
        """Read a further piece; False at the end of the file."""
        new = self._file.read(PIECE)
        self.ended = not new
        self.piece, self.at = self.piece[self.at :] + new, 0
        return bool(new)

    def peek(self) -> str:
        """The next character that is no space, '' at the end."""
        while True:
            while self.at < len(self.piece) and self.piece[self.at].isspace():
                self.at += 1
            if self.at < len(self.piece):
                return self.piece[self.at]
            if not self.more():
                return ""

    def value(self) -> Any:
        """The next JSON value."""
        self.peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self.piece, self.at)
            except RecursionError as error:
                raise _damaged("a value nested too deep") from error
            except ValueError as error:
                if len(self.piece) - self.at > LONGEST_OBJECT:
                    raise _damaged("a value of more than 64 MB, or none at all") from error
                if not self.more():
                    raise _damaged("JSON that breaks off or has an error") from error
                continue
            # A number may go on in the next piece.
            if end == len(self.piece) and not self.ended and self.more():
                continue
            self.at = end
            return value

    def take(self, sign: str) -> None:
        if self.peek() != sign:
            raise _damaged(f"JSON without '{sign}' where one belongs")
        self.at += 1


def _damaged(got: str) -> Unreadable:
    return Unreadable(got=got, rule=_RULE, fix="Export the file again.")


def _objects(file: TextIO) -> Iterator[Row]:
    """The objects of the only array; their numbers count from 1 on."""
    text = _Text(file)
    if text.peek() == "[":
        yield from _array(text)
        _require_end(text)
        return
    text.take("{")
    arrays: list[str] = []
    while text.peek() != "}":
        key = text.value()
        text.take(":")
        if text.peek() == "[":
            rows = _array(text)
            if arrays:
                _refuse_second(rows, arrays[0], key)
            else:
                count = 0
                for row in rows:
                    count += 1
                    yield row
                arrays += [key] if count else []
        else:
            text.value()
        if text.peek() != "}":
            text.take(",")
    text.take("}")
    _require_end(text)


def _refuse_second(rows: Iterator[Row], first: str, key: str) -> None:
    for _, row in rows:
        if row is not None:
            raise Unreadable(
                got=f"two arrays of objects: '{first}' and '{key}'",
                rule=_RULE,
                fix="Write each array to a file of its own.",
            )


def _array(text: _Text) -> Iterator[Row]:
    text.take("[")
    number = 0
    while text.peek() != "]":
        number += 1
        value = text.value()
        damaged = isinstance(value, dict) and DAMAGED.search(_json_text(value))
        yield number, value if isinstance(value, dict) and not damaged else None
        if text.peek() != "]":
            text.take(",")
    text.take("]")


def _require_end(text: _Text) -> None:
    if text.peek():
        raise _damaged("further text after the end of the JSON")
