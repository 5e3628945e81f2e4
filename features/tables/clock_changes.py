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
from functools import lru_cache
from zoneinfo import ZoneInfo

import duckdb

from features.core.contract import LATEST_US
from features.tables.parsing import literal, quote_identifier
from features.tables.reject_examples import RAW

DAY = timedelta(days=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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


def near_clock_change(raw: str, zone: str) -> str:
    """SQL that is true for cells of the local days of a clock change; '' if there is none."""
    days = ", ".join(literal(day) for day in _change_days(zone))
    return f"left(ltrim(CAST({raw} AS VARCHAR)), 10) IN ({days})" if days else ""


@lru_cache(maxsize=16)
def _change_days(zone: str) -> tuple[str, ...]:
    """The local days on which the clock of a zone changes, 1970 to 2199."""
    changes = find_changes(zone, EPOCH, EPOCH + timedelta(microseconds=LATEST_US) - 2 * DAY)
    return tuple(sorted({f"{at:%Y-%m-%d}" for each in changes for at in (each.first, each.end)}))


def count_affected_cells(
    connection: duckdb.DuckDBPyConnection, local: Mapping[str, str], zone: str
) -> dict[str, int]:
    """The number of cells in such hours, by '<column>_skipped' and '<column>_repeated'.

    local: SQL for the naive local TIMESTAMP by column, from the raw cells in `_parsed` (null where
    a cell has an offset or is unreadable). Counts of 0 are left out.
    """
    counts: Counter[str] = Counter()
    for name, sql in local.items():
        changes = list(_changes_in(connection, name, zone))
        if not changes:
            continue
        raw = quote_identifier(RAW.format(name))
        near = f"SELECT {sql} AS moment FROM _parsed WHERE {raw} IS NOT NULL"
        within = ", ".join(
            f"count(*) FILTER (moment >= TIMESTAMP '{each.first}' "
            f"AND moment < TIMESTAMP '{each.end}')"
            for each in changes
        )
        row = connection.execute(f"SELECT {within} FROM ({near})").fetchone() or ()
        for change, count in zip(changes, row, strict=True):
            if count:
                counts[f"{name}_{'skipped' if change.skipped else 'repeated'}"] += count
    return dict(counts)


def _changes_in(connection: duckdb.DuckDBPyConnection, name: str, zone: str) -> Iterator[Change]:
    """The clock changes between the earliest and the latest instant of a column of `_parsed`."""
    column = quote_identifier(name)
    # An open end is later than Python's calendar needs to go.
    span = connection.execute(
        f"SELECT min({column}), max({column}) FROM _parsed WHERE {column} < {LATEST_US}"
    ).fetchone()
    if span is None or span[0] is None:
        return
    # Two days more on each side, because a local time and UTC differ by less than that.
    first, last = (EPOCH + timedelta(microseconds=at) for at in span)
    yield from find_changes(zone, first - 2 * DAY, last + 2 * DAY)
