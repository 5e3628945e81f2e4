"""Dates that a spreadsheet exchanged: of 13/02/2024 no date is made, of 02/03/2024 the wrong one.

A program that expects the month first turns the cells whose numbers are both up to 12 into dates,
with day and month exchanged, and leaves the others as text.
"""

from __future__ import annotations

from features.core.errors import WrongType
from lifecycle.init.source import Source

# A date of a cell whose day is at most 12, and a text with a number over 12 in front or behind.
_DATE = r"regexp_matches(v, '^\d{4}-\d{2}-(0\d|1[0-2])([ T]\d{2}:\d{2}(:\d{2})?)?$')"
_HIGH = r"(1[3-9]|2\d|3[01])"
_TEXT = rf"regexp_matches(v, '^({_HIGH}[./-]\d{{1,2}}|\d{{1,2}}[./-]{_HIGH})[./-]\d{{2,4}}( |$)')"
_FEWEST = 0.1  # the share of either way to write; about 40 % of all days are up to the twelfth


def find_swapped_dates(source: Source, column: str) -> WrongType | None:
    """The refusal of a column that is written so in every cell; None for any other."""
    if source.types[column] != "VARCHAR":
        return None
    count, dates, texts = source.count_distinct(column, [_DATE, _TEXT], limit=None)
    if dates + texts < count or min(dates, texts) <= _FEWEST * count:
        return None
    return WrongType(
        where=f"{source.label}, column {column}",
        got=f"dates that a spreadsheet exchanged: {dates:,} values are dates with a day up to 12, "
        f"and the other {texts:,} stayed text, with a number over 12",
        rule="A spreadsheet that expects the month first makes the wrong date of 02/03/2024, and "
        "none of 13/02/2024.",
        fix="Export the file again with dates as YYYY-MM-DD, and do not open it in a spreadsheet; "
        "or import the column as text.",
    )
