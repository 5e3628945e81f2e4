"""Whether a UTF-8 text file is regular, so that the engine reads it as it is, at full speed.

Regular: every record has the header's number of cells, quotes stand around whole cells, no line
is blank, all records end alike, every byte is valid UTF-8. Records are found from the separators,
line ends and quotes alone, with arrays, about 500 MB a second. What is not regular is read row by
row (`text_rows`), which names its bad rows.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from pathlib import Path

import numpy as np

# So few bytes that they, and the arrays about them, stay in the processor's cache.
CHUNK = 2**19
# A record longer than this is read row by row.
LONGEST = 32 * 2**20
_LF, _CR, _QUOTE = 10, 13, 34


@dataclass(frozen=True)
class Structure:
    """regular: see above. utf8: whether every byte is valid. records: with the header.

    longest: bytes of a piece that surely holds the longest record.
    """

    regular: bool
    utf8: bool = True
    records: int = 0
    longest: int = 0


class _Irregular(Exception):
    pass


def scan(path: Path, *, separator: str, columns: int, skip: int = 0) -> Structure:
    """Look at every byte of a file with `columns` cells a record, from byte `skip` on."""
    scanner = _Scanner(ord(separator), columns)
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with path.open("rb") as file:
            file.seek(skip)
            rest = b""
            # A long record is not looked at again and again: what is read grows with it.
            while chunk := file.read(max(CHUNK, len(rest))):
                decoder.decode(chunk)
                rest = scanner.take(rest + chunk)
                if len(rest) > LONGEST:
                    return Structure(regular=False)
            decoder.decode(b"", final=True)
        if rest and scanner.take(rest if rest.endswith(b"\n") else rest + scanner.line_end):
            return Structure(regular=False)  # a quote that is never closed
    except _Irregular:
        return Structure(regular=False)
    except UnicodeDecodeError:
        return Structure(regular=False, utf8=False)
    return Structure(True, True, scanner.records, scanner.longest)


class _Scanner:
    """Counts records, a chunk at a time; _Irregular at the first that is not as the others."""

    def __init__(self, separator: int, columns: int) -> None:
        self.separator, self.columns = separator, columns
        self.records = self.longest = 0
        self._ends_with_cr: bool | None = None

    @property
    def line_end(self) -> bytes:
        return b"\r\n" if self._ends_with_cr else b"\n"

    def take(self, chunk: bytes) -> bytes:
        """Count the whole records of the chunk; returns the rest, which begins a record."""
        if b"\x00" in chunk:
            raise _Irregular
        data = np.frombuffer(chunk, np.uint8)
        marks = (data == self.separator) | (data == _LF)
        quoted = b'"' in chunk
        if quoted:
            marks |= data == _QUOTE
        places = np.flatnonzero(marks)
        signs = data[places]
        if quoted:
            places, signs, quotes = _outside_quotes(data, places, signs, self.separator)
        else:
            quotes = None
        ends = places[signs == _LF]
        if not ends.size:
            return chunk
        last = int(ends[-1])
        self._require_cells(signs[: int(np.searchsorted(places, last)) + 1])
        self._require_line_ends(chunk, data[: last + 1], ends, quotes)
        self.records += ends.size
        starts = np.concatenate(([-1], ends[:-1]))
        longest = int((ends - starts).max())
        self.longest = max(self.longest, longest)
        if self.columns == 1 and int((ends - starts).min()) <= len(self.line_end):
            raise _Irregular  # a blank line
        return chunk[last + 1 :]

    def _require_cells(self, signs: np.ndarray) -> None:
        if signs.size % self.columns:
            raise _Irregular
        ends = (signs == _LF).reshape(-1, self.columns)
        if not ends[:, -1].all() or ends[:, :-1].any():
            raise _Irregular

    def _require_line_ends(
        self, chunk: bytes, data: np.ndarray, ends: np.ndarray, quotes: np.ndarray | None
    ) -> None:
        """All records end with a line feed, or all with a carriage return before it."""
        if ends[0] == 0:
            raise _Irregular  # a blank line
        before = data[ends - 1] == _CR
        if self._ends_with_cr is None:
            self._ends_with_cr = bool(before[0])
        if not (before.all() if self._ends_with_cr else not before.any()):
            raise _Irregular
        if b"\r" not in chunk:
            return
        returns = np.flatnonzero(data == _CR)
        if quotes is not None:
            returns = returns[np.searchsorted(quotes, returns) % 2 == 0]
        if returns.size != int(before.sum()):
            raise _Irregular  # a carriage return alone


def _outside_quotes(
    data: np.ndarray, places: np.ndarray, signs: np.ndarray, separator: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Separators and line ends outside of quotes, and the places of all quotes.

    _Irregular where a quote does not stand at an end of a cell and is not doubled inside one.
    """
    is_quote = signs == _QUOTE
    quotes = places[is_quote]
    opening, closing = quotes[0::2], quotes[1::2]
    before = data[np.maximum(opening - 1, 0)]
    at_start = (before == separator) | (before == _LF) | (opening == 0)
    # `""` inside a cell closes and opens again: the next opening follows at once.
    doubled = np.zeros(opening.size, bool)
    doubled[1:] = opening[1:] == closing[: opening.size - 1] + 1
    if not (at_start | doubled).all():
        raise _Irregular
    inside = closing[closing + 1 < data.size]
    after = data[inside + 1]
    at_end = (after == separator) | (after == _LF) | (after == _CR) | (after == _QUOTE)
    if not at_end.all():
        raise _Irregular
    within = np.cumsum(is_quote) % 2 == 1
    outside = ~is_quote & ~within
    return places[outside], signs[outside], quotes
