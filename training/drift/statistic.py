"""How far counts of customers lie from those of other dates, beyond chance and calm variation.

Compared are shares in bins. Customers age: what they do depends on how long they have been
customers, and their mix of tenures differs from date to date although nobody behaves otherwise. So
the other dates are first given today's mix of tenures (direct standardisation: Breslow & Day,
Statistical Methods in Cancer Research II, 1987, ch. 2). What remains is judged by Pearson's
chi-squared test of homogeneity; the usual population stability index is the same statistic to the
first order, and is chi-squared times (1/n + 1/m) under no drift (Yurdakul & Naranjo, Journal of
Risk Model Validation 14, 2020), so a fixed bound on it calls drift by the size of the sample.

Two things widen it, both measured between the training dates themselves: `calm`, how far one date
lies from the others as a multiple of chance (overdispersion: Rao & Scott, Annals of Statistics 12,
1984), and `trend`, the squared distance that time adds, so that today may lie as far beyond the
training dates as these say. docs/decisions/043-drift.md has the alternatives and their figures.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import stats

from features.core.instants import DAY_US

RATE = 0.01  # false alarms: one month in a hundred, for each kind
POWER = 0.8
# Dates that lie closer share most of their windows and tell nothing of how time moves.
LEAST_APART_US = 25 * DAY_US
LEAST_DATES = 4
TREND_ERRORS = 2.0  # standard errors that the trend is taken to be larger than it was measured
STEPS = 20  # of a bisection
LEAST_VARIANCE = 0.5  # of a direction of bins, in customers squared: below it nobody is there


@dataclass(frozen=True)
class Comparison:
    """Counts beside expected ones, by series; arrays (series,).

    `distance`: the share of customers that would have to change their bin (total variation).
    `floor`: the distance that chance alone makes. `statistic`: Pearson's; `freedom`: its degrees of
    freedom; `size`: the statistic that a squared distance of 1 (in units of chi-squared) would add.
    """

    distance: np.ndarray
    floor: np.ndarray
    statistic: np.ndarray
    freedom: np.ndarray
    size: np.ndarray

    @property
    def effect(self) -> np.ndarray:
        """The distance less what chance makes, at least 0, (series,)."""
        return np.maximum(self.distance - self.floor, 0.0)


def compare_counts(now: np.ndarray, usual: np.ndarray) -> Comparison:
    """Compare `now` with `usual`, both counts (strata, series, bins); usual may be fractional.

    A mean over dates counts as the sample of one date: they are mostly the same customers. A sum
    counts as all of them. A stratum that `usual` does not have is expected as all others.
    """
    n, m = now.sum(-1), usual.sum(-1)
    expected_shares = _shares(usual, fallback=usual.sum(0))
    pooled = _shares(now + usual, fallback=(now + usual).sum(0))
    weights = n + n**2 / np.maximum(m, 1.0)
    difference = (now - n[..., None] * expected_shares).sum(0)
    spread = np.einsum("sj,sjb->jb", weights, pooled)
    variance = spread[:, :, None] * np.eye(now.shape[-1])
    variance -= np.einsum("sj,sjb,sjc->jbc", weights, pooled, pooled)
    statistic, freedom = _quadratic_form(difference, variance)
    total = np.maximum(n.sum(0), 1.0)
    deviations = np.sqrt(np.maximum(np.diagonal(variance, axis1=1, axis2=2), 0.0))
    return Comparison(
        np.abs(difference).sum(-1) / total / 2,
        np.sqrt(2 / np.pi) * deviations.sum(-1) / total / 2,
        statistic,
        freedom,
        total**2 / np.maximum(weights.sum(0), 1.0),
    )


def _shares(counts: np.ndarray, *, fallback: np.ndarray) -> np.ndarray:
    total = counts.sum(-1, keepdims=True)
    instead = fallback / np.maximum(fallback.sum(-1, keepdims=True), 1e-300)
    return np.where(total > 0, counts / np.where(total > 0, total, 1.0), instead)


def _quadratic_form(difference: np.ndarray, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """d' V⁻ d over the directions that vary, and how many these are; (series,) each."""
    values, vectors = np.linalg.eigh(variance)
    varies = values > np.maximum(1e-6 * values[:, -1:], LEAST_VARIANCE)
    along = np.einsum("jbk,jb->jk", vectors, difference) ** 2
    statistic = np.where(varies, along / np.where(varies, values, 1.0), 0.0).sum(-1)
    return statistic, np.maximum(varies.sum(-1), 1)


def fit_calm(
    counts: np.ndarray, dates: np.ndarray, *, apart: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """(calm, trend), (series,) each, of counts (dates, strata, series, bins) at `dates` (µs).

    `apart`: the dates count different events, so that the others are as many samples as dates.

    Zeros where fewer than LEAST_DATES dates lie far enough apart to say it.
    """
    series = counts.shape[2]
    if count_apart(dates) < LEAST_DATES:
        return np.zeros(series), np.zeros(series)
    above, noise, below = np.zeros(series), np.zeros(series), 0.0
    for early, late in combinations(range(len(dates)), 2):
        if dates[late] - dates[early] < LEAST_APART_US:
            continue
        days = (dates[late] - dates[early]) / DAY_US
        pair = compare_counts(counts[late], counts[early])
        above += (pair.statistic - pair.freedom) / pair.size * days**2
        noise += 2 * pair.freedom * (days**2 / pair.size) ** 2
        below += days**4
    ratios = []
    for at in range(len(dates)):
        others = np.abs(dates - dates[at]) >= LEAST_APART_US
        usual = counts[others].sum(0) if apart else counts[others].mean(0)
        one = compare_counts(counts[at], usual)
        ratios.append(one.statistic / one.freedom)
    trend = np.maximum(above / below, 0.0) + TREND_ERRORS * noise**0.5 / below
    return np.mean(ratios, axis=0), trend


def count_apart(dates: np.ndarray) -> int:
    """How many of the dates (µs, rising) lie far enough apart to tell how time moves."""
    count, last = 0, None
    for at in dates:
        if last is None or at - last >= LEAST_APART_US:
            count, last = count + 1, at
    return count


def chances(
    compared: Comparison, calm: np.ndarray, trend: np.ndarray, *, days: float, dates: int
) -> np.ndarray:
    """The probability of so large a statistic in a calm month, (series,).

    `days`: from the middle of the `dates` training dates to now. The larger of two: that of a
    statistic which the trend alone would move, and that of one date beside dates that vary so.
    """
    moved_by_time = trend * days**2 * compared.size
    by_trend = stats.ncx2.sf(compared.statistic, compared.freedom, moved_by_time + 1e-9)
    ratio = compared.statistic / compared.freedom / np.maximum(calm, 1e-9)
    by_dates = stats.f.sf(ratio, compared.freedom, max(dates - 1, 1) * compared.freedom)
    return np.maximum(by_trend, by_dates)


def beyond_chance(chance: np.ndarray) -> np.ndarray:
    """Which series moved, bool (series,), at most RATE false alarms among all of them (Holm).

    >>> beyond_chance(np.array([0.2, 0.001, 0.004])).tolist()
    [False, True, True]
    """
    order = np.argsort(chance)
    limits = RATE / np.arange(len(chance), 0, -1)
    passes = np.logical_and.accumulate(chance[order] <= limits)
    result = np.zeros(len(chance), dtype=bool)
    result[order] = passes
    return result


def smallest_visible(
    compared: Comparison, trend: np.ndarray, *, days: float, tests: int
) -> np.ndarray:
    """The distance that is called in POWER of all months, (series,), among `tests` series.

    A change of distance v moves chi-squared by at least 4·v² (Cauchy–Schwarz), so any change of
    this size is seen so often, whichever bins it moves.
    """
    by_time = trend * days**2 * compared.size + 1e-9
    limit = stats.ncx2.isf(RATE / max(tests, 1), compared.freedom, by_time)
    needed = _noncentrality(limit, compared.freedom)
    return np.minimum(np.sqrt(needed / np.maximum(compared.size, 1e-9)) / 2, 1.0)


def _noncentrality(limit: np.ndarray, freedom: np.ndarray) -> np.ndarray:
    """The noncentrality with which chi-squared passes `limit` in POWER of all cases, (series,)."""
    low, high = np.zeros(len(limit)), np.ones(len(limit))
    while (short := stats.ncx2.sf(limit, freedom, high) < POWER).any():
        low, high = np.where(short, high, low), np.where(short, high * 2, high)
    for _ in range(STEPS):
        middle = (low + high) / 2
        enough = stats.ncx2.sf(limit, freedom, middle) >= POWER
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return high
