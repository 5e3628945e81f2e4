"""Instants as int64 microseconds UTC, and the local dates and midnights of a business's time zone.

All code that needs a local date or a midnight uses this module. A day of a horizon or window is
86,400 s; a date means local midnight. Only the command line and the service read the machine's
clock.
"""

from __future__ import annotations

import time as clock
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from features.core.errors import BadSetting

MINUTE_US, HOUR_US, DAY_US = 60_000_000, 3_600_000_000, 86_400_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant(value: str | date | datetime, *, zone: str) -> int:
    """An as_of in µs UTC. A date means local midnight in `zone`; a naive time is local there.

    Raises BadSetting for a text that is neither a date nor an RFC 3339 instant.

    >>> instant("1970-01-02", zone="UTC")
    86400000000
    """
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value) if len(value) > 10 else date.fromisoformat(value)
        except ValueError as error:
            raise BadSetting(
                where="as_of",
                got="not a date",
                rule="as_of is YYYY-MM-DD or an RFC 3339 instant.",
                fix="Write it as in 2011-09-10 or 2011-09-10T00:00:00+01:00.",
                values=[value],
            ) from error
    if not isinstance(value, datetime):
        value = datetime.combine(value, time.min)
    if value.tzinfo is None:
        value = value.replace(tzinfo=ZoneInfo(zone))
    since = value - _EPOCH
    return since.days * DAY_US + since.seconds * 1_000_000 + since.microseconds


def day_text(at: int, *, zone: str) -> str:
    """The instant as text: a bare date at local midnight, an RFC 3339 instant otherwise."""
    local = (_EPOCH + timedelta(microseconds=at)).astimezone(ZoneInfo(zone))
    return local.date().isoformat() if local.time() == time.min else local.isoformat()


def end_text(at: int, *, zone: str) -> str:
    """The end of the data as text: where it lies 1 µs after the newest row, that row's instant.

    >>> end_text(DAY_US, zone="UTC"), end_text(HOUR_US + 1, zone="UTC")
    ('1970-01-02', '1970-01-01T01:00:00+00:00')
    """
    return day_text(at - (at % 1_000_000 == 1), zone=zone)


def local_date(at: int, zone: str) -> date:
    """The local date of an instant (µs UTC) in a zone."""
    return (_EPOCH + timedelta(microseconds=at)).astimezone(ZoneInfo(zone)).date()


def midnight_before(at: int, zone: str) -> int:
    """The last local midnight at or before an instant, both in µs UTC."""
    return instant(local_date(at, zone), zone=zone)


def midnight_after(at: int, zone: str) -> int:
    """The first local midnight at or after an instant, both in µs UTC.

    >>> midnight_after(1, "UTC") == midnight_after(DAY_US, "UTC") == DAY_US
    True
    """
    before = midnight_before(at, zone)
    if before == at:
        return at
    return instant(local_date(at, zone) + timedelta(days=1), zone=zone)


def current_instant() -> int:
    """The machine's clock in µs UTC; for the command line and the service only."""
    return round(clock.time() * 1_000_000)


def last_midnight(zone: str) -> int:
    """The last local midnight by the machine's clock; for the command line and the service only."""
    return midnight_before(current_instant(), zone)
