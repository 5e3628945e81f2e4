"""A small service business, simulated day by day, with the exact probability that each customer leaves.

    simulate(mode="retail") ─► Simulation(tables, truth, …) ─► write(…, folder=…): CSV files and lifecycle.toml

Hidden. Satisfaction is a level, 0 (angry) … 4 (delighted), and takes at most one step a day (`STEP_DOWN`, `STEP_UP`,
a Markov chain): from above it drifts back to 2–3; the bottom holds. The tables show it and never move it. Retail: a
customer leaves for good with the daily hazard `LEAVES[level]`; until then buys, at most once a day, with an own
constant probability (gamma, mean gap 30 days, most between 20 and 40; 3 % are prospects who never buy). Nothing
announces a leaving, and a slow buyer looks like a leaver. Subscription: see `features.simulation_subscription`.

    customers       customer_id   six digits and more, by day of acquisition
                    acquired_at   80 % evenly over the first two thirds of the span, 20 % over all of it
                    channel       where they came from; by referral satisfaction starts half a level higher
                    segment       private, family, business (buys 15 % oftener; retail: for twice the money)
                    region        noise
    transactions    occurred_at   the first purchase is 10 minutes after acquisition (subscription: at acquisition)
                    recorded_at   the same; 1–3 days later for 2 %
                    amount        EUR paid, log-normal with median 35, or the term's price; negative for a refund
                    kind          purchase · refund of all or half of the last purchase, 1–5 days after 30 % of
                                  complaints, unless gone · payment_failed, minutes before 2 % of purchases
                    category      noise, or the plan          channel    web, app, store: noise
                    discount      EUR taken off: a tenth of the price, on 20 % of purchases
    interactions    kind          visit (retail): just before each purchase, and with 7 times the own buying
                                  probability times `VISITS[level]` · usage (subscription) · sent: a weekly letter to
                                  15 %, until 60 days after leaving · opened: within hours, probability
                                  `OPENS[level]` · call: with 40 % of complaints, or on one day in 500
                                  · cancel_page (subscription)
                    channel       web, app, store; email; phone
                    quantity      pages of a visit, minutes of usage: Poisson, more at high levels; minutes of a call
    feedback        occurred_at   when sent or raised
                    kind          csat: a day after 40 % of purchases · nps: every 91 days from acquisition until 120
                                  days after leaving · complaint: daily probability `COMPLAINS[level]`, and 50 % on a
                                  step down to level 0 or 1
                    score         csat 1–5: level + 1 with noise of sd 0.7; nps 0–10: 2.5 · level with sd 1.2
                    answered_at   about ten hours later, probability `ANSWERS[level]`, never after leaving
                    resolved_at   of 85 % of complaints, median two days          topic    of a complaint: noise

All times are UTC, to the second. What happens, is answered, resolved or recorded after the last day is not there yet.

The truth is in no table: customer_id · as_of (midnight on the first of each month from the seventh on, while as_of +
horizon ≤ end) · p_leave, P(no purchase in [as_of, as_of + horizon_days)) given the hidden state at as_of, exactly, by
recursion backwards over the days · left, has left for good. A prospect has p_leave = 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet

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
DID = ("visit", "usage", "sent", "opened", "call", "cancel_page")
VISIT, USAGE, SENT, OPENED, CALL, CANCEL_PAGE = range(6)
SAID = ("csat", "nps", "complaint")
CSAT, NPS, COMPLAINT = range(3)
MINUTE, HOUR, DAY = 60, 3_600, 86_400
NONE, NEVER = -1, 10**6  # an empty cell; a day after every span

Rng = np.random.Generator
Leaving = Callable[[int], tuple[np.ndarray, np.ndarray]]  # day ─► p_leave and left, of every customer


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


def simulate(
    *, customers: int = 3000, days: int = 1096, seed: int = 7, mode: str = "retail", horizon_days: int = 60
) -> Simulation:
    """The business over `days` days from 2022-01-01. Equal arguments give equal tables."""
    _check(mode, customers=customers, days=days, seed=seed, horizon_days=horizon_days)
    rng = np.random.default_rng([seed, MODES.index(mode)])
    people = _people(rng, customers, days)
    level = _levels(rng, people, days)
    if mode == "retail":
        tables, leaving = _retail(rng, people, level, horizon_days)
    else:
        from features.simulation_subscription import subscription  # it builds on this module

        tables, leaving = subscription(rng, people, level, horizon_days)
    return Simulation(tables, _truth(people, leaving, days, horizon_days), mode, START, days, horizon_days)


def _check(mode: str, **numbers: int) -> None:
    if mode not in MODES:
        raise ValueError(f"mode must be {' or '.join(MODES)}, got {mode!r}")
    for name, number in numbers.items():
        least = 0 if name == "seed" else 1
        if not isinstance(number, int) or isinstance(number, bool) or number < least:
            raise ValueError(f"{name} must be a whole number, at least {least}, got {number!r}")


def _people(rng: Rng, customers: int, days: int) -> People:
    channel = rng.choice(4, customers, p=[0.40, 0.20, 0.25, 0.15])
    segment = rng.choice(3, customers, p=[0.60, 0.25, 0.15])
    early = rng.random(customers) < 0.8
    buys = rng.gamma(GAP_SHAPE, 1 / GAP_SHAPE, customers) / MEAN_GAP * np.where(segment == 2, 1.15, 1)
    return People(
        acquired=np.sort(rng.integers(0, np.where(early, max(days * 2 // 3, 1), days))),
        second=rng.integers(8 * HOUR, 21 * HOUR, customers),
        channel=channel,
        segment=segment,
        region=rng.integers(0, len(REGIONS), customers),
        first_level=np.clip(np.rint(rng.normal(2.7 + 0.5 * (channel == 1), 0.8)), 0, 4).astype(np.int8),
        buys=np.where(rng.random(customers) < 0.03, 0, np.minimum(buys, 0.12)),
        letter_day=np.where(rng.random(customers) < 0.15, rng.integers(0, 7, customers), NONE),
    )


def _levels(rng: Rng, people: People, days: int) -> np.ndarray:
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
    text = [f"{'-' if value < 0 else ''}{abs(value) // 100}.{abs(value) % 100:02d}" for value in cents.tolist()]
    return pa.array(text, pa.string()).cast(pa.decimal128(12, 2))


def names(these: tuple[str, ...], code: np.ndarray) -> pa.Array:
    return pa.array(these).take(pa.array(code, mask=code < 0))


def _retail(rng: Rng, people: People, level: np.ndarray, horizon: int) -> tuple[dict[str, pa.Table], Leaving]:
    day = np.arange(len(level))[:, None]
    after = day > people.acquired
    gone = first_day(rng.random(level.shape, dtype=np.float32) < after * LEAVES[level])
    lives = Lives(level, after & (day < gone), gone)
    bought_on, again = hits(rng, lives.present * people.buys)
    once = np.flatnonzero(people.buys > 0)
    who = np.append(once, again)
    at = np.append(people.acquired_at[once] + 10 * MINUTE, daytime(rng, bought_on))
    price = rng.lognormal(np.log(3500), 0.5, who.size).astype(int) * np.where(people.segment[who] == 2, 2, 1)
    bought = rows(who, at, price, rng.integers(0, len(SERVICES), who.size))
    tables = observed(rng, people, lives, bought=bought, did=_visits(rng, people, lives, bought), services=SERVICES)
    return tables, _retail_leaving(people, lives, horizon)


def _visits(rng: Rng, people: People, lives: Lives, bought: np.ndarray) -> np.ndarray:
    often = np.maximum(VISITS_A_BUY * people.buys, 0.02)
    day, who = hits(rng, lives.present * often * VISITS[lives.level])
    before = bought[1] - rng.integers(2 * MINUTE, 10 * MINUTE, len(bought[1]))
    who, at = np.append(who, bought[0]), np.append(daytime(rng, day), before)
    shows = lives.level[at // DAY, who]
    return rows(who, at, VISIT, rng.choice(3, who.size, p=[0.5, 0.35, 0.15]), 1 + rng.poisson(2 + 2.5 * shows))


def _retail_leaving(people: People, lives: Lives, horizon: int) -> Leaving:
    """V₀ = 1, Vₖ(s) = Σₛ' T(s, s') · [h(s') + (1 − h(s')) · (1 − b) · Vₖ₋₁(s')], b the own buying probability."""
    silent = np.ones((people.buys.size, len(LEAVES)))
    for _ in range(horizon):
        silent = (LEAVES + (1 - LEAVES) * (1 - people.buys[:, None]) * silent) @ transition().T

    def leaving(day: int) -> tuple[np.ndarray, np.ndarray]:
        left = lives.gone < day
        return np.where(left, 1.0, silent[np.arange(left.size), lives.level[day - 1]]), left

    return leaving


def _truth(people: People, leaving: Leaving, days: int, horizon: int) -> pa.Table:
    parts = [np.empty((4, 0))]
    for day in _first_of_months(days - horizon):
        known = np.flatnonzero(people.acquired < day)
        p, left = leaving(day)
        parts.append(rows(known, day, p[known], left[known]))
    who, day, p, left = np.concatenate(parts, axis=1)
    columns = {
        "customer_id": people.ids.take(pa.array(who.astype(int))),
        "as_of": pa.array(np.datetime64(START, "D") + day.astype(int)),
        "p_leave": p,
        "left": left > 0,
    }
    return pa.table(columns)


def _first_of_months(last: int) -> Iterator[int]:
    for month in range(6, 6 + max(last, 0) // 28):
        day = (date(START.year + month // 12, month % 12 + 1, 1) - START).days
        if day <= last:
            yield day


def observed(
    rng: Rng, people: People, lives: Lives, *, bought: np.ndarray, did: np.ndarray, services: tuple[str, ...]
) -> dict[str, pa.Table]:
    """The four tables. `bought`: who, when, price in cents, service; `did`: the interactions of this kind of business."""
    fell = np.diff(lives.level, axis=0, prepend=lives.level[:1]) < 0
    chance = COMPLAINS[lives.level] + COMPLAINS_ON_FALL * (fell & (lives.level <= 1))
    day, who = hits(rng, lives.present * chance)
    complaints = rows(who, daytime(rng, day))
    return {
        "customers": _customers(people),
        "transactions": _transactions(rng, people, lives, bought, complaints, services),
        "interactions": _interactions(rng, people, lives, did, complaints),
        "feedback": _feedback(rng, people, lives, bought, complaints),
    }


def _customers(people: People) -> pa.Table:
    columns = {
        "customer_id": people.ids,
        "acquired_at": instants(people.acquired_at),
        "channel": names(CAME_FROM, people.channel),
        "segment": names(SEGMENTS, people.segment),
        "region": names(REGIONS, people.region),
    }
    return pa.table(columns)


def _transactions(
    rng: Rng, people: People, lives: Lives, bought: np.ndarray, complaints: np.ndarray, services: tuple[str, ...]
) -> pa.Table:
    who, at, price, service = bought
    off = np.where(rng.random(at.size) < 0.2, price // 10, 0)
    paid = price - off
    back, back_at = _refunded(rng, lives, bought, complaints[:, rng.random(complaints.shape[1]) < 0.3])
    failed = np.flatnonzero(rng.random(at.size) < 0.02)
    failed_at = np.maximum(at[failed] - rng.integers(1, 10, failed.size) * MINUTE, people.acquired_at[who[failed]])
    parts = [
        rows(who, at, 0, paid, off, service),
        rows(who[back], back_at, 1, -(paid[back] // rng.integers(1, 3, back.size)), 0, service[back]),
        rows(who[failed], failed_at, 2, paid[failed], 0, service[failed]),
    ]
    together = np.concatenate(parts, axis=1)
    late = np.where(rng.random(together.shape[1]) < 0.02, rng.integers(DAY, 3 * DAY, together.shape[1]), 0)
    together = np.vstack([together, together[1] + late])
    who, at, kind, amount, off, service, recorded = written([together], days=len(lives.level), known=-1)
    columns = {
        "transaction_id": pa.array([f"T{number:07d}" for number in range(1, at.size + 1)], pa.string()),
        "customer_id": people.ids.take(pa.array(who)),
        "occurred_at": instants(at),
        "recorded_at": instants(recorded),
        "amount": money(amount),
        "kind": names(PAID, kind),
        "category": names(services, service),
        "discount": money(off),
        "channel": names(PLACES, rng.choice(3, at.size, p=[0.5, 0.35, 0.15])),
    }
    return pa.table(columns)


def _refunded(rng: Rng, lives: Lives, bought: np.ndarray, complaints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which purchases are paid back and when: the last one before each complaint, once."""
    far = len(lives.level) * DAY * 2
    order = np.lexsort((bought[1], bought[0]))
    place = np.searchsorted((bought[0] * far + bought[1])[order], complaints[0] * far + complaints[1]) - 1
    of, at = order[np.maximum(place, 0)], complaints[1] + rng.integers(DAY, 5 * DAY, place.size)
    fits = (place >= 0) & (bought[0, of] == complaints[0]) & (at // DAY < lives.gone[complaints[0]])
    of, first = np.unique(of[fits], return_index=True)
    return of, at[fits][first]


def _interactions(rng: Rng, people: People, lives: Lives, did: np.ndarray, complaints: np.ndarray) -> pa.Table:
    day = np.arange(len(lives.level))[:, None]
    letters = (day % 7 == people.letter_day) & (day > people.acquired) & (day < lives.gone + LETTER_DAYS)
    on, to = np.nonzero(letters)
    opens = lives.present[on, to] & (rng.random(on.size) < OPENS[lives.level[on, to]])
    opened_at = on[opens] * DAY + 7 * HOUR + rng.integers(5 * MINUTE, 14 * HOUR, opens.sum())
    phoned = complaints[:, rng.random(complaints.shape[1]) < 0.4]
    called_on, caller = hits(rng, lives.present * np.float32(0.002))
    parts = [
        did,
        rows(to, on * DAY + 7 * HOUR, SENT, EMAIL, NONE),
        rows(to[opens], opened_at, OPENED, EMAIL, NONE),
        rows(*phoned, CALL, PHONE, 1 + rng.poisson(8, phoned.shape[1])),
        rows(caller, daytime(rng, called_on), CALL, PHONE, 1 + rng.poisson(5, caller.size)),
    ]
    who, at, kind, place, quantity = written(parts, days=len(lives.level))
    columns = {
        "customer_id": people.ids.take(pa.array(who)),
        "occurred_at": instants(at),
        "kind": names(DID, kind),
        "channel": names(PLACES, place),
        "quantity": pa.array(quantity, mask=quantity < 0),
    }
    return pa.table(columns)


def _feedback(rng: Rng, people: People, lives: Lives, bought: np.ndarray, complaints: np.ndarray) -> pa.Table:
    days = len(lives.level)
    since = np.arange(days)[:, None] - people.acquired
    still = np.arange(days)[:, None] < lives.gone + SURVEY_DAYS
    asked_on, asked = np.nonzero((since > 0) & (since % 91 == 0) & still)
    rated = bought[:2, rng.random(bought.shape[1]) < 0.4]
    parts = [
        rows(rated[0], rated[1] + DAY, CSAT),
        rows(asked, asked_on * DAY + 10 * HOUR, NPS),
        rows(*complaints, COMPLAINT),
    ]
    who, at, kind = written(parts, days=days)
    score, answered = _answers(rng, lives, who, at, kind)
    resolved = at + rng.lognormal(np.log(2 * DAY), 0.8, at.size).astype(int)
    closed = (kind == COMPLAINT) & (rng.random(at.size) < 0.85) & (resolved < days * DAY)
    columns = {
        "customer_id": people.ids.take(pa.array(who)),
        "occurred_at": instants(at),
        "kind": names(SAID, kind),
        "score": pa.array(score, mask=answered < 0),
        "answered_at": instants(answered),
        "resolved_at": instants(np.where(closed, resolved, NONE)),
        "topic": names(TOPICS, np.where(kind == COMPLAINT, rng.integers(0, len(TOPICS), at.size), NONE)),
    }
    return pa.table(columns)


def _answers(
    rng: Rng, lives: Lives, who: np.ndarray, at: np.ndarray, kind: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What each survey says, and when the answer came (empty if it did not, or not yet)."""
    level = lives.level[at // DAY, who]
    csat = np.clip(np.rint(level + 1 + rng.normal(0, 0.7, who.size)), 1, 5)
    nps = np.clip(np.rint(2.5 * level + rng.normal(0, 1.2, who.size)), 0, 10)
    answered = at + MINUTE + rng.exponential(10 * HOUR, who.size).astype(int)
    comes = lives.present[at // DAY, who] & (rng.random(who.size) < ANSWERS[level]) & (kind != COMPLAINT)
    comes &= answered < np.minimum(lives.gone[who], len(lives.level)) * DAY
    return np.where(kind == CSAT, csat, nps).astype(int), np.where(comes, answered, NONE)


_LIFECYCLE = """\
[business]
name = "{name}"  # as it stands in reports
archetype = "{archetype}"  # contractual: customers pay for terms; non-contractual: they come, or do not
zone = "UTC"  # what a time without a zone means
currency = "EUR"  # of every amount

[files]  # each becomes a view of this name, every column as text
{files}

[tables]  # one SELECT for each table of the contract
{tables}

[activity]  # what counts as the customer being active
table = "{activity}"  # the table that holds it
kinds = ["{kind}"]  # its kinds that count

[churn]
horizon_days = {horizon_days}  # how far ahead leaving is asked about
label_latency_days = {latency}  # how long after the window its outcome may still come in
grace_days = {grace}  # how late a renewal may be and still count

[contract]
data_until = "{until}"  # the day after the last one in the files
constant_attributes = ["channel", "segment", "region"]  # never change, so they may be features

[training]
{evaluate}  # looked at after training, on a date the truth is known for
seconds = 10  # how long the search for good settings may take
"""


def write(simulation: Simulation, *, folder: Path) -> None:
    """`data/*.csv` and `lifecycle.toml` as a business would have them; the truth apart, in `truth/truth.parquet`."""
    # No value holds a comma or a quote, so nothing is quoted, and an empty cell is a null.
    plain = csv.WriteOptions(quoting_style="none", quoting_header="none")
    for room in ("data", "truth"):
        (folder / room).mkdir(parents=True, exist_ok=True)
    for name, table in simulation.tables.items():
        csv.write_csv(table, folder / "data" / f"{name}.csv", plain)
    parquet.write_table(simulation.truth, folder / "truth" / "truth.parquet")
    (folder / "lifecycle.toml").write_text(_lifecycle(simulation), encoding="utf-8")


def _evaluate(simulation: Simulation, *, latency: int) -> str:
    """The newest date of the truth whose outcomes are all in, or none where the span is too short for one."""
    last = simulation.start + timedelta(days=simulation.days - simulation.horizon_days - latency)
    days = [day for day in set(simulation.truth["as_of"].to_pylist()) if day <= last]
    return f"evaluate = [{max(days)}]" if days else "evaluate = []"


def _lifecycle(simulation: Simulation) -> str:
    retail = simulation.mode == "retail"
    return _LIFECYCLE.format(
        name="Demo shop" if retail else "Demo subscription",
        archetype="non-contractual" if retail else "contractual",
        files="\n".join(f'{name} = "data/{name}.csv"' for name in simulation.tables),
        tables="\n".join(f'{name} = "SELECT * FROM {name}"' for name in simulation.tables),
        activity="transactions" if retail else "interactions",
        kind="purchase" if retail else "usage",
        horizon_days=simulation.horizon_days,
        latency=3 if retail else 10,
        grace=0 if retail else 7,
        until=simulation.start + timedelta(days=simulation.days),
        evaluate=_evaluate(simulation, latency=3 if retail else 10),
    )
