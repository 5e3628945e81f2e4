"""Clocks that contradict each other: events recorded before they happened, and histories loaded in one go."""

from __future__ import annotations

from collections.abc import Iterator

from features.audit.findings import LEAK, LOOK, Finding
from features.core.contract import EVENT_TABLES
from features.core.instants import DAY_US
from features.tables.history import History

SPAN_DAYS = 30  # a shorter history may well have come in one go
BULK, CROWD, EARLY = 0.95, 0.2, 0.01
FAR_DAYS = 30


def contradictions(history: History) -> Iterator[Finding]:
    for name in history.names:
        if name in EVENT_TABLES:
            yield from _of_table(history, name)


def _of_table(history: History, name: str) -> Iterator[Finding]:
    run = history.connection.execute
    count, first, last, early, lag = run(
        f"SELECT count(*), min(occurred_at), max(occurred_at), count(*) FILTER (recorded_at < occurred_at), "
        f"median(recorded_at - occurred_at) FROM {name}"
    ).fetchone()
    if not count:
        return
    if early / count >= EARLY:
        yield Finding(
            LOOK,
            "recorded before it happened",
            f"{name}.recorded_at",
            f"{early:,} of {count:,} rows were recorded "
            "before they happened: one of the two clocks is not what it says",
            early / count,
        )
    if last - first < SPAN_DAYS * DAY_US:
        return
    yield from _loaded_at_once(history, name, count)
    if lag > FAR_DAYS * DAY_US:
        yield Finding(
            LOOK,
            "recorded long after",
            f"{name}.recorded_at",
            f"half of the rows were recorded {lag / DAY_US:,.0f} "
            "days and more after they happened: if that is a load, leave recorded_at out",
            lag / DAY_US,
        )


def _loaded_at_once(history: History, name: str, count: int) -> Iterator[Finding]:
    run = history.connection.execute
    clock = f"SELECT count(*) AS rows FROM {name} GROUP BY"
    recorded = run(f"SELECT max(rows) FROM ({clock} recorded_at // {DAY_US})").fetchone()[0] / count
    happened = run(f"SELECT max(rows) FROM ({clock} occurred_at)").fetchone()[0] / count
    if recorded >= BULK:
        yield Finding(
            LEAK,
            "bulk load",
            f"{name}.recorded_at",
            f"{recorded:.0%} of the rows were recorded on one day: before it "
            "nothing was known, so no past as_of can be replayed. Leave recorded_at out if it is a load time, and "
            "state [contract] arrives_after_hours",
            recorded,
        )
    if happened >= CROWD and count >= 100:
        yield Finding(
            LEAK,
            "load time",
            f"{name}.occurred_at",
            f"{happened:.0%} of the rows happened at one instant: it looks "
            "like the time of a load, not of an event",
            happened,
        )
