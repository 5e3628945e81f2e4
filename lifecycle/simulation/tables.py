"""What the business sees of its customers: customers, transactions, interactions and feedback."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from lifecycle.simulation.world import (
    ANSWERS,
    CALL,
    CAME_FROM,
    COMPLAINS,
    COMPLAINS_ON_FALL,
    COMPLAINT,
    CSAT,
    DAY,
    DID,
    EMAIL,
    HOUR,
    LETTER_DAYS,
    METHODS,
    MINUTE,
    NONE,
    NPS,
    OPENED,
    OPENS,
    PAID,
    PHONE,
    PLACES,
    REGIONS,
    REVIEW,
    REVIEWS,
    SAID,
    SEGMENTS,
    SENT,
    SURVEY_DAYS,
    TOPICS,
    Lives,
    People,
    Rng,
    daytime,
    hits,
    instants,
    money,
    names,
    rows,
    written,
)


def observed(
    rng: Rng,
    people: People,
    lives: Lives,
    *,
    bought: np.ndarray,
    did: np.ndarray,
    services: tuple[str, ...],
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
        "feedback": _feedback(rng, people, lives, bought, complaints, services),
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
    rng: Rng,
    people: People,
    lives: Lives,
    bought: np.ndarray,
    complaints: np.ndarray,
    services: tuple[str, ...],
) -> pa.Table:
    who, at, kind, amount, off, service, recorded = _payments(
        rng, people, lives, bought, complaints
    )
    columns = {
        "transaction_id": pa.array(
            [f"T{number:07d}" for number in range(1, at.size + 1)], pa.string()
        ),
        "customer_id": people.ids.take(pa.array(who)),
        "occurred_at": instants(at),
        "recorded_at": instants(recorded),
        "amount": money(amount),
        "kind": names(PAID, kind),
        "category": names(services, service),
        "discount": money(off),
        "channel": names(PLACES, rng.choice(3, at.size, p=[0.5, 0.35, 0.15])),
        "method": names(METHODS, _methods(rng, people, who)),
    }
    return pa.table(columns)


def _methods(rng: Rng, people: People, who: np.ndarray) -> np.ndarray:
    """How each was paid: an own usual method, another one in a tenth of the payments."""
    # Numbers of its own: what else is drawn does not depend on them.
    own = rng.spawn(1)[0]
    usual = own.integers(0, len(METHODS), people.acquired.size)
    return np.where(own.random(who.size) < 0.9, usual[who], own.integers(0, len(METHODS), who.size))


def _payments(
    rng: Rng, people: People, lives: Lives, bought: np.ndarray, complaints: np.ndarray
) -> np.ndarray:
    """Purchases, refunds and failed payments: who, when, kind, cents paid, cents off, service, when recorded."""
    who, at, price, service = bought
    off = np.where(rng.random(at.size) < 0.2, price // 10, 0)
    paid = price - off
    back, back_at = _refunded(
        rng, lives, bought, complaints[:, rng.random(complaints.shape[1]) < 0.3]
    )
    failed = np.flatnonzero(rng.random(at.size) < 0.02)
    failed_at = np.maximum(
        at[failed] - rng.integers(1, 10, failed.size) * MINUTE, people.acquired_at[who[failed]]
    )
    parts = [
        rows(who, at, 0, paid, off, service),
        rows(
            who[back], back_at, 1, -(paid[back] // rng.integers(1, 3, back.size)), 0, service[back]
        ),
        rows(who[failed], failed_at, 2, paid[failed], 0, service[failed]),
    ]
    together = np.concatenate(parts, axis=1)
    late = np.where(
        rng.random(together.shape[1]) < 0.02, rng.integers(DAY, 3 * DAY, together.shape[1]), 0
    )
    together = np.vstack([together, together[1] + late])
    return written([together], days=len(lives.level), known=-1)


def _refunded(
    rng: Rng, lives: Lives, bought: np.ndarray, complaints: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Which purchases are paid back and when: the last one before each complaint, once."""
    far = len(lives.level) * DAY * 2
    order = np.lexsort((bought[1], bought[0]))
    place = (
        np.searchsorted((bought[0] * far + bought[1])[order], complaints[0] * far + complaints[1])
        - 1
    )
    of, at = order[np.maximum(place, 0)], complaints[1] + rng.integers(DAY, 5 * DAY, place.size)
    fits = (place >= 0) & (bought[0, of] == complaints[0]) & (at // DAY < lives.gone[complaints[0]])
    of, first = np.unique(of[fits], return_index=True)
    return of, at[fits][first]


def _interactions(
    rng: Rng, people: People, lives: Lives, did: np.ndarray, complaints: np.ndarray
) -> pa.Table:
    parts = [did, *_letters(rng, people, lives), *_calls(rng, lives, complaints)]
    who, at, kind, place, quantity = written(parts, days=len(lives.level))
    columns = {
        "customer_id": people.ids.take(pa.array(who)),
        "occurred_at": instants(at),
        "kind": names(DID, kind),
        "channel": names(PLACES, place),
        "quantity": pa.array(quantity, mask=quantity < 0),
    }
    return pa.table(columns)


def _letters(rng: Rng, people: People, lives: Lives) -> list[np.ndarray]:
    """The weekly letters sent, and those of them that were opened."""
    day = np.arange(len(lives.level))[:, None]
    letters = (
        (day % 7 == people.letter_day) & (day > people.acquired) & (day < lives.gone + LETTER_DAYS)
    )
    on, to = np.nonzero(letters)
    opens = lives.present[on, to] & (rng.random(on.size) < OPENS[lives.level[on, to]])
    opened_at = on[opens] * DAY + 7 * HOUR + rng.integers(5 * MINUTE, 14 * HOUR, opens.sum())
    return [
        rows(to, on * DAY + 7 * HOUR, SENT, EMAIL, NONE),
        rows(to[opens], opened_at, OPENED, EMAIL, NONE),
    ]


def _calls(rng: Rng, lives: Lives, complaints: np.ndarray) -> list[np.ndarray]:
    """Calls about complaints, and about anything else."""
    phoned = complaints[:, rng.random(complaints.shape[1]) < 0.4]
    called_on, caller = hits(rng, lives.present * np.float32(0.002))
    return [
        rows(*phoned, CALL, PHONE, 1 + rng.poisson(8, phoned.shape[1])),
        rows(caller, daytime(rng, called_on), CALL, PHONE, 1 + rng.poisson(5, caller.size)),
    ]


def _feedback(
    rng: Rng,
    people: People,
    lives: Lives,
    bought: np.ndarray,
    complaints: np.ndarray,
    services: tuple[str, ...],
) -> pa.Table:
    days = len(lives.level)
    parts = [*_surveys(rng, people, lives, bought), rows(*complaints, COMPLAINT, NONE)]
    who, at, kind, service = written(parts, days=days)
    score, answered = _answers(rng, lives, who, at, kind)
    resolved = at + rng.lognormal(np.log(2 * DAY), 0.8, at.size).astype(int)
    closed = np.where(
        (kind == COMPLAINT) & (rng.random(at.size) < 0.85) & (resolved < days * DAY), resolved, NONE
    )
    topic = np.where(kind == COMPLAINT, rng.integers(0, len(TOPICS), at.size), NONE)
    asked = np.vstack([who, at, kind, service, score, answered, closed, topic])
    who, at, kind, service, score, answered, closed, topic = written(
        [asked, _reviews(rng, lives, bought)], days=days
    )
    columns = {
        "customer_id": people.ids.take(pa.array(who)),
        "occurred_at": instants(at),
        "kind": names(SAID, kind),
        "score": pa.array(score, mask=answered < 0),
        "answered_at": instants(answered),
        "resolved_at": instants(closed),
        "topic": names(TOPICS, topic),
        "item": names(services, service),
    }
    return pa.table(columns)


def _reviews(rng: Rng, lives: Lives, bought: np.ndarray) -> np.ndarray:
    """Reviews written unasked two to nine days after a purchase: feedback rows, answered as they come."""
    own = rng.spawn(1)[0]  # what else is drawn does not depend on them
    who, at, _, service = bought[:, own.random(bought.shape[1]) < REVIEWS]
    at = at + own.integers(2 * DAY, 9 * DAY, who.size)
    stays = at < np.minimum(lives.gone[who], len(lives.level)) * DAY
    who, at, service = who[stays], at[stays], service[stays]
    score = np.clip(
        np.rint(lives.level[at // DAY, who] + 1 + own.normal(0, 0.7, who.size)), 1, 5
    ).astype(int)
    return rows(who, at, REVIEW, service, score, at, NONE, NONE)


def _surveys(rng: Rng, people: People, lives: Lives, bought: np.ndarray) -> list[np.ndarray]:
    """The csat and nps surveys sent."""
    day = np.arange(len(lives.level))[:, None]
    since = day - people.acquired
    still = day < lives.gone + SURVEY_DAYS
    asked_on, asked = np.nonzero((since > 0) & (since % 91 == 0) & still)
    rated = bought[[0, 1, 3]][:, rng.random(bought.shape[1]) < 0.4]
    return [
        rows(rated[0], rated[1] + DAY, CSAT, rated[2]),
        rows(asked, asked_on * DAY + 10 * HOUR, NPS, NONE),
    ]


def _answers(
    rng: Rng, lives: Lives, who: np.ndarray, at: np.ndarray, kind: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What each survey says, and when the answer came (empty if it did not, or not yet)."""
    level = lives.level[at // DAY, who]
    csat = np.clip(np.rint(level + 1 + rng.normal(0, 0.7, who.size)), 1, 5)
    nps = np.clip(np.rint(2.5 * level + rng.normal(0, 1.2, who.size)), 0, 10)
    answered = at + MINUTE + rng.exponential(10 * HOUR, who.size).astype(int)
    comes = (
        lives.present[at // DAY, who]
        & (rng.random(who.size) < ANSWERS[level])
        & (kind != COMPLAINT)
    )
    comes &= answered < np.minimum(lives.gone[who], len(lives.level)) * DAY
    return np.where(kind == CSAT, csat, nps).astype(int), np.where(comes, answered, NONE)
