"""What the business sees of its customers: customers, transactions, interactions and feedback."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from lifecycle.simulation.feedback import feedback_table
from lifecycle.simulation.world import (
    ACQUISITION_CHANNELS,
    CALL,
    CHANNELS,
    COMPLAINS,
    COMPLAINS_ON_FALL,
    DAY,
    EMAIL,
    HOUR,
    INTERACTION_KINDS,
    LETTER_DAYS,
    MINUTE,
    NONE,
    OPENED,
    OPENS,
    PAYMENT_METHODS,
    PHONE,
    REGIONS,
    SEGMENTS,
    SENT,
    TRANSACTION_KINDS,
    Lives,
    People,
    Rng,
    draw_daytime,
    draw_events,
    event_rows,
    label_column,
    merge_events,
    money_column,
    timestamps,
)


def observed_tables(
    rng: Rng,
    people: People,
    lives: Lives,
    *,
    purchases: np.ndarray,
    interactions: np.ndarray,
    services: tuple[str, ...],
) -> dict[str, pa.Table]:
    """The four tables that both modes have.

    `purchases`: customer, second, price in cents, service. `interactions`: those of the mode, as
    customer, second, kind, channel, quantity.
    """
    fell = np.diff(lives.level, axis=0, prepend=lives.level[:1]) < 0
    probability = COMPLAINS[lives.level] + COMPLAINS_ON_FALL * (fell & (lives.level <= 1))
    day, who = draw_events(rng, lives.present * probability)
    complaints = event_rows(who, draw_daytime(rng, day))
    # All tables draw from one generator, so their order decides their values.
    return {
        "customers": _customers(people),
        "transactions": _transactions(rng, people, lives, purchases, complaints, services),
        "interactions": _interactions(rng, people, lives, interactions, complaints),
        "feedback": feedback_table(rng, people, lives, purchases, complaints, services),
    }


def _customers(people: People) -> pa.Table:
    columns = {
        "customer_id": people.ids,
        "acquired_at": timestamps(people.acquired_at),
        "channel": label_column(ACQUISITION_CHANNELS, people.channel),
        "segment": label_column(SEGMENTS, people.segment),
        "region": label_column(REGIONS, people.region),
    }
    return pa.table(columns)


def _transactions(
    rng: Rng,
    people: People,
    lives: Lives,
    purchases: np.ndarray,
    complaints: np.ndarray,
    services: tuple[str, ...],
) -> pa.Table:
    payments = _payments(rng, people, lives, purchases, complaints)
    who, at, kind, amount, discount, service, recorded = payments
    ids = [f"T{number:07d}" for number in range(1, at.size + 1)]
    columns = {
        "transaction_id": pa.array(ids, pa.string()),
        "customer_id": people.ids.take(pa.array(who)),
        "occurred_at": timestamps(at),
        "recorded_at": timestamps(recorded),
        "amount": money_column(amount),
        "kind": label_column(TRANSACTION_KINDS, kind),
        "category": label_column(services, service),
        "discount": money_column(discount),
        "channel": label_column(CHANNELS, rng.choice(3, at.size, p=[0.5, 0.35, 0.15])),
        "method": label_column(PAYMENT_METHODS, _methods(rng, people, who)),
    }
    return pa.table(columns)


def _methods(rng: Rng, people: People, who: np.ndarray) -> np.ndarray:
    """The method of each payment: the customer's usual one, another on a tenth of them."""
    own = rng.spawn(1)[0]  # a generator of its own, so that all other draws stay the same
    methods = len(PAYMENT_METHODS)
    usual = own.integers(0, methods, people.acquired.size)
    return np.where(own.random(who.size) < 0.9, usual[who], own.integers(0, methods, who.size))


def _payments(
    rng: Rng, people: People, lives: Lives, purchases: np.ndarray, complaints: np.ndarray
) -> np.ndarray:
    """Purchases, refunds and failed payments.

    Customer, second, kind, cents paid, cents off, service, second of recording.
    """
    who, at, price, service = purchases
    discount = np.where(rng.random(at.size) < 0.2, price // 10, 0)
    paid = price - discount
    refunding = complaints[:, rng.random(complaints.shape[1]) < 0.3]
    back, back_at = _refunds(rng, lives, purchases, refunding)
    failed = np.flatnonzero(rng.random(at.size) < 0.02)
    minutes = rng.integers(1, 10, failed.size)
    failed_at = np.maximum(at[failed] - minutes * MINUTE, people.acquired_at[who[failed]])
    refund = -(paid[back] // rng.integers(1, 3, back.size))
    parts = [
        event_rows(who, at, 0, paid, discount, service),
        event_rows(who[back], back_at, 1, refund, 0, service[back]),
        event_rows(who[failed], failed_at, 2, paid[failed], 0, service[failed]),
    ]
    events = np.concatenate(parts, axis=1)
    is_late = rng.random(events.shape[1]) < 0.02
    delay = np.where(is_late, rng.integers(DAY, 3 * DAY, events.shape[1]), 0)
    events = np.vstack([events, events[1] + delay])
    return merge_events([events], days=len(lives.level), known=-1)


def _refunds(
    rng: Rng, lives: Lives, purchases: np.ndarray, complaints: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(purchase, second) of each refund: the last purchase before a complaint, once."""
    # One sortable number for (customer, second), so that one search finds the purchase before.
    span = len(lives.level) * DAY * 2
    order = np.lexsort((purchases[1], purchases[0]))
    keys = (purchases[0] * span + purchases[1])[order]
    place = np.searchsorted(keys, complaints[0] * span + complaints[1]) - 1
    purchase = order[np.maximum(place, 0)]
    at = complaints[1] + rng.integers(DAY, 5 * DAY, place.size)
    is_own = (place >= 0) & (purchases[0, purchase] == complaints[0])
    fits = is_own & (at // DAY < lives.left_day[complaints[0]])
    purchase, first = np.unique(purchase[fits], return_index=True)
    return purchase, at[fits][first]


def _interactions(
    rng: Rng, people: People, lives: Lives, of_the_mode: np.ndarray, complaints: np.ndarray
) -> pa.Table:
    parts = [of_the_mode, *_letters(rng, people, lives), *_calls(rng, lives, complaints)]
    who, at, kind, channel, quantity = merge_events(parts, days=len(lives.level))
    columns = {
        "customer_id": people.ids.take(pa.array(who)),
        "occurred_at": timestamps(at),
        "kind": label_column(INTERACTION_KINDS, kind),
        "channel": label_column(CHANNELS, channel),
        "quantity": pa.array(quantity, mask=quantity < 0),
    }
    return pa.table(columns)


def _letters(rng: Rng, people: People, lives: Lives) -> list[np.ndarray]:
    """The weekly letters sent, and those of them that were opened."""
    day = np.arange(len(lives.level))[:, None]
    is_sent = day < lives.left_day + LETTER_DAYS
    letters = (day % 7 == people.letter_day) & (day > people.acquired) & is_sent
    on, to = np.nonzero(letters)
    opens = lives.present[on, to] & (rng.random(on.size) < OPENS[lives.level[on, to]])
    opened_at = on[opens] * DAY + 7 * HOUR + rng.integers(5 * MINUTE, 14 * HOUR, opens.sum())
    return [
        event_rows(to, on * DAY + 7 * HOUR, SENT, EMAIL, NONE),
        event_rows(to[opens], opened_at, OPENED, EMAIL, NONE),
    ]


def _calls(rng: Rng, lives: Lives, complaints: np.ndarray) -> list[np.ndarray]:
    """Calls about complaints, and about other things."""
    about = complaints[:, rng.random(complaints.shape[1]) < 0.4]
    day, who = draw_events(rng, lives.present * np.float32(0.002))
    complaint_minutes = 1 + rng.poisson(8, about.shape[1])
    at = draw_daytime(rng, day)
    return [
        event_rows(*about, CALL, PHONE, complaint_minutes),
        event_rows(who, at, CALL, PHONE, 1 + rng.poisson(5, who.size)),
    ]
