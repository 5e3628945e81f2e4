"""The retail mode: visits, purchases, a leaving without notice, and its exact probability."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from lifecycle.simulation.tables import observed_tables
from lifecycle.simulation.world import (
    DAY,
    DOWNGRADE_PAGE,
    DOWNGRADES,
    LEAVES,
    MINUTE,
    SERVICES,
    VISIT,
    VISITS,
    VISITS_PER_PURCHASE,
    WEB,
    LeaveProbability,
    Lives,
    People,
    Rng,
    draw_daytime,
    draw_events,
    event_rows,
    first_day,
    transition_matrix,
)


def simulate_retail(
    rng: Rng, people: People, level: np.ndarray, horizon: int
) -> tuple[dict[str, pa.Table], LeaveProbability]:
    """The four tables, and the exact probability of leaving from any day on."""
    day = np.arange(len(level))[:, None]
    after = day > people.acquired
    left_day = first_day(rng.random(level.shape, dtype=np.float32) < after * LEAVES[level])
    lives = Lives(level, after & (day < left_day), left_day)
    purchases = _purchases(rng, people, lives)
    interactions = np.hstack([_visits(rng, people, lives, purchases), _downgrade_pages(rng, lives)])
    tables = observed_tables(
        rng, people, lives, purchases=purchases, interactions=interactions, services=SERVICES
    )
    return tables, _leave_probability(people, lives, horizon)


def _purchases(rng: Rng, people: People, lives: Lives) -> np.ndarray:
    """Customer, second, price in cents, service. The first purchase follows acquisition at once."""
    day, later = draw_events(rng, lives.present * people.purchase_probability)
    first = np.flatnonzero(people.purchase_probability > 0)
    who = np.append(first, later)
    at = np.append(people.acquired_at[first] + 10 * MINUTE, draw_daytime(rng, day))
    business = np.where(people.segment[who] == 2, 2, 1)
    price = rng.lognormal(np.log(3500), 0.5, who.size).astype(int) * business
    return event_rows(who, at, price, rng.integers(0, len(SERVICES), who.size))


def _visits(rng: Rng, people: People, lives: Lives, purchases: np.ndarray) -> np.ndarray:
    probability = np.maximum(VISITS_PER_PURCHASE * people.purchase_probability, 0.02)
    day, who = draw_events(rng, lives.present * probability * VISITS[lives.level])
    before = purchases[1] - rng.integers(2 * MINUTE, 10 * MINUTE, len(purchases[1]))
    who, at = np.append(who, purchases[0]), np.append(draw_daytime(rng, day), before)
    level = lives.level[at // DAY, who]
    channel = rng.choice(3, who.size, p=[0.5, 0.35, 0.15])
    return event_rows(who, at, VISIT, channel, 1 + rng.poisson(2 + 2.5 * level))


def _downgrade_pages(rng: Rng, lives: Lives) -> np.ndarray:
    """Views of the page that ends a membership, by any customer: they announce nothing."""
    own = rng.spawn(1)[0]  # a generator of its own, so that all other draws stay the same
    day, who = draw_events(own, lives.present * np.float32(DOWNGRADES))
    return event_rows(who, draw_daytime(own, day), DOWNGRADE_PAGE, WEB, 1)


def _leave_probability(people: People, lives: Lives, horizon: int) -> LeaveProbability:
    """P(no purchase within `horizon` days), backwards over the days.

    V₀ = 1, Vₖ(s) = Σₛ' T(s, s') · [h(s') + (1 − h(s')) · (1 − b) · Vₖ₋₁(s')], with T the transition
    of satisfaction, h the hazard of leaving and b the customer's own buying probability.
    """
    quiet_day = 1 - people.purchase_probability[:, None]
    silent = np.ones((people.purchase_probability.size, len(LEAVES)))
    for _ in range(horizon):
        silent = (LEAVES + (1 - LEAVES) * quiet_day * silent) @ transition_matrix().T

    def leave_probability(day: int) -> tuple[np.ndarray, np.ndarray]:
        left = lives.left_day < day
        return np.where(left, 1.0, silent[np.arange(left.size), lives.level[day - 1]]), left

    return leave_probability
