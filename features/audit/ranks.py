"""How well one column predicts another by its order: AUROC and rank correlation."""

from __future__ import annotations

import numpy as np
import scipy

MIN_PAIRS = 20


def auroc(y: np.ndarray, score: np.ndarray) -> float:
    """P(a row with y has the higher score than one without), ties counted half.

    y: bool (rows,) with both values. score: (rows,) without NaN.
    """
    hits = int(y.sum())
    return float(
        (scipy.stats.rankdata(score)[y].sum() - hits * (hits + 1) / 2) / (hits * (len(y) - hits))
    )


def best_auroc(y: np.ndarray, values: np.ndarray) -> float:
    """The best AUROC of a column in either direction, with NaN as the lowest or highest value."""
    empty = np.isnan(values)
    ends = (-np.inf, np.inf) if empty.any() else (0.0,)
    scores = [auroc(y, np.where(empty, end, values)) for end in ends]
    return max(max(score, 1 - score) for score in scores)


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's ρ over the rows where both have a value.

    0 where either is constant, and for fewer than MIN_PAIRS rows: three pairs are in order by
    chance once in six.
    """
    both = ~(np.isnan(one) | np.isnan(other))
    if both.sum() < MIN_PAIRS or np.ptp(one[both]) == 0 or np.ptp(other[both]) == 0:
        return 0.0
    return float(
        np.corrcoef(scipy.stats.rankdata(one[both]), scipy.stats.rankdata(other[both]))[0, 1]
    )
