"""How well one column tells another by order alone: AUROC and rank correlation, ties counted half."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata


def auroc(y: np.ndarray, score: np.ndarray) -> float:
    """P(a row with y has the higher score), ties half; y bool (rows,) with both kinds in it, score without NaN."""
    hits = int(y.sum())
    return float((rankdata(score)[y].sum() - hits * (hits + 1) / 2) / (hits * (len(y) - hits)))


def tells(y: np.ndarray, values: np.ndarray) -> float:
    """The best AUROC of a column in either direction, with its nulls (NaN) last or first."""
    empty = np.isnan(values)
    sides = (np.where(empty, end, values) for end in ((-np.inf, np.inf) if empty.any() else (0.0,)))
    return max(max(found, 1 - found) for found in (auroc(y, side) for side in sides))


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's rank correlation over the rows where both have a value; 0 where either is constant."""
    both = ~(np.isnan(one) | np.isnan(other))
    if both.sum() < 3 or np.ptp(one[both]) == 0 or np.ptp(other[both]) == 0:
        return 0.0
    return float(np.corrcoef(rankdata(one[both]), rankdata(other[both]))[0, 1])
