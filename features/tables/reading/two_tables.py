"""Notices a second table below the first one: a blank row, then another row of names."""

from __future__ import annotations

import re
from collections.abc import Sequence

from features.tables.reading.reading import Unreadable

_DIGIT = re.compile(r"\d")
LOOKED_AT_ROWS = 1_000


class SecondTable:
    """Looks at the rows in their order; `look` raises Unreadable at the header of a second table.

    Such a header follows a blank row, has two cells or more, no digit in any, and text in a column
    where every row above (of the first LOOKED_AT_ROWS) has a digit; or it repeats the names of the
    header.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = [name.lower() for name in names]
        self._digits: list[bool | None] = [None] * len(self._names)
        self._last = 1

    def skip(self, number: int) -> None:
        """A row that was left out is no blank one."""
        self._last = number

    def look(self, number: int, cells: Sequence[str]) -> None:
        """Take the row with this number; a gap in the numbers is a blank row."""
        after_blank, self._last = number > self._last + 1, number
        if after_blank and self._is_header(cells):
            raise Unreadable(
                got=f"two tables: a blank row, then other names of columns in row {number:,}",
                rule="A file or a sheet has one table, without blank rows above further names.",
                fix=f"Move the rows from {number:,} on to a file or a sheet of their own.",
            )
        if number > LOOKED_AT_ROWS:
            return
        for place, cell in enumerate(cells):
            if cell and self._digits[place] is not False:
                self._digits[place] = bool(_DIGIT.search(cell))

    def _is_header(self, cells: Sequence[str]) -> bool:
        texts = [cell.strip() for cell in cells]
        if [text.lower() for text in texts] == self._names:
            return True
        filled = [text for text in texts if text]
        if len(filled) < 2 or any(_DIGIT.search(text) for text in filled):
            return False
        return any(text and self._digits[place] for place, text in enumerate(texts))
