"""A small service business, simulated day by day, with the exact probability that each customer leaves.

    simulate(mode="retail")  ─► Simulation(tables, truth, …)  ─► write(…, folder=…): CSV files and lifecycle.toml

**Hidden.** Satisfaction is a level 0 (angry) … 4 (delighted), a Markov chain with one step a day: `STEP_DOWN`,
`STEP_UP`. It starts near 3 and pulls back to 3. Nothing a table says moves it; it moves what the tables say.
*Retail*: one who has bought leaves for good with the daily hazard `LEAVES[level]`, and until then buys at most once
a day with an own constant probability (gamma over customers, mean gap about 25 days; 3 % are prospects who never
buy). Nothing announces a leaving, and a slow buyer looks like a leaver. *Subscription*: `simulation_subscription`.

**customers**: `customer_id` six digits, by order of acquisition · `acquired_at` 80 % in the first two thirds of the
span · `channel` where they came from (referral: starts half a level higher) · `segment` (business: buys 15 % oftener
and for twice the money) · `region`, pure noise.
**transactions**: `transaction_id` · `customer_id` · `occurred_at`, the first at acquisition · `recorded_at` equal,
but 2 % arrive 1–3 days later · `amount`, currency, what was paid: retail log-normal, median 35; a subscription the
term's price; negative for a refund · `kind` purchase; refund, 1–5 days after 30 % of complaints, all or half of the
last purchase, if the customer is still there; payment_failed, minutes before 2 % of purchases · `category` noise, or
the plan · `discount`, currency taken off: 10 % of the price on every fifth purchase · `channel` web, app, store.
**interactions**: `customer_id` · `occurred_at` · `kind`: visit (retail), own daily probability, about four times
that of buying, times `VISITS[level]`, and just before every purchase, `quantity` pages, Poisson, fewer at low levels
· usage (subscription), own daily probability times `VISITS[level]`, `quantity` minutes, likewise · sent, a weekly
letter to 40 % of customers, on for 60 days after they left · opened, within hours, probability `OPENS[level]` · call,
with 40 % of complaints and now and then, minutes · cancel_page (subscription), on the day 70 % decide to cancel (0–10
days ahead of it), and idly with daily probability `IDLE_CANCEL_PAGE[level]` · `channel` web, app, store, email, phone.
**feedback**: `customer_id` · `occurred_at`, when sent or raised · `kind`: csat, after 30 % of purchases; nps, every
91 days from acquisition, on for 120 days after leaving; complaint, daily probability `COMPLAINS[level]` and 35 % on
a step down to level 0 or 1 · `score` csat 1–5 around level + 1, nps 0–10 around 2.5 · level · `answered_at` hours
later with probability `ANSWERS[level]`, never after leaving · `resolved_at` 85 % of complaints, median 2 days ·
`topic` of a complaint, noise. What would be answered, resolved or recorded after the last day is not yet there.
**contracts** (subscription): `customer_id` · `starts_at`, `ends_at` 30 or 365 days apart to the second · `plan`
monthly, annual · `price` of the term, currency, annual = ten months · `auto_renew` · `recorded_at` = `starts_at`;
a cancellation is a second version of the row with `cancelled_at` = `recorded_at`.

**truth**, never in a table: `customer_id` · `as_of`, local midnight on the first of a month, from the seventh month
on, while `as_of` + horizon ≤ end · `p_leave`, exact, by recursion backwards over days: retail P(no purchase in
`[as_of, as_of + horizon)`), subscription P(cancels, or cover ends and is not renewed), given the hidden state at
`as_of` · `left`, whether they have left for good (subscription: cancelled or lapsed). A prospect has p_leave = 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa

START = date(2022, 1, 1)
MODES = ("retail", "subscription")
STEP_DOWN = np.array([0.000, 0.012, 0.014, 0.016, 0.022])  # a day, from levels 0 … 4
STEP_UP = np.array([0.014, 0.016, 0.018, 0.010, 0.000])
LEAVES = np.array([0.0300, 0.0080, 0.0010, 0.0003, 0.0002])  # retail, a day
VISITS = np.array([0.25, 0.50, 0.85, 1.00, 1.10])
OPENS = np.array([0.05, 0.15, 0.30, 0.42, 0.50])
ANSWERS = np.array([0.25, 0.30, 0.40, 0.50, 0.60])
COMPLAINS = np.array([0.0120, 0.0050, 0.0010, 0.0004, 0.0002])
IDLE_CANCEL_PAGE = np.array([0.0040, 0.0030, 0.0010, 0.0005, 0.0003])
BUYS_A_DAY, USES_A_DAY = 1 / 25, 0.30
PROSPECTS, VISITS_A_BUY = 0.03, 4.0
LETTER_DAYS, SURVEY_DAYS = 60, 120  # letters and surveys go on for so long after leaving

ACQUIRED_FROM = ("search", "referral", "social", "store")
SEGMENTS = ("private", "family", "business")
REGIONS = ("north", "east", "south", "west")
CATEGORIES = ("care", "repair", "parts", "courses", "rental")
PLANS = ("monthly", "annual")
TOPICS = ("delivery", "quality", "price", "service")
WHERE = ("web", "app", "store", "email", "phone")
DID = ("visit", "usage", "sent", "opened", "call", "cancel_page")
PAID = ("purchase", "refund", "payment_failed")
SAID = ("csat", "nps", "complaint")
WEB, APP, STORE, EMAIL, PHONE = range(5)
VISIT, USAGE, SENT, OPENED, CALL, CANCEL_PAGE = range(6)
CSAT, NPS, COMPLAINT = range(3)
MINUTE, HOUR, DAY = 60, 3_600, 86_400
NONE = -1


@dataclass(frozen=True)
class Simulation:
    """The tables as the business has them; the truth apart; and what was simulated."""

    tables: dict[str, pa.Table]
    truth: pa.Table
    mode: str
    start: date
    days: int
    horizon_days: int


@dataclass(frozen=True)
class _People:
    """Constants of each customer: arrays over customers; days and seconds count from the start."""

    acquired: np.ndarray
    second: np.ndarray
    channel: np.ndarray
    segment: np.ndarray
    region: np.ndarray
    first_level: np.ndarray
    buys: np.ndarray
    visits: np.ndarray
    letter_day: np.ndarray

    @property
    def acquired_at(self) -> np.ndarray:
        return self.acquired * DAY + self.second


@dataclass(frozen=True)
class _Lives:
    """Days × customers: `level` as it shows, `present` (able to act), `around` days since leaving (≤ 0: not left)."""

    level: np.ndarray
    present: np.ndarray
    gone: np.ndarray


def simulate(*, customers: int = 3000, days: int = 1096, seed: int = 7, mode: str = "retail",
             horizon_days: int = 60) -> Simulation:  # fmt: skip
    """The business over `days` days from 2022-01-01; equal arguments give equal tables."""
    _check(customers=customers, days=days, seed=seed, horizon_days=horizon_days, mode=mode)
    rng = np.random.default_rng([seed, MODES.index(mode)])
    people = _people(rng, customers, days)
    level = _levels(rng, people, days)
    run = _retail if mode == "retail" else _subscription
    tables, truth = run(rng, people, level, horizon_days)
    return Simulation(tables, truth, mode, START, days, horizon_days)


def _check(*, mode: str, **numbers: int) -> None:
    if mode not in MODES:
        raise ValueError(f"mode is one of {', '.join(MODES)}, got {mode!r}")
    for name, value in numbers.items():
        least = 0 if name == "seed" else 1
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ValueError(f"{name} is a whole number of at least {least}, got {value!r}")


def _people(rng: np.random.Generator, customers: int, days: int) -> _People:
    early = rng.random(customers) < 0.8
    channel = rng.choice(4, size=customers, p=[0.4, 0.2, 0.25, 0.15])
    segment = rng.choice(3, size=customers, p=[0.6, 0.25, 0.15])
    buys = BUYS_A_DAY * rng.gamma(8, 1 / 8, customers) * np.where(segment == 2, 1.15, 1)
    buys = np.clip(buys, 0.012, 0.12)
    return _People(
        acquired=np.sort(rng.integers(0, np.where(early, max(days * 2 // 3, 1), days))),
        second=rng.integers(8 * HOUR, 21 * HOUR, customers),
        channel=channel,
        segment=segment,
        region=rng.integers(0, 4, customers),
        first_level=np.clip(np.rint(rng.normal(2.7 + 0.5 * (channel == 1), 0.8)), 0, 4).astype(np.int8),
        buys=np.where(rng.random(customers) < PROSPECTS, 0, buys),
        visits=np.clip(VISITS_A_BUY * buys * rng.lognormal(0, 0.3, customers), 0.02, 0.9),
        letter_day=np.where(rng.random(customers) < 0.4, rng.integers(0, 7, customers), NONE),
    )


def _levels(rng: np.random.Generator, people: _People, days: int) -> np.ndarray:
    """Satisfaction at the end of each day: days × customers. It starts to move on the day after acquisition."""
    level = np.empty((days, people.acquired.size), np.int8)
    now = people.first_level
    for day in range(days):
        draw = rng.random(now.size, dtype=np.float32)
        step = (draw > 1 - STEP_UP[now]).astype(np.int8) - (draw < STEP_DOWN[now])
        now = level[day] = np.where(people.acquired < day, now + step, now)
    return level


def transition() -> np.ndarray:
    """T[s, s'], the chance that level s is s' a day later."""
    return np.diag(1 - STEP_DOWN - STEP_UP) + np.diag(STEP_DOWN[1:], -1) + np.diag(STEP_UP[:-1], 1)


def _chance(rng: np.random.Generator, chance: np.ndarray) -> np.ndarray:
    return rng.random(chance.shape, dtype=np.float32) < chance


def _first(happens: np.ndarray) -> np.ndarray:
    """The first day (row) on which it happens to each customer; a day far ahead if never."""
    return np.where(happens.any(axis=0), happens.argmax(axis=0), 10**6)


def _retail(rng, people, level, horizon):
    days, customers = level.shape
    day = np.arange(days)[:, None]
    after = day > people.acquired
    gone = _first(_chance(rng, after * LEAVES.astype(np.float32)[level]))
    lives = _Lives(level, after & (day < gone), gone)
    bought, who = np.nonzero(_chance(rng, lives.present * people.buys.astype(np.float32)))
    first = np.flatnonzero(people.buys > 0)
    who = np.concatenate([first, who])
    at = np.concatenate([people.acquired_at[first] + 10 * MINUTE, _times(rng, bought)])
    price = np.exp(rng.normal(np.log(3500), 0.5, who.size)) * np.where(people.segment[who] == 2, 2, 1)
    bought = Purchases(who, at, price.astype(int), rng.integers(0, 5, who.size))
    active = _chance(rng, lives.present * people.visits.astype(np.float32) * VISITS.astype(np.float32)[level])
    shop = _rows(
        who[first.size :],
        at[first.size :] - rng.integers(2 * MINUTE, 20 * MINUTE, who.size - first.size),
        VISIT,
        rng.integers(0, 3, who.size - first.size),
        1 + rng.poisson(6, who.size - first.size),
    )
    tables = _tables(rng, people, lives, bought, active, VISIT, [shop], CATEGORIES)
    return tables, _truth(people, _retail_p(people, lives, horizon), gone, days, horizon)


@dataclass
class Purchases:
    who: np.ndarray
    at: np.ndarray
    price: np.ndarray
    category: np.ndarray


def _retail_p(people, lives, horizon):
    stay = np.ones((people.buys.size, 5))
    t = transition()
    for _ in range(horizon):
        stay = (LEAVES + (1 - LEAVES) * (1 - people.buys[:, None]) * stay) @ t.T

    def at(day):
        p = stay[np.arange(people.buys.size), lives.level[day - 1]]
        return np.where(lives.gone < day, 1.0, p), lives.gone < day

    return at


def _truth(people, at, gone, days, horizon):
    parts = []
    for as_of, day in _as_ofs(days, horizon):
        known = np.flatnonzero(people.acquired < day)
        p, left = at(day)
        parts.append((known, np.full(known.size, day), p[known], left[known]))
    if not parts:
        parts = [(np.zeros(0, int), np.zeros(0, int), np.zeros(0), np.zeros(0, bool))]
    who, day, p, left = (np.concatenate(x) for x in zip(*parts))
    return pa.table(
        {
            "customer_id": _ids(people.acquired.size).take(pa.array(who)),
            "as_of": pa.array((np.datetime64(START) + day).astype("datetime64[D]")),
            "p_leave": p,
            "left": left,
        }
    )


def _as_ofs(days, horizon):
    month = 6
    while True:
        as_of = date(START.year + month // 12, month % 12 + 1, 1)
        day = (as_of - START).days
        if day + horizon > days:
            return
        yield as_of, day
        month += 1


def _subscription(rng, people, level, horizon):
    days, customers = level.shape
    plans = subscription.draw_plans(rng, customers=customers)
    lived = subscription.subscribe(rng, plans=plans, level=level, acquired=people.acquired)
    s = lived.status
    gone = _first(s == subscription.GONE)
    shows = np.where((s == subscription.DECIDED) | (s == subscription.CANCELLED), np.int8(0), level)
    lives = _Lives(shows, (s >= subscription.RUNNING) & (s < subscription.GONE), gone)
    price = np.array([990, 1990, 3990])[people.segment] * np.where(plans.annual, 10, 1)
    terms = lived.terms
    at = terms.starts * DAY + people.second[terms.who]
    bought = Purchases(terms.who, at, price[terms.who], plans.annual[terms.who].astype(int))
    uses = np.clip(USES_A_DAY * rng.lognormal(0, 0.4, customers), 0.05, 0.9)
    active = _chance(rng, lives.present * uses.astype(np.float32) * VISITS.astype(np.float32)[shows])
    frac = rng.random(customers)
    decided = _first((s == subscription.DECIDED) | (s == subscription.CANCELLED))
    w = np.flatnonzero((decided < days) & (rng.random(customers) < 0.7))
    page = (
        decided[w] * DAY
        + 7 * HOUR
        + (frac[w] * (people.second[w] - 7 * HOUR)).astype(int)
        - rng.integers(5 * MINUTE, 30 * MINUTE, w.size)
    )
    pages = [_rows(w, page, CANCEL_PAGE, WEB, 1)]
    iday, iw = np.nonzero(_chance(rng, (s == subscription.RUNNING) * IDLE_CANCEL_PAGE.astype(np.float32)[level]))
    pages.append(_rows(iw, _times(rng, iday), CANCEL_PAGE, WEB, 1))
    tables = _tables(rng, people, lives, bought, active, USAGE, pages, PLANS)
    quit_by = np.where(terms.cancelled == terms.ends, people.second[terms.who], 22 * HOUR)
    cancelled_at = terms.cancelled * DAY + 7 * HOUR + (frac[terms.who] * (quit_by - 7 * HOUR)).astype(int)
    tables["contracts"] = _contracts(people, plans, terms, at, cancelled_at, price, days)

    def p(day):
        return (
            subscription.leaving(lived, plans, level, day=day, horizon=horizon, transition=transition()),
            s[day - 1] >= subscription.CANCELLED,
        )

    return tables, _truth(people, p, gone, days, horizon)


def _contracts(people, plans, terms, at, cancelled_at, price, days):
    ends = terms.ends * DAY + people.second[terms.who]
    c = np.flatnonzero(terms.cancelled >= 0)
    row = np.concatenate([np.arange(at.size), c])
    cancel = np.concatenate([np.full(at.size, NONE), cancelled_at[c]])
    recorded = np.where(cancel >= 0, cancel, at[row])
    keep = np.flatnonzero(recorded < days * DAY)
    keep = keep[np.argsort(recorded[keep], kind="stable")]
    row, cancel, recorded = row[keep], cancel[keep], recorded[keep]
    who = terms.who[row]
    return pa.table(
        {
            "customer_id": _ids(people.second.size).take(pa.array(who)),
            "starts_at": _at(at[row]),
            "ends_at": _at(ends[row]),
            "cancelled_at": _at(cancel),
            "plan": _named(PLANS, plans.annual[who].astype(int)),
            "price": _money(price[who]),
            "auto_renew": pa.array(plans.auto_renew[who]),
            "recorded_at": _at(recorded),
        }
    )


def _tables(rng, people, lives, bought, active, kind, more, categories):
    days, customers = lives.level.shape
    ids = _ids(customers)
    drop = np.zeros(lives.level.shape, bool)
    drop[1:] = (lives.level[1:] < lives.level[:-1]) & (lives.level[1:] <= 1)
    chance = lives.present * COMPLAINS.astype(np.float32)[lives.level]
    chance += 0.35 * (drop & lives.present)
    cday, cwho = np.nonzero(_chance(rng, chance))
    cat = _times(rng, cday)
    customers_t = pa.table(
        {
            "customer_id": ids,
            "acquired_at": _at(people.acquired_at),
            "channel": _named(ACQUIRED_FROM, people.channel),
            "segment": _named(SEGMENTS, people.segment),
            "region": _named(REGIONS, people.region),
        }
    )
    return {
        "customers": customers_t,
        "transactions": _transactions(rng, people, lives, bought, (cwho, cat), categories),
        "interactions": _interactions(rng, people, lives, active, kind, more, (cwho, cat)),
        "feedback": _feedback(rng, people, lives, bought, (cwho, cat)),
    }


def _transactions(rng, people, lives, bought, complaints, categories):
    days, n = lives.level.shape
    off = np.where(rng.random(bought.who.size) < 0.2, bought.price // 10, 0)
    order = np.lexsort((bought.at, bought.who))
    key = (bought.who * 10**9 + bought.at)[order]
    cw, ca = complaints
    pick = rng.random(cw.size) < 0.3
    cw, ca = cw[pick], ca[pick]
    idx = np.searchsorted(key, cw * 10**9 + ca) - 1
    ok = idx >= 0
    idx, ca, cw = order[idx[ok]], ca[ok], cw[ok]
    ok = bought.who[idx] == cw
    idx, ca = idx[ok], ca[ok]
    idx, u = np.unique(idx, return_index=True)
    rat = ca[u] + rng.integers(DAY, 5 * DAY, idx.size)
    ok = rat // DAY < lives.gone[bought.who[idx]]
    idx, rat = idx[ok], rat[ok]
    failed = np.flatnonzero(rng.random(bought.who.size) < 0.02)
    fat = np.maximum(
        bought.at[failed] - rng.integers(MINUTE, 9 * MINUTE, failed.size), people.acquired_at[bought.who[failed]]
    )
    paid = bought.price - off
    src = np.concatenate([np.arange(bought.who.size), idx, failed])
    kind = np.repeat([0, 1, 2], [bought.who.size, idx.size, failed.size])
    at = np.concatenate([bought.at, rat, fat])
    amount = np.concatenate([paid, -(paid[idx] // rng.integers(1, 3, idx.size)), paid[failed]])
    rec = at + np.where(rng.random(at.size) < 0.02, rng.integers(DAY, 3 * DAY, at.size), 0)
    keep = np.flatnonzero(rec < days * DAY)
    keep = keep[np.argsort(at[keep], kind="stable")]
    src, kind, at, amount, rec = src[keep], kind[keep], at[keep], amount[keep], rec[keep]
    return pa.table(
        {
            "transaction_id": pa.array([f"T{i:07d}" for i in range(1, at.size + 1)]),
            "customer_id": _ids(n).take(pa.array(bought.who[src])),
            "occurred_at": _at(at),
            "recorded_at": _at(rec),
            "amount": _money(amount),
            "kind": _named(PAID, kind),
            "category": _named(categories, bought.category[src]),
            "discount": _money(np.where(kind == 0, off[src], 0)),
            "channel": _named(WHERE, rng.choice(3, size=at.size, p=[0.5, 0.3, 0.2])),
        }
    )


def _interactions(rng, people, lives, active, kind, more, complaints):
    days, n = lives.level.shape
    day, who = np.nonzero(active)
    lv = lives.level[day, who]
    rows = [
        _rows(
            who,
            _times(rng, day),
            kind,
            rng.choice(3, size=who.size, p=[0.5, 0.35, 0.15]) if kind == VISIT else rng.integers(0, 2, who.size),
            1 + rng.poisson(2 + lv) * (1 if kind == VISIT else 4),
        )
    ]
    d = np.arange(days)[:, None]
    day, who = np.nonzero((d % 7 == people.letter_day) & (d > people.acquired) & (d < lives.gone + LETTER_DAYS))
    at = day * DAY + 7 * HOUR
    rows.append(_rows(who, at, SENT, EMAIL, NONE))
    op = (rng.random(who.size) < OPENS[lives.level[day, who]]) & lives.present[day, who]
    rows.append(_rows(who[op], at[op] + rng.integers(5 * MINUTE, 14 * HOUR, op.sum()), OPENED, EMAIL, NONE))
    cw, ca = complaints
    c = rng.random(cw.size) < 0.4
    rows.append(_rows(cw[c], ca[c], CALL, PHONE, 1 + rng.poisson(8, c.sum())))
    day, who = np.nonzero(_chance(rng, lives.present * np.float32(0.002)))
    rows.append(_rows(who, _times(rng, day), CALL, PHONE, 1 + rng.poisson(5, who.size)))
    who, at, kind, ch, q = np.concatenate(rows + more, axis=1)
    keep = np.flatnonzero(at < days * DAY)
    keep = keep[np.argsort(at[keep], kind="stable")]
    who, at, kind, ch, q = who[keep], at[keep], kind[keep], ch[keep], q[keep]
    return pa.table(
        {
            "customer_id": _ids(n).take(pa.array(who)),
            "occurred_at": _at(at),
            "kind": _named(DID, kind),
            "channel": _named(WHERE, ch),
            "quantity": pa.array(q, mask=q < 0),
        }
    )


def _feedback(rng, people, lives, bought, complaints):
    days, n = lives.level.shape
    c = rng.random(bought.who.size) < 0.3
    cs_who, cs_at = bought.who[c], bought.at[c] + DAY
    d = np.arange(days)[:, None]
    nd, nw = np.nonzero((d > people.acquired) & ((d - people.acquired) % 91 == 0) & (d < lives.gone + SURVEY_DAYS))
    rows = [
        _rows(cs_who, cs_at, CSAT, 0, 0),
        _rows(nw, nd * DAY + 10 * HOUR, NPS, 0, 0),
        _rows(*complaints, COMPLAINT, 0, 0),
    ]
    who, at, kind, _, _ = np.concatenate(rows, axis=1)
    keep = np.flatnonzero(at < days * DAY)
    keep = keep[np.argsort(at[keep], kind="stable")]
    who, at, kind = who[keep], at[keep], kind[keep]
    day = at // DAY
    lv = lives.level[day, who]
    ans = (kind < 2) & lives.present[day, who] & (rng.random(who.size) < ANSWERS[lv])
    answered = at + rng.exponential(10 * HOUR, who.size).astype(int) + MINUTE
    answered = np.where(ans & (answered < days * DAY), answered, NONE)
    csat = np.clip(lv + 1 + rng.integers(-1, 2, who.size), 1, 5)
    nps = np.clip(np.rint(2.5 * lv + rng.normal(0, 1.2, who.size)), 0, 10).astype(int)
    resolved = at + rng.lognormal(np.log(2 * DAY), 0.8, who.size).astype(int)
    resolved = np.where((kind == COMPLAINT) & (rng.random(who.size) < 0.85) & (resolved < days * DAY), resolved, NONE)
    topic = rng.integers(0, 4, who.size)
    return pa.table(
        {
            "customer_id": _ids(n).take(pa.array(who)),
            "occurred_at": _at(at),
            "kind": _named(SAID, kind),
            "score": pa.array(np.where(kind == CSAT, csat, nps), mask=answered < 0),
            "answered_at": _at(answered),
            "resolved_at": _at(resolved),
            "topic": pa.array(TOPICS).take(pa.array(topic, mask=kind != COMPLAINT)),
        }
    )


def _ids(n):
    return pa.array([f"{i:06d}" for i in range(1, n + 1)])


def _named(names, codes):
    return pa.array(names).take(pa.array(codes))


def _at(s):
    return pa.array(np.datetime64(START, "s") + s.astype("timedelta64[s]"), mask=s < 0)


def _money(c):
    return pa.array(
        [f"{'-' if x < 0 else ''}{abs(x) // 100}.{abs(x) % 100:02d}" for x in c.tolist()], pa.string()
    ).cast(pa.decimal128(12, 2))


def _rows(who, at, kind, channel, quantity):
    return np.stack(np.broadcast_arrays(who, at, kind, channel, quantity))


def _times(rng, day):
    return day * DAY + rng.integers(8 * HOUR, 22 * HOUR, day.size)
