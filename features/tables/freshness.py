"""Freshness: until when each table is complete, and whether it has been silent for too long.

A feed that fell silent is not customers who fell silent. A quiet spell is a number of whole local
days without a row. A table is stale at as_of where its quiet spell is longer than

    max(1 day, 1.5 × the longest quiet spell before as_of that began on the same weekday)

and so many silent days would come by chance less than once in 1,000 times, at the table's own rate
of silent days on these weekdays: a sparse table breaks its own record now and then. A day on which
less than a tenth of the usual number of rows was recorded is a silent day: one stray row is no
feed. Of the table of activity only rows of the kinds count that are activity. All of it rests on
what was recorded before as_of, so an old as_of is answered as it was. With less
than 90 days of history before as_of a table's habits are not known, and only a stated instant
counts (`[contract.fresh_until]`, or the table `deliveries`, of which a row counts from its
recorded_at on).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import Protocol

import duckdb
import numpy as np

from features.core.contract import CONTRACT
from features.core.errors import FeedSilent
from features.core.instants import DAY_US, MINUTE_US, day_text, instant, local_date
from features.core.settings import Settings
from features.tables.parsing import literal, local_day

# Whole days of quiet are compared, not instants: a shop that closes at 16:00 before a public
# holiday is not late on the next morning (docs/decisions/027-silent-feeds.md).
TIMES_LONGEST = 1.5
LEAST_ALLOWED_DAYS = 1.0
DAYS_OF_HABITS = 90
MAX_CHANCE = 0.001
# Silent days added to those of a weekday, of twice as many days: 90 days cannot show a rate of 0.
PRIOR_SILENT_DAYS = 0.25
FIRST_DAY = date(1970, 1, 1)
# Of the median of the days with rows among the days before: fewer rows are as good as none.
LEAST_VOLUME, VOLUME_DAYS = 0.1, 90


class RecordedTables(Protocol):
    """What freshness needs of a History: the database, its schema, the names of its tables."""

    @property
    def connection(self) -> duckdb.DuckDBPyConnection: ...

    @property
    def schema(self) -> str: ...

    @property
    def names(self) -> Sequence[str]: ...

    @property
    def further(self) -> Sequence[str]: ...


@dataclass(frozen=True)
class Freshness:
    """One table at one as_of.

    newest_at: the newest recorded_at before as_of (µs; the first of as_of's own day where later
    rows of that day follow); None without a row. complete_until: the end of that local day, or what
    the configuration states where that is later (µs). allowed_days: the quiet allowed; None where
    the history is too short to tell and nothing is stated. chance: the probability of the whole
    silent days since then, at the table's own rate of silent days; 0 where that is not known.
    """

    table: str
    as_of: int
    newest_at: int | None
    complete_until: int | None
    allowed_days: float | None
    chance: float = 0.0
    is_configured: bool = False

    @property
    def quiet_days(self) -> float:
        """Days from the table's end to as_of, at least 0."""
        if self.complete_until is None:
            return 0.0
        return max(0.0, (self.as_of - self.complete_until) / DAY_US)

    @property
    def is_stale(self) -> bool:
        return (
            self.allowed_days is not None
            and self.quiet_days > self.allowed_days
            and self.chance < MAX_CHANCE
        )


@dataclass(frozen=True)
class RecordedDays:
    """The local days on which rows of one table were recorded, rising, all of them: (days,) each.

    days: days since 1970-01-01. oldest, newest: the first and last recorded_at of the day, in µs.
    rows: how many were recorded on the day.
    configured_until: µs, from `[contract.fresh_until]`; None where nothing is stated. deliveries:
    (recorded_at, complete_until) of each row of the table of deliveries, in µs.
    """

    table: str
    zone: str
    days: np.ndarray
    oldest: np.ndarray
    newest: np.ndarray
    rows: np.ndarray
    configured_until: int | None
    deliveries: tuple[tuple[int, int], ...] = ()

    def at(self, as_of: int) -> Freshness:
        """The freshness at `as_of` (µs), from what was recorded before it."""
        count = int(np.searchsorted(self.oldest, as_of))
        days, newest_at = self._days_before(as_of, count), None
        if count:
            newest_at = int(self.newest[count - 1])
            newest_at = newest_at if newest_at < as_of else int(self.oldest[count - 1])
        until = None
        if days.size:
            until = instant(FIRST_DAY + timedelta(days=int(days[-1]) + 1), zone=self.zone)
        delivered = self._delivered_until(as_of)
        until = until if delivered is None else delivered
        configured = self.configured_until
        is_configured = configured is not None and (until is None or configured > until)
        until = configured if is_configured else until
        allowed, chance = None, 0.0
        if days.size and until is not None and as_of - self.oldest[0] >= DAYS_OF_HABITS * DAY_US:
            weekday = local_date(until - 1, self.zone).weekday()
            allowed = allowed_quiet_days(days, weekday=weekday)
            since, today = ((local_date(at, self.zone) - FIRST_DAY).days for at in (until, as_of))
            chance = chance_of_quiet(days, since=since, days_quiet=today - since)
        elif configured is not None or delivered is not None:
            allowed = LEAST_ALLOWED_DAYS
        return Freshness(self.table, as_of, newest_at, until, allowed, chance, is_configured)

    def _days_before(self, as_of: int, count: int) -> np.ndarray:
        """The first `count` days without those on which hardly a row was recorded.

        The day of as_of itself is not over: one row is enough.
        """
        has_volume = self.has_usual_volume[:count].copy()
        if count and self.newest[count - 1] >= as_of:
            has_volume[-1] = True
        return self.days[:count][has_volume]

    @cached_property
    def has_usual_volume(self) -> np.ndarray:
        """Whether about as many rows as before were recorded on the day, bool (days,)."""
        usual = np.ones(len(self.days), dtype=bool)
        starts = np.searchsorted(self.days, self.days - VOLUME_DAYS)
        for at, start in enumerate(starts):
            if at > start:
                usual[at] = self.rows[at] >= LEAST_VOLUME * np.median(self.rows[start:at])
        return usual

    def _delivered_until(self, as_of: int) -> int | None:
        """What the newest delivery known at as_of says; the earliest of several of one instant."""
        known = [each for each in self.deliveries if each[0] <= as_of]
        if not known:
            return None
        newest = max(recorded_at for recorded_at, _ in known)
        return min(until for recorded_at, until in known if recorded_at == newest)


def read_recorded_days(history: RecordedTables, settings: Settings) -> dict[str, RecordedDays]:
    """By table: the days on which its rows were recorded.

    The table of customers has no such clock: only a stated instant can make it stale.
    """
    return {name: _read_table(history, settings, name) for name in history.names}


def measure_freshness(
    history: RecordedTables, settings: Settings, as_of: int
) -> dict[str, Freshness]:
    """The freshness of every table at `as_of` (µs)."""
    return {name: each.at(as_of) for name, each in read_recorded_days(history, settings).items()}


def stale_tables(history: RecordedTables, settings: Settings, as_of: int) -> frozenset[str]:
    """The tables that are stale at `as_of` (µs), of those that a score can do without.

    FeedSilent where it is a table that no score can do without: that of activity, or contracts
    where the business is contractual.
    """
    measured = measure_freshness(history, settings, as_of).values()
    stale = [each for each in measured if each.is_stale]
    for each in stale:
        if each.table in needed_tables(settings):
            raise _feed_silent(each, settings)
    return frozenset(each.table for each in stale)


def needed_tables(settings: Settings) -> frozenset[str]:
    """The tables without which nobody can be scored."""
    return frozenset({settings.activity.table} | ({"contracts"} if settings.contractual else set()))


def last_complete_instant(history: RecordedTables, settings: Settings, until: int) -> int:
    """`until` (µs), or the earlier end of a table that every score needs and that is stale by then.

    A label that counts on a table after its end would call everybody a churner.
    """
    ends = [until]
    for name in sorted(needed_tables(settings) & set(history.names)):
        each = _read_table(history, settings, name).at(until)
        if each.is_stale and each.complete_until is not None:
            ends.append(each.complete_until)
    return min(ends)


def allowed_quiet_days(days: np.ndarray, *, weekday: int) -> float:
    """The quiet allowed after a day with rows on that weekday (0 is Monday), in days.

    `days`: the local days with rows before as_of, as days since 1970-01-01, rising.

    >>> monday = 19723
    >>> allowed_quiet_days(np.array([monday, monday + 5]), weekday=0)
    6.0
    """
    # 1970-01-01 was a Thursday.
    began_then = (days[:-1] + 3) % 7 == weekday
    longest = int((np.diff(days) - 1)[began_then].max(initial=0))
    return max(LEAST_ALLOWED_DAYS, TIMES_LONGEST * longest)


def chance_of_quiet(days: np.ndarray, *, since: int, days_quiet: int) -> float:
    """The probability of `days_quiet` silent days from the day `since` on.

    The product of each weekday's share of silent days between the first and the last of `days`
    (days since 1970-01-01, rising). A weekday on which the table is always silent costs nothing.

    >>> chance_of_quiet(np.arange(700), since=700, days_quiet=0)
    1.0
    """
    span = np.arange(days[0], days[-1] + 1)
    all_days = np.bincount((span + 3) % 7, minlength=7)
    silent = all_days - np.bincount((days + 3) % 7, minlength=7)
    share = (silent + PRIOR_SILENT_DAYS) / (all_days + 2 * PRIOR_SILENT_DAYS)
    quiet = np.arange(since, since + max(days_quiet, 0))
    return float(np.prod(share[(quiet + 3) % 7]))


def _read_table(history: RecordedTables, settings: Settings, name: str) -> RecordedDays:
    configured = settings.contract.fresh_until.get(name)
    configured_until = None if configured is None else instant(configured, zone=settings.zone)
    deliveries = _read_deliveries(history, name)
    none = np.empty(0, dtype=np.int64)
    if "recorded_at" not in CONTRACT[name].names:
        return RecordedDays(
            name, settings.zone, none, none, none, none, configured_until, deliveries
        )
    table = f"{history.schema}.{name}" if history.schema else name
    # First by quarter of an hour, which no zone's midnight divides: the calendar is slow.
    rows = history.connection.execute(
        f"SELECT {local_day(settings.zone, of='oldest')} AS day, min(oldest) AS oldest, "
        "max(newest) AS newest, sum(rows) AS rows "
        "FROM (SELECT min(recorded_at) AS oldest, max(recorded_at) AS newest, count(*) AS rows "
        f"FROM {table} {_of_activity(settings, name)} GROUP BY recorded_at // {15 * MINUTE_US}) "
        "GROUP BY day ORDER BY oldest"
    ).fetchnumpy()
    days, oldest, newest, count = (
        np.asarray(rows[each]).astype(np.int64) for each in ("day", "oldest", "newest", "rows")
    )
    return RecordedDays(
        name, settings.zone, days, oldest, newest, count, configured_until, deliveries
    )


def _of_activity(settings: Settings, name: str) -> str:
    """SQL that keeps the rows that are activity, of the table of activity."""
    if name != settings.activity.table:
        return ""
    return f"WHERE kind IN ({', '.join(literal(kind) for kind in settings.activity.kinds)})"


def _read_deliveries(history: RecordedTables, name: str) -> tuple[tuple[int, int], ...]:
    if "deliveries" not in history.further:
        return ()
    rows = history.connection.execute(
        "SELECT recorded_at, complete_until FROM deliveries WHERE table_name = ?", [name]
    ).fetchall()
    return tuple((recorded_at, until) for recorded_at, until in rows)


def _feed_silent(each: Freshness, settings: Settings) -> FeedSilent:
    newest = day_text(each.complete_until or 0, zone=settings.zone)
    as_of = day_text(each.as_of, zone=settings.zone)
    return FeedSilent(
        where=each.table,
        got=f"{each.quiet_days:.1f} days without a row before {as_of}; the rows end at {newest}, "
        f"and {each.allowed_days:.1f} days of quiet are usual at most",
        rule=f"Nobody is scored while {each.table} are silent for longer than {TIMES_LONGEST} × "
        "their longest quiet spell that began on this weekday: a feed that stopped would look like "
        "customers who left.",
        fix=f"Load the missing rows, or give an as_of of {newest} or earlier. If nothing happened "
        f'since then, write under [contract]: fresh_until = {{ {each.table} = "{as_of}" }}',
    )
