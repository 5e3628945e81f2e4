"""Counts local times without an offset that a clock change skipped or repeated.

A skipped time (02:30 on the night when the clock goes from 02:00 to 03:00) is read with the offset
before the change (03:30), a repeated one as the later of the two, so that no row is known too
early. A row does not say which one was meant; therefore these cells are counted and reported.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import duckdb

from features.tables.queries import first_value

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Change:
    """Local times in [first, end), which do not exist (`skipped`) or exist twice."""

    first: datetime
    end: datetime
    skipped: bool


def find_changes(zone: str, first: datetime, last: datetime) -> Iterator[Change]:
    """Every clock change of `zone` between two UTC instants, in order, in local naive times."""
    clock, day = ZoneInfo(zone), first
    while day < last:
        before, after = (
            at.astimezone(clock).utcoffset() or timedelta(0) for at in (day, day + DAY)
        )
        if before != after:
            at = _change_instant(clock, day, day + DAY).replace(tzinfo=None)
            first_local, end_local = sorted((at + before, at + after))
            yield Change(first_local, end_local, skipped=after > before)
        day += DAY


def _change_instant(clock: ZoneInfo, low: datetime, high: datetime) -> datetime:
    """The first second with the new offset; the offsets at `low` and `high` differ. Bisection."""
    old = low.astimezone(clock).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = low + timedelta(seconds=(high - low) // timedelta(seconds=2))
        low, high = (middle, high) if middle.astimezone(clock).utcoffset() == old else (low, middle)
    return high


def count_affected_cells(
    connection: duckdb.DuckDBPyConnection, local: Mapping[str, str], zone: str
) -> dict[str, int]:
    """The number of cells of `_read` in such hours, by '<column>_skipped' and '<column>_repeated'.

    local: SQL for the naive local TIMESTAMP by column (null where a cell has an offset or is
    unreadable). Counts of 0 are left out.
    """
    counts: Counter[str] = Counter()
    for name, sql in local.items():
        within = f"SELECT count(*) FROM _read WHERE {sql} >= $first AND {sql} < $end"
        for change in _changes_in(connection, sql, zone):
            count = first_value(connection, within, first=change.first, end=change.end)
            if count:
                counts[f"{name}_{'skipped' if change.skipped else 'repeated'}"] += count
    return dict(counts)


def _changes_in(connection: duckdb.DuckDBPyConnection, sql: str, zone: str) -> Iterator[Change]:
    """The clock changes between the earliest and the latest local time of a column."""
    # Other years are rejected anyway, and Python's calendar ends earlier than DuckDB's.
    inside = f"{sql} >= TIMESTAMP '1970-01-01' AND {sql} < TIMESTAMP '2200-01-01'"
    span = connection.execute(f"SELECT min({sql}), max({sql}) FROM _read WHERE {inside}").fetchone()
    if span is None or span[0] is None:
        return
    # Two days more on each side, because a local time and UTC differ by less than that.
    first, last = (at.replace(tzinfo=UTC) for at in span)
    yield from find_changes(zone, first - 2 * DAY, last + 2 * DAY)
