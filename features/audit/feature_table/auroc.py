"""The AUROC of a column alone, with an interval that knows that a customer has several rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy

from features.audit.ranks import auroc

Z_95 = 1.959964


@dataclass(frozen=True)
class Auroc:
    """value, low, high (95 %), and each row's influence on the value, (rows,)."""

    value: float
    low: float
    high: float
    influence: np.ndarray


def auroc_alone(y: np.ndarray, column: np.ndarray, customers: np.ndarray) -> Auroc:
    """The best AUROC in either direction, with empty as the lowest or highest value.

    y: bool (rows,) with both values. customers: the number of each row's customer.
    """
    empty = np.isnan(column)
    ends = (-np.inf, np.inf) if empty.any() else (0.0,)
    scores = [np.where(empty, end, column) for end in ends]
    best = max(
        (sign * score for score in scores for sign in (1, -1)), key=lambda one: auroc(y, one)
    )
    value, influence = auroc(y, best), _influence(y, best)
    error = _clustered_error(influence, customers)
    low, high = max(0.0, value - Z_95 * error), min(1.0, value + Z_95 * error)
    return Auroc(value, low, high, influence)


def difference(one: Auroc, other: Auroc, customers: np.ndarray) -> tuple[float, float]:
    """(how much higher the AUROC of `one` is on the same rows, the low end of its interval)."""
    gain = one.value - other.value
    error = _clustered_error(one.influence - other.influence, customers)
    return gain, gain - Z_95 * error


def _influence(y: np.ndarray, score: np.ndarray) -> np.ndarray:
    """DeLong's placements, less their mean and by the number of rows of their kind."""
    ranks, hits = scipy.stats.rankdata(score), int(y.sum())
    others = len(y) - hits
    placements = np.empty(len(y))
    placements[y] = (ranks[y] - scipy.stats.rankdata(score[y])) / others
    placements[~y] = 1 - (ranks[~y] - scipy.stats.rankdata(score[~y])) / hits
    centred = placements - np.where(y, placements[y].mean(), placements[~y].mean())
    return np.asarray(centred / np.where(y, hits, others))


def _clustered_error(influence: np.ndarray, customers: np.ndarray) -> float:
    """The standard error of the sum of the influences, rows of one customer together."""
    _, group = np.unique(customers, return_inverse=True)
    return float(np.sqrt((np.bincount(group, weights=influence) ** 2).sum()))
