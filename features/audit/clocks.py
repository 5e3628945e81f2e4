"""Clocks that contradict each other: early recording, late recording and bulk loads."""

from __future__ import annotations

from collections.abc import Iterator

from features.audit.findings import LEAK, REVIEW, Finding
from features.core.contract import EVENT_TABLES
from features.core.instants import DAY_US
from features.core.settings import Settings
from features.tables.history import History

MIN_SPAN_DAYS = 30  # a shorter history may really have been recorded at once
# Shares of rows: recorded on one day, occurred at one instant, recorded before they occurred.
BULK, CROWD, EARLY = 0.95, 0.2, 0.01
MIN_CROWD_ROWS = 100
LATE_DAYS = 30


def tables_without_clock(history: History, settings: Settings) -> frozenset[str]:
    """The tables whose recorded_at nobody stated: it is that of the event in every row.

    A table under `[contract] arrives_after_hours` has a stated clock, with 0 hours too.
    """
    names = [name for name in history.names if name in (*EVENT_TABLES, "contracts")]
    without = set()
    for name in names:
        own = "starts_at" if name == "contracts" else "occurred_at"
        [(differ,)] = history.connection.execute(
            f"SELECT count(*) FROM {name} WHERE recorded_at <> {own}"
        ).fetchall()
        if not differ and name not in settings.contract.arrives_after_hours:
            without.add(name)
    return frozenset(without)


def find_clock_errors(history: History) -> Iterator[Finding]:
    """Findings about occurred_at and recorded_at of each event table."""
    for name in history.names:
        if name in EVENT_TABLES:
            yield from _check_clocks(history, name)


def _check_clocks(history: History, name: str) -> Iterator[Finding]:
    where = f"{name}.recorded_at"
    [(count, first, last, early, lag)] = history.connection.execute(
        "SELECT count(*), min(occurred_at), max(occurred_at), "
        "count(*) FILTER (recorded_at < occurred_at), median(recorded_at - occurred_at) "
        f"FROM {name}"
    ).fetchall()
    if not count:
        return
    if early / count >= EARLY:
        reason = (
            f"{early:,} of {count:,} rows were recorded before they occurred: "
            "one of the two clocks is wrong"
        )
        yield Finding(REVIEW, "recorded before it happened", where, reason, early / count)
    if last - first < MIN_SPAN_DAYS * DAY_US:
        return
    yield from _check_load(history, name, count)
    if lag > LATE_DAYS * DAY_US:
        days = lag / DAY_US
        reason = (
            f"half of the rows were recorded {days:,.0f} or more days after they occurred: "
            "if recorded_at is a load time, remove it from the SELECT"
        )
        yield Finding(REVIEW, "recorded long after", where, reason, days)


def _check_load(history: History, name: str, count: int) -> Iterator[Finding]:
    """Whether most rows have one recorded day, or many one instant of occurrence."""
    recorded = _largest_group(history, name, f"recorded_at // {DAY_US}") / count
    occurred = _largest_group(history, name, "occurred_at") / count
    if recorded >= BULK:
        reason = (
            f"{recorded:.0%} of the rows were recorded on one day, and nothing was known before "
            "it, so no earlier as_of can be replayed. If recorded_at is a load time, remove it "
            "and set [contract] arrives_after_hours"
        )
        yield Finding(LEAK, "bulk load", f"{name}.recorded_at", reason, recorded)
    if occurred >= CROWD and count >= MIN_CROWD_ROWS:
        reason = (
            f"{occurred:.0%} of the rows occurred at one instant, "
            "which looks like the time of a load and not of an event"
        )
        yield Finding(LEAK, "load time", f"{name}.occurred_at", reason, occurred)


def _largest_group(history: History, name: str, expression: str) -> int:
    groups = f"SELECT count(*) AS rows FROM {name} GROUP BY {expression}"
    [(largest,)] = history.connection.execute(f"SELECT max(rows) FROM ({groups})").fetchall()
    return int(largest)
