"""How far a zone's clock is from UTC, as SQL that is cheap for millions of rows.

The engine's calendar takes a third of a microsecond a row, more than reading the row. On nearly
every day a zone has one shift all day, so a few comparisons find it. The shifts come from the
engine itself: what they give is what its calendar gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import lru_cache
from itertools import groupby

import duckdb

from features.core.instants import DAY_US

# Days outside are left to the calendar.
FIRST_DAY, END_DAY = date(1990, 1, 1), date(2041, 1, 1)
_LOCAL_SHIFT = "epoch_us(day) - epoch_us(timezone($zone, day))"
_UTC_SHIFT = (
    "epoch_us(timezone($zone, make_timestamptz(epoch_us(day)))) - epoch_us(day)"  # of an instant
)
# The first day of days with the same shift (µs), and the shift, or None where it changes.
Spans = Sequence[tuple[date, int | None]]


def local_shift(text: str, zone: str) -> str:
    """SQL for what to subtract (µs) from the local time `text` (`2024-03-31…`) to have UTC.

    Null on a day whose clock changes, on the next one, and outside 1990 to 2040: ask the engine's
    calendar there.
    """
    return _search(text, [(f"'{day}'", shift) for day, shift in _spans(zone, _LOCAL_SHIFT)])


def utc_shift(micros: str, zone: str) -> str:
    """SQL for what to add to the instant `micros` (µs UTC) to have the local time.

    Null on a UTC day in which the clock changes and on the next one, and outside 1990 to 2040.
    So it is null for every local time that a change skipped or repeated.
    """
    epoch = date(1970, 1, 1)
    spans = _spans(zone, _UTC_SHIFT)
    return _search(micros, [(str((day - epoch).days * DAY_US), shift) for day, shift in spans])


@lru_cache(maxsize=16)
def _spans(zone: str, shift: str) -> Spans:
    """Days of one shift, from FIRST_DAY on; the last span, from END_DAY on, has none."""
    # A clock changes at most once on a day, so three moments tell whether it does.
    moments = ("INTERVAL 0 DAY", "INTERVAL 12 HOUR", "INTERVAL 24 HOUR - INTERVAL 1 MICROSECOND")
    shifts = ", ".join(shift.replace("day", f"(day + {moment})") for moment in moments)
    with duckdb.connect() as calendar:
        days = calendar.execute(
            f"SELECT CAST(day AS DATE), {shifts} FROM "
            "(SELECT unnest(generate_series($first::TIMESTAMP, $end, INTERVAL 1 DAY)) AS day)",
            {"zone": zone, "first": FIRST_DAY, "end": END_DAY},
        ).fetchall()
    steady = [(day, low if low == noon == high else None) for day, low, noon, high in days[:-1]]
    # The day after a change is left to the calendar too: what a change moves may end there.
    after = [steady[0][1], *(shift for _, shift in steady)]
    of_day = [
        (day, None if before is None else shift)
        for (day, shift), before in zip(steady, after, strict=False)
    ]
    spans = [next(group) for _, group in groupby(of_day, key=lambda each: each[1])]
    return [(date.min, None), *spans, (END_DAY, None)]


def _search(value: str, spans: Sequence[tuple[str, int | None]]) -> str:
    """SQL for the shift of the last span that does not begin after `value`, by halves."""
    if len(spans) == 1:
        return "NULL" if spans[0][1] is None else str(spans[0][1])
    middle = len(spans) // 2
    below, above = _search(value, spans[:middle]), _search(value, spans[middle:])
    return f"CASE WHEN {value} < {spans[middle][0]} THEN {below} ELSE {above} END"
