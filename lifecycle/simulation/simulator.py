"""One simulated business: its customers, their satisfaction, the tables of its mode, the truth."""

from __future__ import annotations

import numpy as np

from lifecycle.simulation.actions import ACTIONS
from lifecycle.simulation.retail import simulate_retail
from lifecycle.simulation.subscription import simulate_subscription
from lifecycle.simulation.truth import truth_table
from lifecycle.simulation.world import MODES, START, Simulation, draw_levels, draw_people


def simulate(
    *,
    customers: int = 3000,
    days: int = 1096,
    seed: int = 7,
    mode: str = "retail",
    horizon_days: int = 60,
    actions: bool = False,
) -> Simulation:
    """Simulate the business over `days` days from 2022-01-01. Equal arguments give equal tables.

    actions: with a campaign of three actions (`lifecycle.simulation.actions`), the costs of
    channels and who referred whom (`lifecycle.simulation.acquisition`), in the retail mode.
    ValueError for a mode that is not in MODES, actions in another mode than retail, or a number
    that is not a positive whole number.
    """
    _check(mode, customers=customers, days=days, seed=seed, horizon_days=horizon_days)
    rng = np.random.default_rng([seed, MODES.index(mode)])
    people = draw_people(rng, customers, days)
    level = draw_levels(rng, people, days)
    if mode == "retail":
        business = simulate_retail(rng, people, level, horizon_days, actions=actions)
    elif actions:
        raise ValueError("actions are simulated in the retail mode alone")
    else:
        business = simulate_subscription(rng, people, level, horizon_days)
    tables, leave_probability = business
    names = tuple(action.name for action in ACTIONS) if actions else ()
    truth = truth_table(people, leave_probability, days, horizon_days, names)
    return Simulation(tables, truth, mode, START, days, horizon_days)


def _check(mode: str, **numbers: int) -> None:
    if mode not in MODES:
        raise ValueError(f"mode must be {' or '.join(MODES)}, got {mode!r}")
    for name, number in numbers.items():
        least = 0 if name == "seed" else 1
        if not isinstance(number, int) or isinstance(number, bool) or number < least:
            raise ValueError(f"{name} must be a whole number, at least {least}, got {number!r}")
