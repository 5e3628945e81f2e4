"""Instants: int64 microseconds UTC, and the local days and midnights of a business's zone. The one home of both.

A day of a horizon or window is 86,400 s; a date means local midnight. Only doors read the machine's clock.
"""

from __future__ import annotations

import time as clock
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from features.core.errors import BadSetting

MINUTE_US, HOUR_US, DAY_US = 60_000_000, 3_600_000_000, 86_400_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant(stated: str | date | datetime, *, zone: str) -> int:
    """An as_of in microseconds UTC. A date means local midnight in `zone`; a naive time is read in `zone`."""
    if isinstance(stated, str):
        try:
            stated = (
                datetime.fromisoformat(stated) if len(stated) > 10 else date.fromisoformat(stated)
            )
        except ValueError as error:
            raise BadSetting(
                where="as_of",
                got="not a date",
                rule="as_of is YYYY-MM-DD or an RFC 3339 instant.",
                fix="Write it like 2011-09-10 or 2011-09-10T00:00:00+01:00.",
                values=[stated],
            ) from error
    if not isinstance(stated, datetime):
        stated = datetime.combine(stated, time.min)
    if stated.tzinfo is None:
        stated = stated.replace(tzinfo=ZoneInfo(zone))
    since = stated - _EPOCH
    return since.days * DAY_US + since.seconds * 1_000_000 + since.microseconds


def day_text(at: int, *, zone: str) -> str:
    """The instant as text: a bare date at local midnight, an RFC 3339 instant otherwise."""
    local = (_EPOCH + timedelta(microseconds=at)).astimezone(ZoneInfo(zone))
    return local.date().isoformat() if local.time() == time.min else local.isoformat()


def local_date(at: int, zone: str) -> date:
    """The day of an instant in a zone."""
    return (_EPOCH + timedelta(microseconds=at)).astimezone(ZoneInfo(zone)).date()


def midnight_before(at: int, zone: str) -> int:
    """The last local midnight at or before an instant."""
    return instant(local_date(at, zone), zone=zone)


def last_midnight(zone: str) -> int:
    """The last local midnight, by the machine's clock (doors only)."""
    return midnight_before(round(clock.time() * 1_000_000), zone)
