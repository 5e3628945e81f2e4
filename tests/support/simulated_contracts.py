"""Lives under contract, in whole hours, and who leaves by walking through them half hour by half
hour, so that a pause of one hour shows.

A second, slow implementation of the label: it steps through the window with a clock and knows
nothing of chains, versions or windows of a query.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from tests.support import oracle
from tests.support.oracle import DAY
from tests.support.oracle_worlds import World, add

HOUR = DAY // 24
Life = Callable[[random.Random, int], list[dict[str, Any]]]


def term(starts: int, days: float, **cells: Any) -> dict[str, Any]:
    return {"starts_at": starts, "ends_at": starts + int(days * 24) * HOUR} | cells


def simple(rng: random.Random, at: int) -> list[dict[str, Any]]:
    """Renewed on the hour until it is not."""
    days, auto = rng.choice((30, 30, 90, 365)), rng.choice((None, True, False))
    return [
        term(at + k * days * DAY, days, plan=f"{days} days", auto_renew=auto)
        for k in range(rng.randrange(1, 12))
    ]


def with_gaps(rng: random.Random, at: int) -> list[dict[str, Any]]:
    """Renewed late: by hours, on the last day of grace, or after it."""
    terms, auto = [], rng.choice((None, True))
    for _ in range(rng.randrange(1, 8)):
        terms.append(term(at, 30, plan="monthly", auto_renew=auto))
        late = rng.choice((0, 1, 12, 23, 24, 25, 72, 73, 400))
        at = terms[-1]["ends_at"] + late * HOUR
    return terms


def plan_changes(rng: random.Random, at: int) -> list[dict[str, Any]]:
    """The old term is cancelled when the new one begins, within its month or year."""
    terms = []
    for _ in range(rng.randrange(1, 6)):
        days, plan = rng.choice(((30, "monthly"), (365, "annual"), (90, "season")))
        stay = rng.randrange(1, days) if rng.random() < 0.6 else days
        new = term(at, days, plan=plan, auto_renew=rng.choice((None, True)))
        at += stay * DAY
        terms.append(new | {"cancelled_at": at if stay < days else None})
    return terms


def trials(rng: random.Random, at: int) -> list[dict[str, Any]]:
    """A trial first, and then perhaps more."""
    first = term(at, 14, plan=rng.choice(("trial", "Free Trial", "trial-14")))
    paid = simple(rng, at + 14 * DAY + rng.choice((0, 0, 5 * DAY)))
    return [first, *(paid if rng.random() < 0.6 else [])]


def withdrawals(rng: random.Random, at: int) -> list[dict[str, Any]]:
    """Given up within a term: in the same row, paid for longer or open-ended."""
    terms = simple(rng, at)
    last = terms[-1]
    if rng.random() < 0.5:
        last["ends_at"] = oracle.OPEN
    if rng.random() < 0.8:
        last["cancelled_at"] = last["starts_at"] + rng.randrange(1, 24 * 29) * HOUR
    return terms


LIVES: tuple[Life, ...] = (simple, with_gaps, plan_changes, trials, withdrawals)


def populate(made: World, count: int) -> None:
    """Add `count` customers of each kind of life; half of them are never active."""
    for life in LIVES:
        for number in range(count):
            customer = f"{life.__name__}-{number:03d}"
            start = made.as_of + made.rng.randrange(-500 * 24, 40 * 24) * HOUR
            for cells in life(made.rng, start):
                recorded = cells["starts_at"] - made.rng.choice((0, 0, 0, 24, 300)) * HOUR
                add(made, "contracts", customer, recorded_at=recorded, **cells)
            if number % 2:
                at = made.as_of - made.rng.randrange(1, 300) * DAY
                cells = {"amount": 1, "kind": "purchase", "occurred_at": at, "recorded_at": at}
                add(made, "transactions", customer, **cells)


def leaves(rows: list[dict[str, Any]], as_of: int, settings: Any) -> bool:
    """Whether the customer leaves in the window of `as_of`, hour by hour (see the module)."""
    end = as_of + settings.churn.horizon_days * DAY
    read = end + settings.churn.label_latency_days * DAY
    # What the label may know: recorded before it is read, cancelled before the window's end.
    terms = [
        row | {"cancelled_at": row["cancelled_at"] if (row["cancelled_at"] or end) < end else None}
        for row in rows
        if row["recorded_at"] < read and not oracle.is_trial(row, settings)
    ]
    for one in terms:
        _add_ends(one, terms, settings)
    covered = any(one["starts_at"] <= as_of < one["runs"] for one in terms)
    starts = [one["starts_at"] for one in terms if as_of <= one["starts_at"] < end]
    if not covered and not starts:
        return True
    # The clock: from now on, or from the first beginning, as long as cover is not broken.
    clock, lived = (as_of if covered else min(starts)), []
    last = max(read, *(one["starts_at"] for one in terms))
    while clock <= last:
        if not any(one["starts_at"] <= clock <= one["by"] for one in terms):
            break
        lived = [one for one in terms if one["starts_at"] <= clock]
        clock += HOUR // 2
    if clock < end:
        return True
    return not any(_goes_on(one, as_of, end, read) for one in lived)


def _add_ends(one: dict[str, Any], terms: list[dict[str, Any]], settings: Any) -> None:
    """`end` as cancelled, `by`: the last hour at which a next term continues it, `runs`."""
    grace, cancelled = settings.churn.grace_days * DAY, one["cancelled_at"]
    one["end"] = one["ends_at"]
    at_once = settings.contract.cancelled_terms == "end" or one["ends_at"] == oracle.OPEN
    if cancelled is not None and at_once:
        one["end"] = max(one["starts_at"], min(one["ends_at"], cancelled))
    earlier = [other for other in terms if other["starts_at"] < one["starts_at"] and "end" in other]
    followed = any(one["starts_at"] <= other["end"] + grace for other in earlier)
    renews = cancelled is None and one["end"] < oracle.OPEN and (one["auto_renew"] or followed)
    day_later = oracle.next_day(one["end"], settings.zone) if renews else 0
    one["by"] = max(one["end"] + grace, day_later)
    one["runs"] = one["by"] if renews else one["end"]


def _goes_on(one: dict[str, Any], as_of: int, end: int, read: int) -> bool:
    if one["cancelled_at"] is not None and as_of <= one["cancelled_at"] < end:
        return False
    return one["end"] > end or (one["runs"] > one["end"] and one["runs"] > read)
