"""How nearly a column equals another: in value, in another unit or rounding, or in rank alone."""

from __future__ import annotations

import numpy as np
import scipy

FEWEST = 20
RELATIVE = 1e-6
# A column rounded to these steps equals an unrounded one within a step.
STEPS = (1.0, 0.1, 0.01, 0.001)


def unit_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks of (rows,) less their mean, NaN as 0, of length 1: dot products are correlations.

    All 0 where fewer than FEWEST rows have a value, or all have the same.
    """
    known = ~np.isnan(values)
    out = np.zeros(len(values))
    if known.sum() < FEWEST or np.ptp(values[known]) == 0:
        return out
    ranks = scipy.stats.rankdata(values[known])
    out[known] = ranks - ranks.mean()
    return np.asarray(out / np.linalg.norm(out))


def equal_rows(theirs: np.ndarray, ours: np.ndarray) -> np.ndarray:
    """1 where a row of theirs equals ours, 0 where not, NaN where both are empty, (rows,).

    Of four readings the one with most equal rows: equal values; equal but for a factor and a step
    (hours for days); the same, rounded; the same order of rows (a logarithm). Where ours is empty
    and theirs always has one and the same value there, that value stands for empty.
    """
    theirs = np.where(_is_fill(theirs, ours), np.nan, theirs)
    empty = np.isnan(theirs) & np.isnan(ours)
    known = ~(np.isnan(theirs) | np.isnan(ours))
    equal = np.zeros(len(theirs))
    if known.sum() >= FEWEST:
        one, other = theirs[known], ours[known]
        readings = [_within(one, other, _step_of(one, other))]
        readings += [_within(one, _scaled(other, one), _step_of(one, _scaled(other, one)))]
        readings.append(scipy.stats.rankdata(one) == scipy.stats.rankdata(other))
        equal[known] = max(readings, key=lambda mask: int(mask.sum()))
    return np.where(empty, np.nan, equal)


def share_of(equal: np.ndarray) -> float:
    """The share of equal rows among those where either has a value; 0 without any."""
    return 0.0 if np.isnan(equal).all() else float(np.nanmean(equal))


def _is_fill(theirs: np.ndarray, ours: np.ndarray) -> np.ndarray:
    """Rows where ours is empty and theirs has the value that stands for empty, bool (rows,)."""
    where = np.isnan(ours) & ~np.isnan(theirs)
    if not where.any() or np.ptp(theirs[where]) != 0:
        return np.zeros(len(theirs), dtype=bool)
    return np.asarray(where)


def _within(one: np.ndarray, other: np.ndarray, step: float) -> np.ndarray:
    tolerance = np.maximum(step, RELATIVE * np.maximum(1.0, np.abs(other)))
    return np.asarray(np.abs(one - other) < tolerance)


def _step_of(one: np.ndarray, other: np.ndarray) -> float:
    """The step that `one` was rounded to, if `other` was not rounded to it as well; else 0."""
    for step in STEPS:
        if _on_grid(one, step):
            return 0.0 if _on_grid(other, step) else step
    return 0.0


def _on_grid(values: np.ndarray, step: float) -> bool:
    return bool((np.abs(values / step - np.round(values / step)) < 1e-6).all())


def _scaled(values: np.ndarray, to: np.ndarray) -> np.ndarray:
    """`values` with the mean and spread of `to`, and turned where they run against each other."""
    spread = float(values.std())
    if spread == 0:
        return values
    rise = float(np.mean((values - values.mean()) * (to - to.mean())))
    factor = float(to.std()) / spread * (1 if rise >= 0 else -1)
    return np.asarray(to.mean() + factor * (values - values.mean()))
