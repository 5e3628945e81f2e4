"""Models of all customers besides BG/NBD: the shape of waits, money per active day, quantiles.

Waits: Weibull with one shape for all customers; waits are first divided by the customer's usual
gap. Open waits are censored, the likelihood profiled over the scale (Cohen 1965; Lawless 2003,
section 5.2). Money: Gamma-Gamma (Fader & Hardie 2013, "The Gamma-Gamma Model of Monetary Value";
"eq." is an equation of theirs):

    money of one active day ~ Gamma(shape p, rate nu);   nu ~ Gamma(shape q, rate v)

Everything is total: an empty past, one customer and customers all alike give finite, neutral or
bounded parameters. Arrays are sorted before they are summed, so the order of customers changes
nothing, exactly.
"""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

COHORTS, STEPS = 4, 20
NEUTRAL_SHAPE = 1.0  # exponential: how long a wait has lasted says nothing about its rest
NEUTRAL_MONEY = (1.0, 2.0, 0.0)  # nobody has spent anything
# Beyond these bounds the density is nearly a point; within them every power stays finite.
_SHAPES = (1 / 16, 16.0)
# p, q, v / mean. q stays above 1: the mean over customers is p v / (q - 1).
_MONEY = ((1e-2, 1e3), (1.1, 1e3), (1e-4, 1e5))
_STARTS = ((1.0, 3.0, 2.0), (10.0, 10.0, 0.9))


def weibull_shape(waits: Floats, closed: NDArray[np.bool_]) -> float:
    """Maximum likelihood shape k of Weibull waits, the scale left free.

    waits: (n,), > 0, each in its customer's usual gaps. closed: (n,), False where the wait still
    goes on. Solves sum(w^k log w) / sum(w^k) - 1/k = mean of log w over closed waits, whose left
    side rises in k. Returns a number in [1/16, 16]; 1 without a closed wait. No errors.
    """
    if not closed.any():
        return NEUTRAL_SHAPE
    log, mean_closed = np.log(np.sort(waits)), float(np.log(np.sort(waits[closed])).mean())
    top = log[-1]

    def excess(shape: float) -> float:
        weight = np.exp(shape * (log - top))
        return float((weight * log).sum() / weight.sum()) - 1 / shape - mean_closed

    low, high = _SHAPES
    if excess(high) <= 0:
        return high
    return low if excess(low) >= 0 else float(scipy.optimize.brentq(excess, low, high, xtol=1e-12))


def gamma_gamma(totals: Floats, days: Floats) -> tuple[float, float, float]:
    """Maximum likelihood (p, q, v) of the Gamma-Gamma model (eq. 1a).

    L-BFGS-B over logs, the better of two starts.

    totals: (n,), money of each customer, any unit; who spent nothing is left out. days: (n,),
    active days, >= 1. Returns p, q > 1 and v in the unit of `totals`; (1, 2, 0) where nobody spent
    anything. No errors.
    """
    spent = totals > 0
    if not spent.any():
        return NEUTRAL_MONEY
    order = np.lexsort((days[spent], totals[spent]))
    total, count = totals[spent][order], days[spent][order]
    unit = float((total / count).mean())
    levels, of = np.unique(count, return_inverse=True)
    data = (total / unit, count, levels, of, np.bincount(of).astype(float))
    bounds = [(np.log(low), np.log(high)) for low, high in _MONEY]
    how = {"jac": True, "bounds": bounds, "options": {"ftol": 1e-12, "gtol": 1e-8}}
    fits = [
        scipy.optimize.minimize(_money_loss, np.log(start), data, method="L-BFGS-B", **how)
        for start in _STARTS
    ]
    p, q, v = np.exp(min(fits, key=lambda fit: fit.fun).x).tolist()
    return p, q, v * unit


def _money_loss(
    theta: Floats, total: Floats, count: Floats, levels: Floats, of: Integers, weight: Floats
) -> tuple[float, Floats]:
    """Mean negative log likelihood without its constant, and its gradient over log (p, q, v)."""
    p, q, v = np.exp(theta)
    shape, far = p * levels, np.log(v + total)
    near = np.log(total) - far  # log z + log x - log(v + x z)
    rising = (
        scipy.special.gammaln(shape + q) - scipy.special.gammaln(shape) - scipy.special.gammaln(q)
    )
    value = (weight * rising).sum() + (q * (np.log(v) - far) + p * count * near).sum()
    both = scipy.special.psi(shape + q)
    by_p = (weight * levels * (both - scipy.special.psi(shape))).sum() + (count * near).sum()
    by_q = (weight * (both - scipy.special.psi(q))).sum() + (np.log(v) - far).sum()
    by_v = (q / v - (p * count + q) / (v + total)).sum()
    return -float(value) / len(total), -np.array([p * by_p, q * by_q, v * by_v]) / len(total)


def quantiles(totals: Floats) -> tuple[float, ...]:
    """The 19 inner quantiles of money in steps of 5 %; zeros for nobody."""
    cuts = np.quantile(totals, np.arange(1, STEPS) / STEPS) if totals.size else np.zeros(STEPS - 1)
    return tuple(float(cut) for cut in cuts)


def cohort_cuts(acquired: Integers) -> tuple[int, ...]:
    """The last instants of the first three quarters of customers by acquisition.

    acquired: (n,), µs. Zeros for nobody. Who was acquired at a cut belongs to the earlier cohort.
    """
    if not acquired.size:
        return (0,) * (COHORTS - 1)
    ordered = np.sort(acquired)
    return tuple(int(ordered[-(-k * ordered.size // COHORTS) - 1]) for k in range(1, COHORTS))


def cohort_quantiles(
    acquired: Integers, totals: Floats, cuts: tuple[int, ...]
) -> tuple[float, ...]:
    """The 19 quantiles of money of each of the four cohorts, one cohort after the other.

    acquired: (n,), µs; totals: (n,), money. A cohort in which nobody bought gets the quantiles of
    everybody.
    """
    cohort = np.searchsorted(np.array(cuts, dtype=np.int64), acquired, side="left")
    groups = [totals[cohort == k] for k in range(COHORTS)]
    return tuple(cut for group in groups for cut in quantiles(group if group.size else totals))
