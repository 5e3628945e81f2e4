"""Local times without an offset that a clock change skipped or repeated: read by a stated rule, and counted here.

A skipped time (02:30 on the night the clock goes from 02:00 to 03:00) is read with the offset before the change (03:30),
a repeated one as the later of the two, so that nothing is known too early. Nothing in the row says which was meant, so
the count is what can be said.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import duckdb

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Change:
    """Local times from `first` to before `end` do not exist (`skipped`) or exist twice."""

    first: datetime
    end: datetime
    skipped: bool


def changes(zone: str, first: datetime, last: datetime) -> Iterator[Change]:
    """Every clock change of `zone` between two UTC instants, in order; the times are local and naive."""
    clock, day = ZoneInfo(zone), first
    while day < last:
        before, after = (
            at.astimezone(clock).utcoffset() or timedelta(0) for at in (day, day + DAY)
        )
        if before != after:
            at = _moment(clock, day, day + DAY).replace(tzinfo=None)
            yield Change(*sorted((at + before, at + after)), skipped=after > before)
        day += DAY


def _moment(clock: ZoneInfo, low: datetime, high: datetime) -> datetime:
    """The first second of the new offset between two instants of different offsets."""
    old = low.astimezone(clock).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = low + timedelta(seconds=(high - low) // timedelta(seconds=2))
        low, high = (middle, high) if middle.astimezone(clock).utcoffset() == old else (low, middle)
    return high


def counted(
    connection: duckdb.DuckDBPyConnection, local: Mapping[str, str], zone: str
) -> dict[str, int]:
    """How many cells of `_read` lie in such hours: '<column>_skipped' and '<column>_repeated', where there are any.

    `local`: column -> SQL for its naive local TIMESTAMP (null where the cell has an offset, or is none).
    """
    found = {}
    for name, sql in local.items():
        # What lies outside of the contract's years is rejected, and Python's calendar ends earlier than the engine's.
        inside = f"{sql} >= TIMESTAMP '1970-01-01' AND {sql} < TIMESTAMP '2200-01-01'"
        low, high = connection.execute(
            f"SELECT min({sql}), max({sql}) FROM _read WHERE {inside}"
        ).fetchone()
        if low is None:
            continue
        span = (at.replace(tzinfo=UTC) + days for at, days in ((low, -2 * DAY), (high, 2 * DAY)))
        for change in changes(zone, *span):
            within = f"SELECT count(*) FROM _read WHERE {sql} >= $first AND {sql} < $end"
            count = connection.execute(
                within, {"first": change.first, "end": change.end}
            ).fetchone()[0]
            reason = f"{name}_{'skipped' if change.skipped else 'repeated'}"
            if count:
                found[reason] = found.get(reason, 0) + count
    return found
