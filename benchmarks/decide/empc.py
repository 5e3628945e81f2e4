"""EMPC on 200 random lists of scores, beside a numerical integral over γ ~ Beta(6, 14)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from scipy.integrate import fixed_quad
from scipy.stats import beta

from serving.decisions.economics import expected_maximum_profit

LISTS, VALUE, INCENTIVE, CONTACT = 200, 200.0, 10.0, 1.0


def measure() -> dict[str, Any]:
    largest = 0.0
    for seed in range(LISTS):
        rng = np.random.default_rng(seed)
        left = rng.random(int(rng.integers(20, 400))) < rng.uniform(0.02, 0.7)
        left[:2] = (True, False)
        scores = np.round(rng.uniform(0, 1) * left + rng.random(len(left)), int(rng.integers(1, 6)))
        exact = expected_maximum_profit(scores, left)
        largest = max(largest, abs(exact - integral(scores, left)))
    return {
        "empc_largest_difference": {
            "value": float(f"{largest:.2g}"),
            "wanted": "≤ 1e-06",
            "holds": largest <= 1e-6,
        }
    }


def integral(scores: np.ndarray, left: np.ndarray) -> float:
    """Every threshold is tried for every γ; between two bends the integrand is smooth."""
    chosen = [scores >= each for each in (np.inf, *np.unique(scores))]
    gains = np.array([(each & left).mean() for each in chosen]) * (VALUE - INCENTIVE)
    costs = np.array([CONTACT * each.mean() + INCENTIVE * (each & ~left).mean() for each in chosen])
    with np.errstate(divide="ignore", invalid="ignore"):
        bends = ((costs[:, None] - costs) / (gains[:, None] - gains)).ravel()
    bends = np.unique(bends[np.isfinite(bends) & (bends > 0) & (bends < 1)])

    def density(gamma: np.ndarray) -> np.ndarray:
        return (gamma[:, None] * gains - costs).max(axis=1) * beta.pdf(gamma, 6, 14)

    ends = np.unique(np.concatenate([np.linspace(0, 1, 21), bends]))
    return float(sum(fixed_quad(density, a, b, n=10)[0] for a, b in pairwise(ends)))
