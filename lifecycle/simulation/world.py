"""What all parts of the simulation share: its parameters, its customers, and how events are drawn.

An array of events has one column for each event: customer, seconds since the start, then the cells
that its table needs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa

START = date(2022, 1, 1)
MODES = ("retail", "subscription")

# Daily probabilities by satisfaction level 0 … 4. They are chosen so that leaving is fairly
# predictable (AUROC of the true probability near .8), recency of the last purchase tells little
# (near .6), and the tables recover nine tenths of the AUROC gain of the true probability over .5.
STEP_DOWN = np.array([0.000, 0.015, 0.012, 0.012, 0.014])
STEP_UP = np.array([0.003, 0.010, 0.013, 0.009, 0.000])
LEAVES = np.array([0.0300, 0.0040, 0.0005, 0.0003, 0.0002])
VISITS = np.array([0.40, 0.60, 0.85, 1.00, 1.10])
OPENS = np.array([0.04, 0.12, 0.30, 0.50, 0.60])
ANSWERS = np.array([0.40, 0.45, 0.50, 0.55, 0.60])
COMPLAINS = np.array([0.0600, 0.0200, 0.0012, 0.0004, 0.0002])
COMPLAINS_ON_FALL = 0.5
REVIEWS, DOWNGRADES = 0.06, 0.0005  # share of purchases; daily probability
MEAN_GAP, GAP_SHAPE, VISITS_PER_PURCHASE = 30, 30, 7
LETTER_DAYS, SURVEY_DAYS = 60, 120  # how long letters and surveys continue after leaving

ACQUISITION_CHANNELS = ("search", "referral", "social", "store")
SEGMENTS = ("private", "family", "business")
REGIONS = ("north", "east", "south", "west")
SERVICES = ("care", "repair", "parts", "courses", "rental")
TOPICS = ("delivery", "quality", "price", "staff")
CHANNELS = ("web", "app", "store", "email", "phone")
WEB, APP, STORE, EMAIL, PHONE = range(5)
TRANSACTION_KINDS = ("purchase", "refund", "payment_failed")
PAYMENT_METHODS = ("card", "invoice", "wallet")
INTERACTION_KINDS = ("visit", "usage", "sent", "opened", "call", "cancel_page", "downgrade_page")
VISIT, USAGE, SENT, OPENED, CALL, CANCEL_PAGE, DOWNGRADE_PAGE = range(7)
FEEDBACK_KINDS = ("csat", "nps", "complaint", "review")
CSAT, NPS, COMPLAINT, REVIEW = range(4)
MINUTE, HOUR, DAY = 60, 3_600, 86_400
NONE, NEVER = -1, 10**6  # an empty cell; a day after the end of every simulation

Rng = np.random.Generator
# From a day to rows (each, customers): p_leave, left, and p_leave under each action, if any.
LeaveProbability = Callable[[int], np.ndarray]


@dataclass(frozen=True)
class Simulation:
    """The tables of the business, the truth that is in none of them, and the arguments."""

    tables: dict[str, pa.Table]
    truth: pa.Table
    mode: str
    start: date
    days: int
    horizon_days: int


@dataclass(frozen=True)
class People:
    """What never changes about a customer: arrays (customers,).

    `acquired` counts days from the start, `acquired_second` seconds of that day. `segment`,
    `channel` and `region` are positions in SEGMENTS, ACQUISITION_CHANNELS and REGIONS. `letter_day`
    is the weekday of the letters, or NONE.
    """

    acquired: np.ndarray
    acquired_second: np.ndarray
    channel: np.ndarray
    segment: np.ndarray
    region: np.ndarray
    first_level: np.ndarray
    purchase_probability: np.ndarray
    letter_day: np.ndarray

    @property
    def ids(self) -> pa.Array:
        """customer_id by order of acquisition: six digits and more."""
        return pa.array([f"{number:06d}" for number in range(1, self.acquired.size + 1)])

    @property
    def acquired_at(self) -> np.ndarray:
        """Seconds from the start."""
        return self.acquired * DAY + self.acquired_second


@dataclass(frozen=True)
class Lives:
    """`level` (days, customers) is the satisfaction that the tables show.

    `present` (days, customers): who is still a customer. `left_day` (customers,): the day of
    leaving for good, or NEVER.
    """

    level: np.ndarray
    present: np.ndarray
    left_day: np.ndarray


def draw_people(rng: Rng, customers: int, days: int) -> People:
    """Customers by day of acquisition; four of five come in the first two thirds of the days."""
    channel = rng.choice(4, customers, p=[0.40, 0.20, 0.25, 0.15])
    segment = rng.choice(3, customers, p=[0.60, 0.25, 0.15])
    early = rng.random(customers) < 0.8
    buys = (
        rng.gamma(GAP_SHAPE, 1 / GAP_SHAPE, customers) / MEAN_GAP * np.where(segment == 2, 1.15, 1)
    )
    return People(
        acquired=np.sort(rng.integers(0, np.where(early, max(days * 2 // 3, 1), days))),
        acquired_second=rng.integers(8 * HOUR, 21 * HOUR, customers),
        channel=channel,
        segment=segment,
        region=rng.integers(0, len(REGIONS), customers),
        first_level=np.clip(np.rint(rng.normal(2.7 + 0.5 * (channel == 1), 0.8)), 0, 4).astype(
            np.int8
        ),
        purchase_probability=np.where(rng.random(customers) < 0.03, 0, np.minimum(buys, 0.12)),
        letter_day=np.where(rng.random(customers) < 0.15, rng.integers(0, 7, customers), NONE),
    )


def draw_levels(rng: Rng, people: People, days: int) -> np.ndarray:
    """Satisfaction at the end of each day (days, customers).

    It moves for the first time on the day after acquisition.
    """
    level = np.empty((days, people.acquired.size), np.int8)
    now = people.first_level
    for day in range(days):
        draw = rng.random(now.size)
        step = (draw >= 1 - STEP_UP[now]).astype(np.int8) - (draw < STEP_DOWN[now])
        now = level[day] = np.where(people.acquired < day, now + step, now)
    return level


def transition_matrix() -> np.ndarray:
    """T[s, s'] (5, 5): the probability that level s is level s' a day later."""
    return np.diag(1 - STEP_DOWN - STEP_UP) + np.diag(STEP_DOWN[1:], -1) + np.diag(STEP_UP[:-1], 1)


def draw_events(rng: Rng, probability: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(day, customer) of each event that happens, given its `probability` (days, customers)."""
    day, customer = np.nonzero(rng.random(probability.shape, dtype=np.float32) < probability)
    return day, customer


def first_day(happened: np.ndarray) -> np.ndarray:
    """The first day (customers,) of what `happened` (days, customers), or NEVER."""
    return np.where(happened.any(axis=0), happened.argmax(axis=0), NEVER)


def draw_daytime(rng: Rng, day: np.ndarray) -> np.ndarray:
    """Seconds from the start, between 8:00 and 22:00 of each `day`."""
    return day * DAY + rng.integers(8 * HOUR, 22 * HOUR, day.size)


def event_rows(*columns: np.ndarray | int) -> np.ndarray:
    """An array of events; each argument is one row of it, numbers are repeated."""
    return np.stack(np.broadcast_arrays(*columns))


def merge_events(parts: list[np.ndarray], *, days: int, known: int = 1) -> np.ndarray:
    """All parts in order of time, without events that become known after the last day.

    `known` is the row that holds the second at which an event becomes known.
    """
    events = np.concatenate(parts, axis=1)
    events = events[:, events[known] < days * DAY]
    return events[:, np.argsort(events[1], kind="stable")]


def timestamps(second: np.ndarray) -> pa.Array:
    """Seconds from the start as timestamps; null where negative."""
    return pa.array(np.datetime64(START, "s") + second.astype("timedelta64[s]"), mask=second < 0)


def money_column(cents: np.ndarray) -> pa.Array:
    """Cents as exact decimals of the currency."""
    text = [
        f"{'-' if value < 0 else ''}{abs(value) // 100}.{abs(value) % 100:02d}"
        for value in cents.tolist()
    ]
    return pa.array(text, pa.string()).cast(pa.decimal128(12, 2))


def label_column(labels: tuple[str, ...], code: np.ndarray) -> pa.Array:
    """`labels` at the positions `code`; null where negative."""
    return pa.array(labels).take(pa.array(code, mask=code < 0))
