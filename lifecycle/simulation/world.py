"""What every part of the simulation shares: its numbers, its people, and the events of a day."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa

START = date(2022, 1, 1)
MODES = ("retail", "subscription")

# A day, by level 0 … 4. Chosen so that who leaves is fairly predictable (AUROC of the truth near .8), recency of
# the last purchase says little (near .6), and what the tables show recovers nine tenths of the truth's lead over .5.
STEP_DOWN = np.array([0.000, 0.015, 0.012, 0.012, 0.014])
STEP_UP = np.array([0.003, 0.010, 0.013, 0.009, 0.000])
LEAVES = np.array([0.0300, 0.0040, 0.0005, 0.0003, 0.0002])
VISITS = np.array([0.40, 0.60, 0.85, 1.00, 1.10])
OPENS = np.array([0.04, 0.12, 0.30, 0.50, 0.60])
ANSWERS = np.array([0.40, 0.45, 0.50, 0.55, 0.60])
COMPLAINS = np.array([0.0600, 0.0200, 0.0012, 0.0004, 0.0002])
COMPLAINS_ON_FALL = 0.5
REVIEWS, DOWNGRADES = 0.06, 0.0005  # of purchases; a day
MEAN_GAP, GAP_SHAPE, VISITS_A_BUY = 30, 30, 7
LETTER_DAYS, SURVEY_DAYS = 60, 120  # how long letters and surveys go on after leaving

CAME_FROM = ("search", "referral", "social", "store")
SEGMENTS = ("private", "family", "business")
REGIONS = ("north", "east", "south", "west")
SERVICES = ("care", "repair", "parts", "courses", "rental")
TOPICS = ("delivery", "quality", "price", "staff")
PLACES = ("web", "app", "store", "email", "phone")
WEB, APP, STORE, EMAIL, PHONE = range(5)
PAID = ("purchase", "refund", "payment_failed")
METHODS = ("card", "invoice", "wallet")
DID = ("visit", "usage", "sent", "opened", "call", "cancel_page", "downgrade_page")
VISIT, USAGE, SENT, OPENED, CALL, CANCEL_PAGE, DOWNGRADE_PAGE = range(7)
SAID = ("csat", "nps", "complaint", "review")
CSAT, NPS, COMPLAINT, REVIEW = range(4)
MINUTE, HOUR, DAY = 60, 3_600, 86_400
NONE, NEVER = -1, 10**6  # an empty cell; a day after every span

Rng = np.random.Generator
Leaving = Callable[
    [int], tuple[np.ndarray, np.ndarray]
]  # day ─► p_leave and left, of every customer


@dataclass(frozen=True)
class Simulation:
    """The tables as the business has them, the truth apart, and what was asked for."""

    tables: dict[str, pa.Table]
    truth: pa.Table
    mode: str
    start: date
    days: int
    horizon_days: int


@dataclass(frozen=True)
class People:
    """What stays the same about each customer: arrays over customers. Days and seconds count from the start."""

    acquired: np.ndarray
    second: np.ndarray
    channel: np.ndarray
    segment: np.ndarray
    region: np.ndarray
    first_level: np.ndarray
    buys: np.ndarray
    letter_day: np.ndarray

    @property
    def ids(self) -> pa.Array:
        return pa.array([f"{number:06d}" for number in range(1, self.acquired.size + 1)])

    @property
    def acquired_at(self) -> np.ndarray:
        return self.acquired * DAY + self.second


@dataclass(frozen=True)
class Lives:
    """Days × customers: the `level` that shows, and who is `present` to act. `gone`: the day each one left for good."""

    level: np.ndarray
    present: np.ndarray
    gone: np.ndarray


def draw_people(rng: Rng, customers: int, days: int) -> People:
    channel = rng.choice(4, customers, p=[0.40, 0.20, 0.25, 0.15])
    segment = rng.choice(3, customers, p=[0.60, 0.25, 0.15])
    early = rng.random(customers) < 0.8
    buys = (
        rng.gamma(GAP_SHAPE, 1 / GAP_SHAPE, customers) / MEAN_GAP * np.where(segment == 2, 1.15, 1)
    )
    return People(
        acquired=np.sort(rng.integers(0, np.where(early, max(days * 2 // 3, 1), days))),
        second=rng.integers(8 * HOUR, 21 * HOUR, customers),
        channel=channel,
        segment=segment,
        region=rng.integers(0, len(REGIONS), customers),
        first_level=np.clip(np.rint(rng.normal(2.7 + 0.5 * (channel == 1), 0.8)), 0, 4).astype(
            np.int8
        ),
        buys=np.where(rng.random(customers) < 0.03, 0, np.minimum(buys, 0.12)),
        letter_day=np.where(rng.random(customers) < 0.15, rng.integers(0, 7, customers), NONE),
    )


def draw_levels(rng: Rng, people: People, days: int) -> np.ndarray:
    """Satisfaction at the end of each day, days × customers; it first moves on the day after acquisition."""
    level = np.empty((days, people.acquired.size), np.int8)
    now = people.first_level
    for day in range(days):
        draw = rng.random(now.size)
        step = (draw >= 1 - STEP_UP[now]).astype(np.int8) - (draw < STEP_DOWN[now])
        now = level[day] = np.where(people.acquired < day, now + step, now)
    return level


def transition() -> np.ndarray:
    """T[s, s']: the chance that level s is level s' a day later."""
    return np.diag(1 - STEP_DOWN - STEP_UP) + np.diag(STEP_DOWN[1:], -1) + np.diag(STEP_UP[:-1], 1)


def hits(rng: Rng, chance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(day, customer) of everything that happens, given its chance, days × customers."""
    return np.nonzero(rng.random(chance.shape, dtype=np.float32) < chance)


def first_day(happened: np.ndarray) -> np.ndarray:
    return np.where(happened.any(axis=0), happened.argmax(axis=0), NEVER)


def daytime(rng: Rng, day: np.ndarray) -> np.ndarray:
    return day * DAY + rng.integers(8 * HOUR, 22 * HOUR, day.size)


def rows(*columns: np.ndarray | int) -> np.ndarray:
    """Events side by side, one a column: who, when in seconds, then whatever their table needs."""
    return np.stack(np.broadcast_arrays(*columns))


def written(parts: list[np.ndarray], *, days: int, known: int = 1) -> np.ndarray:
    """All parts in order of time, without what becomes `known` (the row that says when) after the last day."""
    together = np.concatenate(parts, axis=1)
    together = together[:, together[known] < days * DAY]
    return together[:, np.argsort(together[1], kind="stable")]


def instants(second: np.ndarray) -> pa.Array:
    return pa.array(np.datetime64(START, "s") + second.astype("timedelta64[s]"), mask=second < 0)


def money(cents: np.ndarray) -> pa.Array:
    text = [
        f"{'-' if value < 0 else ''}{abs(value) // 100}.{abs(value) % 100:02d}"
        for value in cents.tolist()
    ]
    return pa.array(text, pa.string()).cast(pa.decimal128(12, 2))


def names(these: tuple[str, ...], code: np.ndarray) -> pa.Array:
    return pa.array(these).take(pa.array(code, mask=code < 0))
