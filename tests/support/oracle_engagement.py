"""The oracle's interactions, sessions, channels and breadth: slowly and obviously, as oracle.py
says it is written.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from tests.support.oracle import DAY, MINUTE, Row, local_day, of_kind

MILLION = 10**6
HALF_HOUR = 30 * MINUTE
Value = float | Fraction | None


def engagement(seen: Any) -> dict[str, Value]:
    bought, begun = seen.bought, seen.begun
    used = Counter(row["channel"] for row in begun if row["channel"] is not None)
    complained = max(
        (row["occurred_at"] for row in of_kind(seen.feedback, "complaint")), default=None
    )
    after = [
        row
        for row in begun
        if complained is not None and 0 <= row["occurred_at"] - complained < 7 * DAY
    ]
    kinds = {"visit_share": "visit", "usage_share": "usage", "call_share": "call"}
    shares = {name: share(len(of_kind(begun, kind)), len(begun)) for name, kind in kinds.items()}
    return (
        shares
        | windowed(seen)
        | shifts(seen)
        | faded(seen)
        | {
            "recency_call": since(seen, of_kind(begun, "call")),
            "recency_cancel_page": since(seen, of_kind(begun, "cancel_page", "downgrade_page")),
            "recency_response": since(seen, of_kind(begun, "opened", "clicked")),
            "channel_entropy": entropy(used),
            "hour_entropy": entropy(hours(seen)),
            "category_entropy": entropy(
                Counter(row["category"] for row in bought if row["category"] is not None)
            ),
            "complaint_channels": None
            if complained is None
            else len({row["channel"] for row in after} - {None}),
        }
    )


def share(part: Any, whole: Any) -> Value:
    return Fraction(part, whole) if whole else None


def since(seen: Any, rows: list[Row]) -> Value:
    return seen.age(max((row["occurred_at"] for row in rows), default=None))


def entropy(counts: Counter) -> Value:
    """In nats; each part's ln(1 / share) in whole millionths."""
    total = sum(counts.values())
    told = sum(
        count * math.floor(math.log(total / count) * MILLION + 0.5) for count in counts.values()
    )
    return share(told, total * MILLION)


def hours(seen: Any) -> Counter:
    """Weekday and hour, on the clock of the zone, of the first event of each active day."""
    return Counter((local_day(day, seen.zone) % 7, local_hour(day, seen.zone)) for day in seen.days)


def local_hour(instant: int, zone: str) -> int:
    """The hour that the clock of `zone` shows."""
    return (
        (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=instant))
        .astimezone(ZoneInfo(zone))
        .hour
    )


def windowed(seen: Any) -> dict[str, Value]:
    visits = of_kind(seen.begun, "visit", "login", "usage", "cancel_page", "downgrade_page")
    opened, out = opening(seen.bought), {}
    hopped = [row for row in seen.begun if row["channel"] is not None and hops(row, seen.begun)]
    for window, days in [
        *((f"{days}d", days) for days in seen.definitions.windows_days),
        ("all", None),
    ]:
        bought, met = seen.since(seen.bought, days), seen.since(visits, days)
        begun = seen.since([{"occurred_at": at} for at in sessions(visits)], days)
        stayed = seen.since(
            [{"occurred_at": at, "stayed": idle} for at, idle in stays(visits)], days
        )
        placed = seen.since([row for row in seen.begun if row["channel"] is not None], days)
        told = {
            "conversion": Fraction(len(bought) + 1, seen.engaged(days) + 5),
            "sessions": len(begun),
            "session_depth": share(len(met), len(begun)),
            "session_minutes": share(sum(row["stayed"] for row in stayed), len(begun) * MINUTE),
            "channel_switch_share": share(len(seen.since(hopped, days)), len(placed)),
            "new_category_share": share(len(seen.since(opened, days)), len(bought)),
        }
        out |= {f"{name}_{window}": value for name, value in told.items()}
    return out


def sessions(visits: list[Row]) -> list[int]:
    """When each session begins."""
    instants = sorted(row["occurred_at"] for row in visits)
    return instants[:1] + [
        later for earlier, later in pairwise(instants) if later - earlier > HALF_HOUR
    ]


def stays(visits: list[Row]) -> list[tuple[int, int]]:
    """Each visit within a session and the time since the one before."""
    instants = sorted(row["occurred_at"] for row in visits)
    return [
        (later, later - earlier)
        for earlier, later in pairwise(instants)
        if later - earlier <= HALF_HOUR
    ]


def hops(row: Row, begun: list[Row]) -> bool:
    """Whether one on another channel came before, at most 24 hours; of equal instants by the
    channel's name.
    """
    here = (row["occurred_at"], row["channel"])
    placed = (
        (other["occurred_at"], other["channel"]) for other in begun if other["channel"] is not None
    )
    return any(
        there < here and there[1] != here[1] and here[0] - there[0] <= DAY for there in placed
    )


def opening(bought: list[Row]) -> list[Row]:
    """For each category its first purchase."""
    firsts: dict[str, Row] = {}
    for row in sorted(bought, key=lambda row: row["occurred_at"]):
        if row["category"] is not None:
            firsts.setdefault(row["category"], row)
    return list(firsts.values())


def shifts(seen: Any) -> dict[str, Value]:
    out = {}
    placed = [row for row in seen.begun if row["channel"] is not None]
    for days in seen.definitions.windows_days:
        near = seen.since(placed, days)
        earlier = [row for row in placed if row not in near]
        parts = [Counter(row["channel"] for row in rows) for rows in (near, earlier)]
        out[f"channel_shift_{days}d"] = moved(*parts) if near and earlier else None
    return out


def moved(near: Counter, earlier: Counter) -> Fraction:
    channels: Iterable[str] = {*near, *earlier}
    gaps = (
        Fraction(near[c], near.total()) - Fraction(earlier[c], earlier.total()) for c in channels
    )
    return sum(abs(gap) for gap in gaps) / 2


def faded(seen: Any) -> dict[str, Value]:
    out = {}
    for k, life in zip((1, 3, 6), seen.definitions.half_lives_days, strict=True):
        sums = []
        for kinds in (("opened", "clicked"), ("sent",)):
            ages = [seen.as_of - row["occurred_at"] for row in of_kind(seen.interactions, *kinds)]
            weights = [math.floor(0.5 ** (age / (life * DAY)) * 2**30 + 0.5) for age in ages]
            sums.append(Fraction(sum(weights), 2**30))
        out[f"response_rate_ewm_{k}x_gap"] = (sums[0] + 1) / (sums[1] + 5)
    return out
