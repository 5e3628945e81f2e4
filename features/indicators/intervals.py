"""95 % intervals of rates, of the Net Promoter Score and of survival."""

from __future__ import annotations

import numpy as np

Z = 1.959963984540054  # the 97.5 % quantile of the normal distribution


def wilson(successes: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The interval of a rate (Wilson 1927): low and high, (rows,); NaN where n is 0.

    >>> [round(float(end), 4) for each in wilson(np.array([5]), np.array([10])) for end in each]
    [0.2366, 0.7634]
    """
    x, n = np.asarray(successes, float), np.asarray(n, float)
    with np.errstate(invalid="ignore", divide="ignore"):
        p = x / n
        centre = (p + Z * Z / (2 * n)) / (1 + Z * Z / n)
        half = Z / (1 + Z * Z / n) * np.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
        low, high = np.clip(centre - half, 0, 1), np.clip(centre + half, 0, 1)
    # At the ends the formula gives 0 and 1 but for rounding.
    return np.where(x == 0, np.where(n > 0, 0.0, np.nan), low), np.where(
        x == n, np.where(n > 0, 1.0, np.nan), high
    )


def net_promoter(
    promoters: np.ndarray, detractors: np.ndarray, n: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The score p − d, −1 … 1, and its interval: (rows,) each; NaN where n is 0.

    The variance is that of a trinomial, (p + d − (p − d)²) / n. For it alone one answer is added to
    each of the three classes, so that answers which are all alike have an interval too.
    """
    p_count, d_count, n = (np.asarray(each, float) for each in (promoters, detractors, n))
    with np.errstate(invalid="ignore", divide="ignore"):
        score = (p_count - d_count) / n
        p, d = (p_count + 1) / (n + 3), (d_count + 1) / (n + 3)
        half = Z * np.sqrt((p + d - (p - d) ** 2) / n)
    return score, np.clip(score - half, -1, 1), np.clip(score + half, -1, 1)


def difference_of_shares(x: int, n: int, y: int, m: int) -> tuple[float, float, float]:
    """x / n − y / m and its 95 % interval (Newcombe 1998, method 10)."""
    p, q = x / n, y / m
    [low_p], [high_p] = wilson(np.array([x]), np.array([n]))
    [low_q], [high_q] = wilson(np.array([y]), np.array([m]))
    difference = p - q
    return (
        difference,
        difference - float(np.hypot(p - low_p, high_q - q)),
        difference + float(np.hypot(high_p - p, q - low_q)),
    )
