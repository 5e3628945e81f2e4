"""The subscription process behind `features.simulation`: paid terms, day by day, and the exact chance of leaving.

A subscriber holds one term after the other: 30 days (`monthly`, 75 %) or 365 days (`annual`); 85 % renew by
themselves. Satisfaction, a level 0…4 with a transition matrix given from outside, moves first on every day; then

1. a running subscriber decides to leave with the day's hazard: `DECIDES[level]`, times `ANNUAL_FACTOR` on annual
   plans, times `END_FACTOR` in the last 14 days of a term. Nothing takes the decision back;
2. one who has decided cancels with probability `CANCELS` a day (94 % within ten days). A cancelled term runs out;
3. on a term's last day an uncancelled term with auto-renewal is renewed at `ends_at` exactly. Without it, one who
   has decided lets it lapse, and one who has not renews with probability `RENEWS[level]`, up to 5 days late with
   probabilities `LATE`; a late term starts on the day it is bought. A lapsed customer does not return.

Leaving in a window `[as_of, as_of + horizon)` is: cancelled in it, or cover ends in it and is not renewed within
grace (7 days, so every late renewal counts as staying). A term cancelled before the window whose cover runs beyond
it is therefore no leaving (p = 0); one that ends in the window is (p = 1), and so is cover lapsed before it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

TERM_DAYS = np.array([30, 365])  # monthly, annual
ANNUAL_SHARE, AUTO_RENEW_SHARE = 0.25, 0.85
DECIDES = np.array([0.0200, 0.0060, 0.0010, 0.0003, 0.0002])  # a day, by level, on a monthly plan
ANNUAL_FACTOR, END_FACTOR, END_DAYS = 0.6, 2.5, 14
CANCELS = 0.25  # a day, once decided
RENEWS = np.array([0.45, 0.65, 0.82, 0.90, 0.94])  # by level, without auto-renewal
LATE = np.array([0.60, 0.12, 0.10, 0.08, 0.06, 0.04])  # renewed 0, 1, … 5 days after the end

# A customer's status at the end of a day. WAITING: renewed or signed up, the new term not yet begun by that midnight.
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
class Terms:
    """One entry a paid term: whose, first and last day, day of cancelling (−1: never)."""

    who: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    cancelled: np.ndarray


@dataclass(frozen=True)
class Subscribed:
    """`status` and `ends` (the last day of the newest term): days × customers, at each day's end."""

    status: np.ndarray
    ends: np.ndarray
    terms: Terms


def draw_plans(rng: np.random.Generator, *, customers: int) -> Plans:
    return Plans(rng.random(customers) < ANNUAL_SHARE, rng.random(customers) < AUTO_RENEW_SHARE)


def hazard(level: np.ndarray, *, days_left: np.ndarray, annual: np.ndarray | bool) -> np.ndarray:
    """Chance of deciding to leave today, for one who has not; `days_left` until the term's last day."""
    return DECIDES[level] * np.where(annual, ANNUAL_FACTOR, 1.0) * np.where(days_left <= END_DAYS, END_FACTOR, 1.0)


def subscribe(rng: np.random.Generator, *, plans: Plans, level: np.ndarray, acquired: np.ndarray) -> Subscribed:
    """Live every day once. `level` is days × customers; `acquired` the day each customer signs up."""
    days, customers = level.shape
    status, ends = np.zeros((days, customers), np.int8), np.zeros((days, customers), np.int32)
    now, last = np.zeros(customers, np.int8), acquired + plans.term_days
    bought = [(np.arange(customers), acquired)]
    cancelled = np.full(customers, -1)
    for day in range(days):
        now[acquired == day] = WAITING
        now[(now == WAITING) & (last - plans.term_days < day)] = RUNNING
        now = _decide(rng, now, hazard(level[day], days_left=last - day, annual=plans.annual))
        cancelled[(now == CANCELLED) & (cancelled < 0)] = day
        due = (last == day) & (now >= RUNNING) & (now < GONE)
        renewed, begins = _renew(rng, due, now, level[day], plans, day)
        last = np.where(renewed, begins + plans.term_days, last)
        now[renewed & ~plans.auto_renew] = WAITING
        now[due & ~renewed] = GONE
        bought.append((np.flatnonzero(renewed), begins[renewed]))
        status[day], ends[day] = now, last
    return Subscribed(status, ends, _terms(bought, plans, cancelled, last))


def _decide(rng: np.random.Generator, now: np.ndarray, chance: np.ndarray) -> np.ndarray:
    now = np.where((now == RUNNING) & (rng.random(now.size) < chance), DECIDED, now)
    return np.where((now == DECIDED) & (rng.random(now.size) < CANCELS), CANCELLED, now)


def _renew(
    rng: np.random.Generator, due: np.ndarray, now: np.ndarray, level: np.ndarray, plans: Plans, day: int
) -> tuple[np.ndarray, np.ndarray]:
    """Who renews the term that ends today, and on which day the new one begins."""
    chosen = (now == RUNNING) & (rng.random(now.size) < RENEWS[level])
    late = np.where(plans.auto_renew, 0, rng.choice(LATE.size, size=now.size, p=LATE))
    return due & (now != CANCELLED) & (plans.auto_renew | chosen), day + late


def _terms(bought: list[tuple[np.ndarray, np.ndarray]], plans: Plans, cancelled: np.ndarray, last: np.ndarray) -> Terms:
    who, starts = (np.concatenate(parts) for parts in zip(*bought, strict=True))
    ends = starts + plans.term_days[who]
    # Only the newest term can be the cancelled one: after cancelling nothing is bought.
    return Terms(who, starts, ends, np.where(ends == last[who], cancelled[who], -1))


def leaving(subscribed: Subscribed, plans: Plans, level: np.ndarray, *, day: int, horizon: int,
            transition: np.ndarray) -> np.ndarray:  # fmt: skip
    """Exact P(leaves in days [day, day + horizon)) for every customer, given the state at the midnight before `day`."""
    status, ends, level = subscribed.status[day - 1], subscribed.ends[day - 1], level[day - 1]
    p = np.where(status == CANCELLED, ends - day < horizon, 1.0)
    for annual in (False, True):
        for auto_renew in (False, True):
            futures = _futures(annual, auto_renew, horizon, transition)
            alike = (plans.annual == annual) & (plans.auto_renew == auto_renew)
            _fill(p, alike, status, level, ends - day, futures, transition)
    return p


def _fill(p, alike, status, level, days_left, futures, transition) -> None:
    horizon, term = futures.shape[0] - 1, futures.shape[2]
    running = alike & (status == RUNNING)
    p[running] = futures[horizon, level[running], days_left[running]]
    decided = alike & (status == DECIDED)
    p[decided] = futures[horizon, -1, days_left[decided]]
    for pause in range(LATE.size):
        # A new term begins `pause` days from now at the latest moment of the day before: steps, but no hazard yet.
        waiting = alike & (status == WAITING) & (days_left - term + 1 == pause)
        begun = np.linalg.matrix_power(transition, pause) @ futures[max(horizon - pause, 0), :-1, term - 1]
        p[waiting] = begun[level[waiting]]


def _futures(annual: bool, auto_renew: bool, horizon: int, transition: np.ndarray) -> np.ndarray:
    """P(leaves within k days), backwards over days: axes k = 0…horizon, level 0…4 or decided, days left in the term.

    In the notation of the module: W₀ = 0 and, with T the transition, h the hazard, c = CANCELS, and A the value of
    going on (A(s, m) = Wₖ₋₁(s, m − 1); at m = 0 what renewing or lapsing is worth):
        Wₖ(decided, m) = c + (1 − c) · A(decided, m)
        Wₖ(s, m) = Σₛ' T(s, s') · [(1 − h(s', m)) · A(s', m) + h(s', m) · Wₖ(decided, m)]
    """
    levels, term = transition.shape[0], int(TERM_DAYS[int(annual)])
    value = np.zeros((horizon + 1, levels + 1, term))
    chance = hazard(np.arange(levels)[:, None], days_left=np.arange(term), annual=annual)
    for k in range(1, horizon + 1):
        on = np.empty((levels + 1, term))
        on[:, 1:] = value[k - 1, :, :-1]
        on[:, 0] = value[k - 1, :, -1] if auto_renew else _at_end(value, k, transition)
        value[k, -1] = CANCELS + (1 - CANCELS) * on[-1]
        value[k, :-1] = transition @ ((1 - chance) * on[:-1] + chance * value[k, -1])
    return value


def _at_end(value: np.ndarray, k: int, transition: np.ndarray) -> np.ndarray:
    """What the end of a term without auto-renewal is worth, by level and for the decided (who let it lapse)."""
    renewed, steps = np.zeros(transition.shape[0]), np.eye(transition.shape[0])
    for late, share in enumerate(LATE):
        if k - 1 - late > 0:
            renewed += share * steps @ value[k - 1 - late, :-1, -1]
        steps = steps @ transition
    return np.append(1 - RENEWS + RENEWS * renewed, 1.0)
