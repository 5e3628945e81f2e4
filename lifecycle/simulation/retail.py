"""The retail mode: visits, purchases, a leaving without notice, and its exact probability."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from lifecycle.simulation.acquisition import acquisition_tables
from lifecycle.simulation.actions import (
    ACTIONS,
    EFFECT_DAYS,
    SimulatedAction,
    draw_trial,
    hazards_under,
)
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
    rng: Rng, people: People, level: np.ndarray, horizon: int, *, actions: bool = False
) -> tuple[dict[str, pa.Table], LeaveProbability]:
    """The four tables, and the exact probability of leaving from any day on.

    actions: with the campaign of `lifecycle.simulation.actions`, the tables treatments, costs and
    referrals, and the probability of leaving under each action as further rows of the second.
    """
    day = np.arange(len(level))[:, None]
    after = day > people.acquired
    chance, hazard = rng.random(level.shape, dtype=np.float32), after * LEAVES[level]
    left_day = first_day(chance < hazard)
    trial = draw_trial(rng.spawn(1)[0], people, left_day, len(level)) if actions else None
    if trial is not None:
        left_day = first_day(chance < hazard * trial.hazard_factors(people, level))
    lives = Lives(level, after & (day < left_day), left_day)
    purchases = _purchases(rng, people, lives)
    interactions = np.hstack([_visits(rng, people, lives, purchases), _downgrade_pages(rng, lives)])
    tables = observed_tables(
        rng, people, lives, purchases=purchases, interactions=interactions, services=SERVICES
    )
    if trial is not None:
        tables["treatments"] = trial.table(people, purchases)
        tables |= acquisition_tables(rng.spawn(1)[0], people, level)
    return tables, _leave_probability(people, lives, horizon, ACTIONS if actions else ())


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


def _leave_probability(
    people: People, lives: Lives, horizon: int, actions: tuple[SimulatedAction, ...] = ()
) -> LeaveProbability:
    """P(no purchase within `horizon` days), backwards over the days; without and under actions.

    V₀ = 1, Vₖ(s) = Σₛ' T(s, s') · [h(s') + (1 − h(s')) · (1 − b) · Vₖ₋₁(s')], with T the transition
    of satisfaction, h the hazard of leaving and b the customer's own buying probability.
    """
    plain = np.broadcast_to(LEAVES, (people.purchase_probability.size, len(LEAVES)))
    silent = [
        _silence(people, horizon, plain, hazards)
        for hazards in (plain, *(hazards_under(people, action) for action in actions))
    ]

    def leave_probability(day: int) -> np.ndarray:
        left = lives.left_day < day
        level = lives.level[day - 1]
        probabilities = [np.where(left, 1.0, each[np.arange(left.size), level]) for each in silent]
        return np.stack([probabilities[0], left, *probabilities[1:]])

    return leave_probability


def _silence(people: People, horizon: int, plain: np.ndarray, changed: np.ndarray) -> np.ndarray:
    """(customers, levels): V of the horizon, with changed hazards in its first EFFECT_DAYS."""
    quiet_day = 1 - people.purchase_probability[:, None]
    silent = np.ones(plain.shape)
    for left in range(horizon):
        hazards = changed if horizon - left <= EFFECT_DAYS else plain
        silent = (hazards + (1 - hazards) * quiet_day * silent) @ transition_matrix().T
    return silent
