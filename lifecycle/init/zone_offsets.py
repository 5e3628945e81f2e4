"""Zones that have the offsets which the times of the files carry."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo, available_timezones

# Where businesses are, the largest markets first; the other zones of the world come after them.
_USUAL = (
    *("Europe/Berlin", "Europe/London", "America/New_York", "America/Chicago"),
    *("America/Los_Angeles", "America/Denver", "Europe/Paris", "Europe/Madrid", "Europe/Rome"),
    *("Europe/Helsinki", "Europe/Athens", "Europe/Istanbul", "Asia/Shanghai", "Asia/Tokyo"),
    *("Asia/Kolkata", "Asia/Singapore", "Asia/Dubai", "Asia/Riyadh", "Asia/Kuwait"),
    *("Australia/Sydney", "Australia/Brisbane", "Pacific/Auckland", "America/Sao_Paulo"),
    *(
        "America/Mexico_City",
        "America/Bogota",
        "America/Santiago",
        "America/Argentina/Buenos_Aires",
    ),
    *(
        "America/Halifax",
        "America/Phoenix",
        "Africa/Johannesburg",
        "Africa/Lagos",
        "Africa/Nairobi",
    ),
)
_MATCH = 0.99  # of the rows whose offset is not zero
_FEWEST = 0.05  # of the rows with an offset that must have another than zero
_SHOWN = 3


@dataclass(frozen=True)
class OffsetCount:
    """So many rows have the offset (minutes) at about this instant, in UTC."""

    minutes: int
    at: datetime
    rows: int


def zones_with(offsets: Iterable[OffsetCount]) -> list[str]:
    """The zones that have these offsets at these times, the likeliest first; at most three.

    Empty where most times are written in UTC, or where no zone has the offsets.

    >>> winter = datetime(2024, 1, 5, tzinfo=ZoneInfo("UTC"))
    >>> zones_with([OffsetCount(330, winter, 10)])[0]
    'Asia/Kolkata'
    """
    counts = list(offsets)
    local = [each for each in counts if each.minutes]
    rows = sum(each.rows for each in local)
    if not rows or rows < _FEWEST * sum(each.rows for each in counts):
        return []
    others = sorted(available_timezones() - set(_USUAL) - {"localtime", "Factory"})
    fitting = [zone for zone in _USUAL if _fits(zone, local, rows)]
    fitting = fitting or [zone for zone in others if _fits(zone, local, rows)]
    # Times in UTC say little, but London has them in winter and Lagos never.
    fitting.sort(key=lambda zone: -_count_fitting(zone, counts))
    return fitting[:_SHOWN]


def _fits(zone: str, counts: list[OffsetCount], rows: int) -> bool:
    """Whether nearly all rows have the zone's offset; it stops at the first that are too many."""
    info, spare = ZoneInfo(zone), (1 - _MATCH) * rows
    for each in counts:
        if _minutes(info, each.at) != each.minutes:
            spare -= each.rows
            if spare < 0:
                return False
    return True


def _count_fitting(zone: str, counts: list[OffsetCount]) -> int:
    info = ZoneInfo(zone)
    return sum(each.rows for each in counts if _minutes(info, each.at) == each.minutes)


def _minutes(info: ZoneInfo, at: datetime) -> int:
    offset = at.astimezone(info).utcoffset()
    return round(offset.total_seconds() / 60) if offset is not None else 0
