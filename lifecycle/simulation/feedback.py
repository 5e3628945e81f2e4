"""Surveys, complaints and reviews: when they are sent or written, their scores and answers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from lifecycle.simulation.world import (
    ANSWERS,
    COMPLAINT,
    CSAT,
    DAY,
    FEEDBACK_KINDS,
    HOUR,
    MINUTE,
    NONE,
    NPS,
    REVIEW,
    REVIEWS,
    SURVEY_DAYS,
    TOPICS,
    Lives,
    People,
    Rng,
    event_rows,
    label_column,
    merge_events,
    timestamps,
)


class _Feedback(NamedTuple):
    """Feedback as arrays (rows,); times in seconds from the start, NONE where empty."""

    who: np.ndarray
    at: np.ndarray
    kind: np.ndarray
    service: np.ndarray
    score: np.ndarray
    answered: np.ndarray
    resolved: np.ndarray
    topic: np.ndarray


def feedback_table(
    rng: Rng,
    people: People,
    lives: Lives,
    purchases: np.ndarray,
    complaints: np.ndarray,
    services: tuple[str, ...],
) -> pa.Table:
    """The feedback table.

    `purchases`: customer, second, price, service. `complaints`: customer, second.
    """
    sent = _sent_and_raised(rng, people, lives, purchases, complaints)
    events = merge_events([sent, _reviews(rng, lives, purchases)], days=len(lives.level))
    rows = _Feedback(*events)
    columns = {
        "customer_id": people.ids.take(pa.array(rows.who)),
        "occurred_at": timestamps(rows.at),
        "kind": label_column(FEEDBACK_KINDS, rows.kind),
        "score": pa.array(rows.score, mask=rows.answered < 0),
        "answered_at": timestamps(rows.answered),
        "resolved_at": timestamps(rows.resolved),
        "topic": label_column(TOPICS, rows.topic),
        "item": label_column(services, rows.service),
    }
    return pa.table(columns)


def _sent_and_raised(
    rng: Rng, people: People, lives: Lives, purchases: np.ndarray, complaints: np.ndarray
) -> np.ndarray:
    """Surveys with their answers and complaints with their solution, as rows of _Feedback."""
    days = len(lives.level)
    parts = [*_surveys(rng, people, lives, purchases), event_rows(*complaints, COMPLAINT, NONE)]
    who, at, kind, service = merge_events(parts, days=days)
    score, answered = _answers(rng, lives, who, at, kind)
    solved = at + rng.lognormal(np.log(2 * DAY), 0.8, at.size).astype(int)
    is_solved = (kind == COMPLAINT) & (rng.random(at.size) < 0.85) & (solved < days * DAY)
    resolved = np.where(is_solved, solved, NONE)
    topic = np.where(kind == COMPLAINT, rng.integers(0, len(TOPICS), at.size), NONE)
    return np.vstack([who, at, kind, service, score, answered, resolved, topic])


def _reviews(rng: Rng, lives: Lives, purchases: np.ndarray) -> np.ndarray:
    """Reviews written 2–9 days after a purchase without a survey; each is its own answer."""
    own = rng.spawn(1)[0]  # a generator of its own, so that all other draws stay the same
    who, at, _, service = purchases[:, own.random(purchases.shape[1]) < REVIEWS]
    at = at + own.integers(2 * DAY, 9 * DAY, who.size)
    stays = at < np.minimum(lives.left_day[who], len(lives.level)) * DAY
    who, at, service = who[stays], at[stays], service[stays]
    noisy = lives.level[at // DAY, who] + 1 + own.normal(0, 0.7, who.size)
    score = np.clip(np.rint(noisy), 1, 5).astype(int)
    return event_rows(who, at, REVIEW, service, score, at, NONE, NONE)


def _surveys(rng: Rng, people: People, lives: Lives, purchases: np.ndarray) -> list[np.ndarray]:
    """The csat and nps surveys sent: customer, second, kind, service."""
    day = np.arange(len(lives.level))[:, None]
    since = day - people.acquired
    is_sent = day < lives.left_day + SURVEY_DAYS
    sent_day, recipient = np.nonzero((since > 0) & (since % 91 == 0) & is_sent)
    who, at, service = purchases[[0, 1, 3]][:, rng.random(purchases.shape[1]) < 0.4]
    return [
        event_rows(who, at + DAY, CSAT, service),
        event_rows(recipient, sent_day * DAY + 10 * HOUR, NPS, NONE),
    ]


def _answers(
    rng: Rng, lives: Lives, who: np.ndarray, at: np.ndarray, kind: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(score, second of the answer or NONE) of each survey; complaints are never answered."""
    level = lives.level[at // DAY, who]
    csat = np.clip(np.rint(level + 1 + rng.normal(0, 0.7, who.size)), 1, 5)
    nps = np.clip(np.rint(2.5 * level + rng.normal(0, 1.2, who.size)), 0, 10)
    answered = at + MINUTE + rng.exponential(10 * HOUR, who.size).astype(int)
    replies = rng.random(who.size) < ANSWERS[level]
    is_answered = lives.present[at // DAY, who] & replies & (kind != COMPLAINT)
    # Nobody answers after leaving, and no answer after the last day is known.
    is_answered &= answered < np.minimum(lives.left_day[who], len(lives.level)) * DAY
    score = np.where(kind == CSAT, csat, nps).astype(int)
    return score, np.where(is_answered, answered, NONE)
