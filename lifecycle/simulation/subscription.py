"""The subscription mode: paid terms, day by day, and the exact probability of leaving.

A subscriber holds one term after the other, of 30 days (monthly, 75 %) or 365 (annual); 85 % renew
automatically. Every day satisfaction moves first, as in retail. Then

1. a running subscriber decides to leave with the hazard `DECIDES[level]`: half of it on annual
   plans, three times of it in the last 14 days of a term. The decision is final, and the tables
   show level 0 from then on;
2. a decided subscriber cancels with probability 0.25 a day (95 % within ten days). A cancelled term
   runs to its end;
3. on a term's last day an uncancelled one with auto-renewal is renewed at `ends_at` exactly.
   Without auto-renewal a decided subscriber lets it lapse; any other renews with probability
   `RENEWS[level]`, 0–5 days late with probabilities `LATE`, and the late term starts on the day it
   is bought. A lapsed customer does not return.

    contracts
        starts_at, ends_at   30 or 365 days apart to the second; the first starts at acquisition
        plan                 monthly, annual
        price                EUR a term: 9.90, 19.90 or 39.90 by segment; annual costs ten months
        recorded_at          starts_at; a cancellation is a second version of the row, recorded at
                             its cancelled_at
    transactions
        kind                 a purchase for each term, at starts_at
    interactions
        kind                 usage: own daily probability (log-normal, median 0.22) times
                             `VISITS[level]`, while cover runs; web or app; minutes
                             cancel_page: for 70 % of decisions, 0–10 days before cancelling, and
                             without a decision with daily probability `IDLE_CANCEL_PAGE[level]`

Leaving in `[as_of, as_of + horizon)` is: cancelled in it, or cover ends in it and is not renewed
within grace (7 days, so every late renewal stays). A term cancelled before as_of is therefore
p_leave = 1 if it ends in the window and 0 if it runs beyond; cover that lapsed for good before
as_of is 1; a pause before a late renewal is no leaving.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from lifecycle.simulation.tables import observed_tables
from lifecycle.simulation.world import (
    CANCEL_PAGE,
    DAY,
    HOUR,
    MINUTE,
    NONE,
    USAGE,
    VISITS,
    WEB,
    LeaveProbability,
    Lives,
    People,
    Rng,
    draw_daytime,
    draw_events,
    event_rows,
    first_day,
    label_column,
    merge_events,
    money_column,
    timestamps,
    transition_matrix,
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

# The status at the end of a day. WAITING: signed up or renewed, and the new term starts today or
# later.
UNKNOWN, WAITING, RUNNING, DECIDED, CANCELLED, GONE = range(6)


@dataclass(frozen=True)
class Plans:
    """What each customer signed: arrays (customers,)."""

    annual: np.ndarray
    auto_renew: np.ndarray

    @property
    def term_days(self) -> np.ndarray:
        return TERM_DAYS[self.annual.astype(int)]


@dataclass(frozen=True)
class Cover:
    """What each customer holds at the end of each day.

    `status` and `ends`, the last day of the newest term, are (days, customers). A column of `terms`
    is one paid term: customer, first day, last day, day of cancelling (NONE: never).
    """

    status: np.ndarray
    ends: np.ndarray
    terms: np.ndarray


def simulate_subscription(
    rng: Rng, people: People, level: np.ndarray, horizon: int
) -> tuple[dict[str, pa.Table], LeaveProbability]:
    """The five tables, and the exact probability of leaving from any day on."""
    customers = people.acquired.size
    plans = Plans(rng.random(customers) < ANNUAL_SHARE, rng.random(customers) < AUTO_RENEW_SHARE)
    cover = _cover(rng, plans, level, people.acquired)
    lives = _visible_lives(cover.status, level)
    # The hour at which a customer cancels, as a share of the day.
    hour = rng.random(customers)
    interactions = np.hstack([_usage(rng, lives), _cancel_pages(rng, people, cover, lives, hour)])
    who, starts, _, _ = cover.terms
    price = MONTH_CENTS[people.segment] * TERM_PRICES[plans.annual.astype(int)]
    paid_at = starts * DAY + people.acquired_second[who]
    purchases = event_rows(who, paid_at, price[who], plans.annual[who])
    tables = observed_tables(
        rng, people, lives, purchases=purchases, interactions=interactions, services=PLANS
    )
    tables["contracts"] = _contracts(people, plans, cover, price, hour)
    return tables, _leave_probability(plans, cover, level, horizon)


def _visible_lives(status: np.ndarray, level: np.ndarray) -> Lives:
    """Who has decided to leave looks like level 0 in the tables."""
    visible = np.where((status == DECIDED) | (status == CANCELLED), np.int8(0), level)
    return Lives(visible, (status >= RUNNING) & (status < GONE), first_day(status == GONE))


def hazard(level: np.ndarray, *, days_left: np.ndarray, annual: np.ndarray | bool) -> np.ndarray:
    """The probability of deciding to leave today; `days_left` until the last day of the term."""
    return (
        DECIDES[level]
        * np.where(annual, ANNUAL_FACTOR, 1.0)
        * np.where(days_left <= END_DAYS, END_FACTOR, 1.0)
    )


def _cover(rng: Rng, plans: Plans, level: np.ndarray, acquired: np.ndarray) -> Cover:
    status, ends = np.zeros(level.shape, np.int8), np.zeros(level.shape, np.int32)
    now, last = np.zeros(acquired.size, np.int8), acquired + plans.term_days
    cancelled = np.full(acquired.size, NONE)
    terms = [event_rows(np.arange(acquired.size), acquired)]
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
        terms.append(event_rows(np.flatnonzero(renewed), starts[renewed]))
        status[day], ends[day] = now, last
    who, starts = np.hstack(terms)
    until = starts + plans.term_days[who]
    # Only the newest term can be the cancelled one: nothing is bought after cancelling.
    cancelled_day = np.where(until == last[who], cancelled[who], NONE)
    return Cover(status, ends, event_rows(who, starts, until, cancelled_day))


def _decide(rng: Rng, now: np.ndarray, probability: np.ndarray) -> np.ndarray:
    now = np.where((now == RUNNING) & (rng.random(now.size) < probability), DECIDED, now)
    return np.where((now == DECIDED) & (rng.random(now.size) < CANCELS), CANCELLED, now)


def _renew(
    rng: Rng, plans: Plans, due: np.ndarray, now: np.ndarray, level: np.ndarray, day: int
) -> tuple[np.ndarray, np.ndarray]:
    """Who renews the term that ends today, and on which day the new term starts."""
    chooses = (now == RUNNING) & (rng.random(now.size) < RENEWS[level])
    late = np.where(plans.auto_renew, 0, rng.choice(LATE.size, now.size, p=LATE))
    return due & (now != CANCELLED) & (plans.auto_renew | chooses), day + late


def _usage(rng: Rng, lives: Lives) -> np.ndarray:
    probability = np.clip(USES * rng.lognormal(0, 0.4, lives.left_day.size), 0.05, 0.8)
    day, who = draw_events(rng, lives.present * probability * VISITS[lives.level])
    minutes = 1 + 4 * rng.poisson(2 + 2.5 * lives.level[day, who])
    return event_rows(who, draw_daytime(rng, day), USAGE, rng.integers(0, 2, who.size), minutes)


def _cancel_pages(
    rng: Rng, people: People, cover: Cover, lives: Lives, hour: np.ndarray
) -> np.ndarray:
    """Views of the cancellation page: of those who have decided, and of others without a reason."""
    decided = first_day((cover.status == DECIDED) | (cover.status == CANCELLED))
    who = np.flatnonzero((decided < len(lives.level)) & (rng.random(hour.size) < 0.7))
    cancelled_at = _cancelled_at(decided[who], people.acquired_second[who], hour[who])
    at = cancelled_at - rng.integers(5, 30, who.size) * MINUTE
    day, idle = draw_events(rng, (cover.status == RUNNING) * IDLE_CANCEL_PAGE[lives.level])
    idle_at = draw_daytime(rng, day)
    return np.hstack(
        [event_rows(who, at, CANCEL_PAGE, WEB, 1), event_rows(idle, idle_at, CANCEL_PAGE, WEB, 1)]
    )


def _cancelled_at(day: np.ndarray, before: np.ndarray, hour: np.ndarray) -> np.ndarray:
    """The second at the customer's own `hour`: a share of the time from 7:00 to `before`."""
    return day * DAY + 7 * HOUR + (hour * (before - 7 * HOUR)).astype(int)


def _contracts(
    people: People, plans: Plans, cover: Cover, price: np.ndarray, hour: np.ndarray
) -> pa.Table:
    who, first, last, cancelled_day = cover.terms
    second = people.acquired_second[who]
    starts, ends = first * DAY + second, last * DAY + second
    # On a term's last day it can only be cancelled before the hour at which it ends.
    latest = np.where(cancelled_day == last, second, 22 * HOUR)
    cancelled = _cancelled_at(cancelled_day, latest, hour[who])
    signed = event_rows(who, starts, ends, NONE, starts)
    versions = event_rows(who, starts, ends, cancelled, cancelled)[:, cancelled_day >= 0]
    who, starts, ends, cancelled, recorded = merge_events(
        [signed, versions], days=len(cover.status), known=-1
    )
    columns = {
        "customer_id": people.ids.take(pa.array(who)),
        "starts_at": timestamps(starts),
        "ends_at": timestamps(ends),
        "cancelled_at": timestamps(cancelled),
        "plan": label_column(PLANS, plans.annual[who].astype(int)),
        "price": money_column(price[who]),
        "auto_renew": pa.array(plans.auto_renew[who]),
        "recorded_at": timestamps(recorded),
    }
    return pa.table(columns)


def _leave_probability(
    plans: Plans, cover: Cover, level: np.ndarray, horizon: int
) -> LeaveProbability:
    kinds = [(annual, auto_renew) for annual in (False, True) for auto_renew in (False, True)]
    futures = np.stack([_futures(*kind, horizon) for kind in kinds])
    pauses = np.stack(
        [_after_pauses(future, TERM_DAYS[k // 2]) for k, future in enumerate(futures)]
    )
    kind = 2 * plans.annual + plans.auto_renew

    def leave_probability(day: int) -> np.ndarray:
        status, satisfaction = cover.status[day - 1], level[day - 1]
        days_left = cover.ends[day - 1] - day
        p = np.where(status == CANCELLED, (days_left < horizon) * 1.0, 1.0)
        state = np.where(status == DECIDED, len(DECIDES), satisfaction)
        on = np.flatnonzero((status == RUNNING) | (status == DECIDED))
        p[on] = futures[kind[on], -1, state[on], days_left[on]]
        off = np.flatnonzero(status == WAITING)
        pause = days_left[off] - plans.term_days[off] + 1
        p[off] = pauses[kind[off], pause, satisfaction[off]]
        return np.stack([p, status >= CANCELLED])

    return leave_probability


def _futures(annual: bool, auto_renew: bool, horizon: int) -> np.ndarray:
    """P(leaves within k days), backwards over the days.

    The axes are k = 0 … horizon, level or decided, days left. W₀ = 0. With T the transition, h the
    hazard, c = CANCELS and A the value of going on, which is Wₖ₋₁(s, m − 1) before the last day of
    the term (m > 0) and the value of its renewal or its end on it (m = 0):
        Wₖ(decided, m) = c + (1 − c) · A(decided, m)
        Wₖ(s, m) = Σₛ' T(s, s') · [(1 − h(s', m)) · A(s', m) + h(s', m) · Wₖ(decided, m)]
    """
    levels, longest, term = len(DECIDES), TERM_DAYS.max(), TERM_DAYS[int(annual)]
    value = np.zeros((horizon + 1, levels + 1, longest))
    decides = hazard(np.arange(levels)[:, None], days_left=np.arange(longest), annual=annual)
    for k in range(1, horizon + 1):
        at_end = value[k - 1, :, term - 1] if auto_renew else _at_end(value[:k, :-1, term - 1])
        on = np.column_stack([at_end, value[k - 1, :, :-1]])
        value[k, -1] = CANCELS + (1 - CANCELS) * on[-1]
        value[k, :-1] = transition_matrix() @ ((1 - decides) * on[:-1] + decides * value[k, -1])
    return value


def _at_end(new_term: np.ndarray) -> np.ndarray:
    """The value of a term's end without auto-renewal, by level and, last, for the decided.

    `new_term` is the value at the start of a new term, by days to go and level.
    """
    renewed, days_to_go = np.zeros(len(RENEWS)), len(new_term) - 1
    for late in range(min(LATE.size, days_to_go)):
        renewed += (
            LATE[late]
            * np.linalg.matrix_power(transition_matrix(), late)
            @ new_term[days_to_go - late]
        )
    return np.append(1 - RENEWS + RENEWS * renewed, 1.0)


def _after_pauses(future: np.ndarray, term: int) -> np.ndarray:
    """P(leaves) of a customer who waits 0 … 5 days for a new term, by pause and level.

    Satisfaction moves during the pause; the hazard begins with the new term.
    """
    value = np.zeros((LATE.size, len(RENEWS)))
    for pause in range(min(LATE.size, len(future))):
        value[pause] = (
            np.linalg.matrix_power(transition_matrix(), pause) @ future[-1 - pause, :-1, term - 1]
        )
    return value
