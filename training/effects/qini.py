"""How well customers are ordered by what an action changes: the Qini curve, area, and deciles.

Source: Radcliffe, "Using control groups to target on predicted lift" (Direct Marketing Analytics
Journal 2007): at each share of customers, best first, the outcomes more than without the action, as
a share of everybody; the area is that above the line of a random order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Array = np.ndarray
DRAWS, POINTS = 400, 101


@dataclass(frozen=True)
class Qini:
    """share, gain (points,): the curve. area: above the random line, with its 95 % interval."""

    share: Array
    gain: Array
    area: float
    low: float
    high: float


def qini(effect: Array, is_treated: Array, outcome: Array, *, seed: int = 0) -> Qini:
    """The curve of an order, and its area; customers with equal effects count together, as one."""
    order = _best_first(effect)
    ours, kept = is_treated[order].astype(float), outcome[order]
    gain = _curve(ours, kept)
    rng = np.random.default_rng(seed)
    areas = []
    for _ in range(DRAWS):
        # How often each customer is drawn: the order stays, and nothing is sorted again.
        times = rng.poisson(1.0, len(order)).astype(float)
        areas.append(_area(_curve(ours, kept, times)))
    low, high = np.quantile(areas, [0.025, 0.975])
    return Qini(np.linspace(0, 1, POINTS), gain, _area(gain), float(low), float(high))


def qini_area(effect: Array, is_treated: Array, outcome: Array) -> float:
    """The area alone, without an interval."""
    order = _best_first(effect)
    return _area(_curve(is_treated[order].astype(float), outcome[order]))


def _best_first(effect: Array) -> Array:
    """By falling effect; equal ones in an order that depends on nothing they bring."""
    scrambled = np.random.default_rng(1).permutation(len(effect))
    return scrambled[np.argsort(-effect[scrambled], kind="stable")]


def _curve(ours: Array, kept: Array, times: Array | None = None) -> Array:
    """(POINTS,): what the best share brings more, as a share of everybody."""
    times = np.ones(len(ours)) if times is None else times
    size = times.sum()
    total = np.cumsum(times)
    treated, held_out = np.cumsum(times * ours), np.cumsum(times * (1 - ours))
    gained, alone = np.cumsum(times * ours * kept), np.cumsum(times * (1 - ours) * kept)
    with np.errstate(divide="ignore", invalid="ignore"):
        more = np.where(
            (treated > 0) & (held_out > 0), total * (gained / treated - alone / held_out), 0.0
        )
    return np.interp(
        np.linspace(0, 1, POINTS), np.append(0, total / size), np.append(0, more / size)
    )


def _area(gain: Array) -> float:
    line = np.linspace(0, gain[-1], POINTS)
    return float(np.trapezoid(gain - line, dx=1 / (POINTS - 1)))


@dataclass(frozen=True)
class Decile:
    """Customers by their expected effect: how many, what was expected, what it was, its error."""

    n: int
    expected: float
    measured: float
    error: float


def effect_deciles(effect: Array, guess: Array, count: int = 10) -> list[Decile]:
    """Groups of equal size by falling effect; guess: unbiased, of each customer's effect."""
    parts = np.array_split(_best_first(effect), min(count, max(len(effect), 1)))
    return [
        Decile(
            len(part),
            float(effect[part].mean()),
            float(guess[part].mean()),
            float(guess[part].std(ddof=1) / np.sqrt(len(part))) if len(part) > 1 else float("nan"),
        )
        for part in parts
        if len(part)
    ]
