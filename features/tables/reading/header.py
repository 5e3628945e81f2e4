"""The names of the columns, from the first row of a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from features.tables.reading.reading import Unreadable

MOST_COLUMNS = 5_000


def column_names(
    cells: Sequence[str], following: Sequence[Sequence[str]], *, row: int = 1
) -> list[str]:
    """The names; a column without one is `column` with its place, from 0 on.

    following: some rows below, to tell a title from a header. row: the number of the header's row.
    Raises Unreadable for a title above the header, equal names, or no name at all.
    """
    names = [cell.strip("\ufeff").strip() for cell in cells]
    named = [name for name in names if name]
    widths = [sum(1 for cell in each if cell.strip()) for each in following]
    usual = Counter(widths).most_common(1)[0][0] if widths else 0
    if len(named) <= 1 < usual and (widths[0] > 1 or usual > 2):
        raise Unreadable(
            got=f"a title in row {row}, where the header belongs (it has {len(named)} "
            f"cell{'' if len(named) == 1 else 's'} with text, rows below have {usual})",
            rule="Row 1 has the names of the columns, and nothing stands above it.",
            fix="Delete the rows above the names of the columns.",
        )
    if not named:
        raise Unreadable(
            got=f"no names of columns in row {row}",
            rule="Row 1 has the names of the columns.",
            fix="Write the names of the columns into row 1.",
        )
    if len(names) > MOST_COLUMNS:
        raise Unreadable(
            got=f"{len(names):,} columns",
            rule=f"A file has at most {MOST_COLUMNS:,} columns.",
            fix="Export only the columns that are needed.",
        )
    _refuse_equal(named, row)
    taken = {name.lower() for name in named}
    return [name or _unnamed(place, taken) for place, name in enumerate(names)]


def _refuse_equal(named: list[str], row: int) -> None:
    """SQL compares names without case."""
    counts = Counter(name.lower() for name in named)
    equal = sorted({name for name in named if counts[name.lower()] > 1}, key=named.index)
    if equal:
        raise Unreadable(
            got=f"columns of one name in row {row}: {', '.join(repr(name) for name in equal[:3])}",
            rule="Every column has a name of its own (capital letters make no difference).",
            fix="Rename all but one of them in the file, or export only the one that is needed.",
        )


def _unnamed(place: int, taken: set[str]) -> str:
    name = f"column{place}"
    while name in taken:
        name += "_"
    taken.add(name)
    return name
