"""The subscription side of `lifecycle.simulation`: paid terms, day by day, and the exact chance of leaving.

A subscriber holds one term after the other, of 30 days (monthly, 75 %) or 365 (annual); 85 % renew by themselves.
Every day satisfaction moves first, as in retail. Then

1. a running subscriber decides to leave with the hazard `DECIDES[level]`, half of it on annual plans, threefold in
   the last 14 days of a term. Nothing takes the decision back, and who has decided shows as level 0 in the tables;
2. who has decided cancels with probability 0.25 a day (95 % within ten days). A cancelled term runs out;
3. on a term's last day an uncancelled one with auto-renewal is renewed at `ends_at` exactly. Without auto-renewal,
   who has decided lets it lapse, and who has not renews with probability `RENEWS[level]`, 0–5 days late with
   probabilities `LATE`; a late term starts on the day it is bought. A lapsed customer does not return.

    contracts       starts_at, ends_at   30 or 365 days apart to the second; the first starts at acquisition
                    plan                 monthly, annual
                    price                EUR a term: 9.90, 19.90 or 39.90 by segment, annual for ten months
                    recorded_at          starts_at; a cancellation is a second version of the row, recorded at its
                                         cancelled_at
    transactions    kind                 a purchase for each term, at starts_at
    interactions    kind                 usage: own daily probability (log-normal, median 0.22) times `VISITS[level]`,
                                         while cover runs; web or app; minutes
                                         · cancel_page: when 70 % decide, 0–10 days ahead of cancelling, and idly with
                                         daily probability `IDLE_CANCEL_PAGE[level]`

Leaving in `[as_of, as_of + horizon)` is: cancelled in it, or cover ends in it and is not renewed within grace (7
days, so every late renewal stays). A term cancelled before as_of is therefore p_leave = 1 if it ends in the window
and 0 if it runs beyond; cover lapsed for good before as_of is 1; a pause before a late renewal is no leaving.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from lifecycle.simulation.tables import observed
from lifecycle.simulation.world import (
    CANCEL_PAGE,
    DAY,
    HOUR,
    MINUTE,
    NONE,
    USAGE,
    VISITS,
    WEB,
    Leaving,
    Lives,
    People,
    Rng,
    daytime,
    first_day,
    hits,
    instants,
    money,
    names,
    rows,
    transition,
    written,
)

PLANS, TERM_DAYS, TERM_PRICES = ("monthly", "annual"), np.array([30, 365]), np.array([1, 10])
MONTH_CENTS = np.array([990, 1990, 3990])  # by segment
ANNUAL_SHARE, AUTO_RENEW_SHARE = 0.25, 0.85
DECIDES = np.array([0.0080, 0.0030, 0.0014, 0.0010, 0.0008])  # a day, by level, on a monthly plan
ANNUAL_FACTOR, END_FACTOR, END_DAYS = 0.5, 3.0, 14
CANCELS = 0.25  # a day, once decided
RENEWS = np.array([0.45, 0.65, 0.82, 0.90, 0.94])  # by level, without auto-renewal
LATE = np.array([0.60, 0.12, 0.10, 0.08, 0.06, 0.04])  # renewed 0, 1, … 5 days after the end
USES = 0.22
IDLE_CANCEL_PAGE = np.array([0.0040, 0.0030, 0.0010, 0.0005, 0.0003])

# Where a customer stands at the end of a day. WAITING: signed up or renewed, the new term starts today or later.
UNKNOWN, WAITING, RUNNING, DECIDED, CANCELLED, GONE = range(6)


@dataclass(frozen=True)
class Plans:
    """What each customer signed: arrays over customers."""

    annual: np.ndarray
    auto_renew: np.ndarray

    @property
    def term_days(self) -> np.ndarray:
        return TERM_DAYS[self.annual.astype(int)]


@dataclass(frozen=True)
class Cover:
    """`status` and `ends`, the last day of the newest term, at each day's end: days × customers; and the `terms`.

    A column of `terms` is one paid term: who, first day, last day, day of cancelling (−1: never).
    """

    status: np.ndarray
    ends: np.ndarray
    terms: np.ndarray


def lived(
    rng: Rng, people: People, level: np.ndarray, horizon: int
) -> tuple[dict[str, pa.Table], Leaving]:
    """The five tables, and the exact chance of leaving from any day on."""
    customers = people.acquired.size
    plans = Plans(rng.random(customers) < ANNUAL_SHARE, rng.random(customers) < AUTO_RENEW_SHARE)
    cover = _cover(rng, plans, level, people.acquired)
    status = cover.status
    shows = np.where((status == DECIDED) | (status == CANCELLED), np.int8(0), level)
    lives = Lives(shows, (status >= RUNNING) & (status < GONE), first_day(status == GONE))
    hour = rng.random(customers)
    did = np.hstack([_usage(rng, lives), _cancel_pages(rng, people, cover, lives, hour)])
    who, starts, _, _ = cover.terms
    price = MONTH_CENTS[people.segment] * TERM_PRICES[plans.annual.astype(int)]
    bought = rows(who, starts * DAY + people.second[who], price[who], plans.annual[who])
    tables = observed(rng, people, lives, bought=bought, did=did, services=PLANS)
    tables["contracts"] = _contracts(people, plans, cover, price, hour)
    return tables, _leaving(plans, cover, level, horizon)


def hazard(level: np.ndarray, *, days_left: np.ndarray, annual: np.ndarray | bool) -> np.ndarray:
    """The chance of deciding to leave today; `days_left` until the last day of the term."""
    return (
        DECIDES[level]
        * np.where(annual, ANNUAL_FACTOR, 1.0)
        * np.where(days_left <= END_DAYS, END_FACTOR, 1.0)
    )


def _cover(rng: Rng, plans: Plans, level: np.ndarray, acquired: np.ndarray) -> Cover:
    status, ends = np.zeros(level.shape, np.int8), np.zeros(level.shape, np.int32)
    now, last, cancelled = (
        np.zeros(acquired.size, np.int8),
        acquired + plans.term_days,
        np.full(acquired.size, NONE),
    )
    begun = [rows(np.arange(acquired.size), acquired)]
    for day in range(len(level)):
        now[acquired == day] = WAITING
        now[(now == WAITING) & (last - plans.term_days < day)] = RUNNING
        now = _decide(rng, now, hazard(level[day], days_left=last - day, annual=plans.annual))
        cancelled[(now == CANCELLED) & (cancelled == NONE)] = day
        due = (last == day) & (now >= RUNNING) & (now < GONE)
        renewed, starts = _renew(rng, plans, due, now, level[day], day)
        last = np.where(renewed, starts + plans.term_days, last)
        now[renewed & ~plans.auto_renew] = WAITING
        now[due & ~renewed] = GONE
        begun.append(rows(np.flatnonzero(renewed), starts[renewed]))
        status[day], ends[day] = now, last
    who, starts = np.hstack(begun)
    until = starts + plans.term_days[who]
    # Only the newest term can be the cancelled one: nothing is bought after cancelling.
    return Cover(
        status, ends, rows(who, starts, until, np.where(until == last[who], cancelled[who], NONE))
    )


def _decide(rng: Rng, now: np.ndarray, chance: np.ndarray) -> np.ndarray:
    now = np.where((now == RUNNING) & (rng.random(now.size) < chance), DECIDED, now)
    return np.where((now == DECIDED) & (rng.random(now.size) < CANCELS), CANCELLED, now)


def _renew(
    rng: Rng, plans: Plans, due: np.ndarray, now: np.ndarray, level: np.ndarray, day: int
) -> tuple[np.ndarray, np.ndarray]:
    """Who renews the term that ends today, and on which day the new one starts."""
    chosen = (now == RUNNING) & (rng.random(now.size) < RENEWS[level])
    late = np.where(plans.auto_renew, 0, rng.choice(LATE.size, now.size, p=LATE))
    return due & (now != CANCELLED) & (plans.auto_renew | chosen), day + late


def _usage(rng: Rng, lives: Lives) -> np.ndarray:
    often = np.clip(USES * rng.lognormal(0, 0.4, lives.gone.size), 0.05, 0.8)
    day, who = hits(rng, lives.present * often * VISITS[lives.level])
    minutes = 1 + 4 * rng.poisson(2 + 2.5 * lives.level[day, who])
    return rows(who, daytime(rng, day), USAGE, rng.integers(0, 2, who.size), minutes)


def _cancel_pages(
    rng: Rng, people: People, cover: Cover, lives: Lives, hour: np.ndarray
) -> np.ndarray:
    decided = first_day((cover.status == DECIDED) | (cover.status == CANCELLED))
    who = np.flatnonzero((decided < len(lives.level)) & (rng.random(hour.size) < 0.7))
    at = (
        _quit_at(decided[who], people.second[who], hour[who])
        - rng.integers(5, 30, who.size) * MINUTE
    )
    day, idle = hits(rng, (cover.status == RUNNING) * IDLE_CANCEL_PAGE[lives.level])
    return np.hstack(
        [rows(who, at, CANCEL_PAGE, WEB, 1), rows(idle, daytime(rng, day), CANCEL_PAGE, WEB, 1)]
    )


def _quit_at(day: np.ndarray, before: np.ndarray, hour: np.ndarray) -> np.ndarray:
    """The customer's own `hour`, a share of the time from 7:00 to the second `before`."""
    return day * DAY + 7 * HOUR + (hour * (before - 7 * HOUR)).astype(int)


def _contracts(
    people: People, plans: Plans, cover: Cover, price: np.ndarray, hour: np.ndarray
) -> pa.Table:
    who, first, last, quits = cover.terms
    starts, ends = first * DAY + people.second[who], last * DAY + people.second[who]
    # On a term's last day it can only be cancelled before the hour at which it ends.
    cancelled = _quit_at(quits, np.where(quits == last, people.second[who], 22 * HOUR), hour[who])
    bought = rows(who, starts, ends, NONE, starts)
    again = rows(who, starts, ends, cancelled, cancelled)[:, quits >= 0]
    who, starts, ends, cancelled, recorded = written(
        [bought, again], days=len(cover.status), known=-1
    )
    columns = {
        "customer_id": people.ids.take(pa.array(who)),
        "starts_at": instants(starts),
        "ends_at": instants(ends),
        "cancelled_at": instants(cancelled),
        "plan": names(PLANS, plans.annual[who].astype(int)),
        "price": money(price[who]),
        "auto_renew": pa.array(plans.auto_renew[who]),
        "recorded_at": instants(recorded),
    }
    return pa.table(columns)


def _leaving(plans: Plans, cover: Cover, level: np.ndarray, horizon: int) -> Leaving:
    kinds = [(annual, auto_renew) for annual in (False, True) for auto_renew in (False, True)]
    futures = np.stack([_futures(*kind, horizon) for kind in kinds])
    begun = np.stack([_after_pauses(future, TERM_DAYS[k // 2]) for k, future in enumerate(futures)])
    kind = 2 * plans.annual + plans.auto_renew

    def leaving(day: int) -> tuple[np.ndarray, np.ndarray]:
        status, satisfied, days_left = (
            cover.status[day - 1],
            level[day - 1],
            cover.ends[day - 1] - day,
        )
        p = np.where(status == CANCELLED, (days_left < horizon) * 1.0, 1.0)
        state = np.where(status == DECIDED, len(DECIDES), satisfied)
        on = np.flatnonzero((status == RUNNING) | (status == DECIDED))
        p[on] = futures[kind[on], -1, state[on], days_left[on]]
        off = np.flatnonzero(status == WAITING)
        pause = days_left[off] - plans.term_days[off] + 1
        p[off] = begun[kind[off], pause, satisfied[off]]
        return p, status >= CANCELLED

    return leaving


def _futures(annual: bool, auto_renew: bool, horizon: int) -> np.ndarray:
    """P(leaves within k days), backwards over the days: axes k = 0 … horizon, level or decided, days left.

    W₀ = 0. With T the transition, h the hazard, c = CANCELS and A the value of going on, Wₖ₋₁(s, m − 1) before the
    last day of the term (m > 0) and what its renewal or its end is worth on it (m = 0):
        Wₖ(decided, m) = c + (1 − c) · A(decided, m)
        Wₖ(s, m) = Σₛ' T(s, s') · [(1 − h(s', m)) · A(s', m) + h(s', m) · Wₖ(decided, m)]
    """
    levels, longest, term = len(DECIDES), TERM_DAYS.max(), TERM_DAYS[int(annual)]
    value = np.zeros((horizon + 1, levels + 1, longest))
    chance = hazard(np.arange(levels)[:, None], days_left=np.arange(longest), annual=annual)
    for k in range(1, horizon + 1):
        at_end = value[k - 1, :, term - 1] if auto_renew else _at_end(value[:k, :-1, term - 1])
        on = np.column_stack([at_end, value[k - 1, :, :-1]])
        value[k, -1] = CANCELS + (1 - CANCELS) * on[-1]
        value[k, :-1] = transition() @ ((1 - chance) * on[:-1] + chance * value[k, -1])
    return value


def _at_end(new_term: np.ndarray) -> np.ndarray:
    """The worth of a term's end without auto-renewal, by level and for the decided; `new_term`: days to go, level."""
    renewed, days_to_go = np.zeros(len(RENEWS)), len(new_term) - 1
    for late in range(min(LATE.size, days_to_go)):
        renewed += (
            LATE[late] * np.linalg.matrix_power(transition(), late) @ new_term[days_to_go - late]
        )
    return np.append(1 - RENEWS + RENEWS * renewed, 1.0)


def _after_pauses(future: np.ndarray, term: int) -> np.ndarray:
    """P(leaves) of who waits 0 … 5 days for a new term, by pause and level: satisfaction moves, no hazard yet."""
    worth = np.zeros((LATE.size, len(RENEWS)))
    for pause in range(min(LATE.size, len(future))):
        worth[pause] = (
            np.linalg.matrix_power(transition(), pause) @ future[-1 - pause, :-1, term - 1]
        )
    return worth
