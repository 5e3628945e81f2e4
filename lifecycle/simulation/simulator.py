"""One simulated business: its customers, their satisfaction, the tables of its mode, the truth."""

from __future__ import annotations

import numpy as np

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
) -> Simulation:
    """Simulate the business over `days` days from 2022-01-01. Equal arguments give equal tables.

    ValueError for a mode that is not in MODES or a number that is not a positive whole number.
    """
    _check(mode, customers=customers, days=days, seed=seed, horizon_days=horizon_days)
    rng = np.random.default_rng([seed, MODES.index(mode)])
    people = draw_people(rng, customers, days)
    level = draw_levels(rng, people, days)
    simulate_mode = simulate_retail if mode == "retail" else simulate_subscription
    tables, leave_probability = simulate_mode(rng, people, level, horizon_days)
    truth = truth_table(people, leave_probability, days, horizon_days)
    return Simulation(tables, truth, mode, START, days, horizon_days)


def _check(mode: str, **numbers: int) -> None:
    if mode not in MODES:
        raise ValueError(f"mode must be {' or '.join(MODES)}, got {mode!r}")
    for name, number in numbers.items():
        least = 0 if name == "seed" else 1
        if not isinstance(number, int) or isinstance(number, bool) or number < least:
            raise ValueError(f"{name} must be a whole number, at least {least}, got {number!r}")
