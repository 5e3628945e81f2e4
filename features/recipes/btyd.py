"""BG/NBD: who has probably bought for the last time, and how often the others will come back.

Source: Fader, Hardie & Lee (2005), "Counting Your Customers" the Easy Way, Marketing Science 24(2),
275-284; "eq." is an equation of theirs.

The story, one customer at a time:

    while alive, activity is Poisson with rate lambda;        lambda ~ Gamma(shape r, rate alpha)
    after each *repeat* activity the customer leaves with p;  p ~ Beta(a, b)

Of a customer the model sees three numbers: x repeats, the last of them at t_x, watched until T
(both counted from the first activity). Time may be in any unit; `alpha` and `horizon` are in the
same one. Who never came back (x = 0) had no occasion to leave: P(alive) is 1 for all of them, so
rank churn by `p_no_activity`, not by 1 - `p_alive`.

A customer scores the same alone as among others, to the last bit. NumPy may choose another code
path for exp and log by array length; `scipy.special` takes one value at a time, hence its use.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

Column = ArrayLike  # shape (n,), one number per customer
Floats = NDArray[np.float64]

# Bounds on log (r, alpha / mean age, a, b). At 1,000 the Gamma or Beta is a spike, 3 % wide: as
# good as none.
_LOW, _HIGH = math.log(1e-4), math.log(1e3)
# Curvature of the mean log likelihood: what is added to decide where data do not, and what counts
# as none.
_RIDGE, _FLAT = 1e-7, 1e-6
# In the same terms. One start is CDNOW-like, one has people who hardly ever leave.
_STARTS = ((1.0, 1.0, 1.0, 1.0), (0.25, 0.15, 0.8, 2.5), (3.0, 1.0, 0.1, 3.0))


@dataclass(frozen=True)
class BgNbd:
    """A fitted BG/NBD model.

    r, alpha: shape and rate of the Gamma over activity rates; `alpha` in the data's unit of time.
    a, b: the Beta over the probability of leaving after a repeat activity; its mean is a / (a + b).
    log_likelihood: of the data, without penalty; it depends on the unit of time.
    converged: an inner maximum that the data determine in every direction. Otherwise (nobody came
        back, nobody leaves, one customer, all alike) all parameters are finite and the scores are
        usable, but the bounds decided in part.
    customers: number of customers fitted.

    Raises ValueError unless r, alpha, a and b are positive and finite.
    """

    r: float
    alpha: float
    a: float
    b: float
    log_likelihood: float
    converged: bool
    customers: int

    def __post_init__(self) -> None:
        values = {name: getattr(self, name) for name in ("r", "alpha", "a", "b")}
        if wrong := {name: v for name, v in values.items() if not (math.isfinite(v) and v > 0)}:
            raise ValueError(f"BgNbd: got {wrong}; r, alpha, a and b must be positive and finite")


class _Rows(NamedTuple):
    """Distinct (x, t_x, T), sorted, with the number of customers of each; the same for x alone."""

    repeats: Floats
    last: Floats
    age: Floats
    weight: Floats
    level: Floats
    level_weight: Floats


def fit(*, repeats: Column, last: Column, age: Column) -> BgNbd:
    """Maximum likelihood estimate of BG/NBD (eq. 6).

    L-BFGS-B over log parameters, then Newton steps.

    repeats: (n,), number of activities after the first; whole, >= 0.
    last: (n,), time from the first to the last activity; any unit, 0 when there are no repeats.
    age: (n,), time from the first activity to the end of observation; same unit, >= last.

    The order of rows changes nothing, exactly; the unit nothing, to 1e-6. Degenerate data:
    `converged` False.

    Raises ValueError on nulls, infinities, negatives, broken counts, last > age, unequal lengths,
    no rows.
    """
    x, t_x, observed = _check_columns("btyd.fit", repeats, last, age)
    if not len(x):
        raise ValueError("btyd.fit: got 0 customers; at least one is needed")
    rows, scale = _group(x, t_x, observed)
    theta = _maximise(rows)
    log_likelihood, _ = _log_likelihood(theta, rows)
    r, alpha, a, b = np.exp(theta).tolist()
    # Each repeat is a density per unit of time, so going back to the caller's unit counts once per
    # repeat.
    log_likelihood -= float(rows.level @ rows.level_weight) * math.log(scale)
    return BgNbd(r, alpha * scale, a, b, log_likelihood, _is_determined(theta, rows), len(x))


def p_alive(model: BgNbd, *, repeats: Column, last: Column, age: Column) -> Floats:
    """Probability that the customer has not left by the end of observation, given (x, t_x, T).

        P(alive) = 1 / (1 + [x > 0] a / (b + x - 1) ((alpha + T) / (alpha + t_x))^(r + x))

    The denominator of eq. 10; exactly 1 where x = 0. Columns, units, nulls and errors as in `fit`,
    except that no rows give an empty array. Returns (n,), in [0, 1].
    """
    return _alive(model, *_check_columns("btyd.p_alive", repeats, last, age))


def p_no_activity(
    model: BgNbd, *, repeats: Column, last: Column, age: Column, horizon: float
) -> Floats:
    """Probability of no activity in the next `horizon` after T, given (x, t_x, T).

        P(none) = 1 - P(alive) (1 - ((alpha + T) / (alpha + T + horizon))^(r + x))

    Exact: given alive, lambda is Gamma(r + x, alpha + T), and nobody leaves before the next
    activity. horizon: one number >= 0, in the unit of `age`. Rest as in `p_alive`. Returns (n,), in
    [1 - P(alive), 1].
    """
    x, t_x, observed = _check_columns("btyd.p_no_activity", repeats, last, age)
    reach = _check_horizon("btyd.p_no_activity", horizon) / (model.alpha + observed)
    return 1.0 + _alive(model, x, t_x, observed) * scipy.special.expm1(
        -(model.r + x) * scipy.special.log1p(reach)
    )


def expected_activity(
    model: BgNbd, *, repeats: Column, last: Column, age: Column, horizon: float
) -> Floats:
    """Expected number of activities in the next `horizon` after T, given (x, t_x, T): eq. 10.

    horizon: one number >= 0, in the unit of `age`. The rest as in `p_alive`. Returns (n,), counts
    >= 0.
    """
    x, t_x, observed = _check_columns("btyd.expected_activity", repeats, last, age)
    reach = _check_horizon("btyd.expected_activity", horizon) / (model.alpha + observed)
    near = 1e-4
    if abs(model.a - 1.0) >= near:
        expected = _expected_if_alive(model.r, model.a, model.b, x, reach)
    else:  # eq. 10 is 0 / 0 at a = 1 though smooth there, so cross on a chord: error near ** 2
        below, above = (
            _expected_if_alive(model.r, a, model.b, x, reach) for a in (1.0 - near, 1.0 + near)
        )
        expected = below + (above - below) * ((model.a - 1.0 + near) / (2 * near))
    return _alive(model, x, t_x, observed) * expected


def _alive(model: BgNbd, x: Floats, t_x: Floats, age: Floats) -> Floats:
    """P(alive) from its log odds: the power alone overflows for busy customers long gone."""
    silence = scipy.special.log1p((age - t_x) / (model.alpha + t_x))
    odds_at_last = (np.maximum(x - 1.0, 0.0) + model.b) / model.a
    log_odds = scipy.special.xlogy(1.0, odds_at_last) - (model.r + x) * silence
    return np.where(x > 0, scipy.special.expit(log_odds), 1.0)


def _expected_if_alive(r: float, a: float, b: float, x: Floats, reach: Floats) -> Floats:
    """Numerator of eq. 10, with reach = horizon / (alpha + T) and z = reach / (1 + reach).

    Its (1-z)^(r+x) 2F1(r+x, b+x; g; z) is nought times infinity for busy customers; Euler's
    transformation makes it (1-z)^(a-1) 2F1(a-1, g-r-x; g; z). Given p the count is (1 - (1 + p
    reach)^-(r+x)) / p, convex in p, so Jensen's inequality bounds the mean: below at the mean of p
    and, if a > 1, above at the mean of Beta(a-1, b+x). The upper one stands in (within 1e-3) where
    a large `a` defeats `hyp2f1`.
    """
    shape = r + x
    g = _avoid(0.0, a + b + x - 1.0)  # a + b = 1 and x = 0: another smooth 0 / 0
    order = _avoid(
        np.rint(1.0 - a + shape), 1.0 - a + shape
    )  # SciPy 1.17 fails at whole ones if z > 0.9
    power = scipy.special.exp2((1.0 - a) / math.log(2.0) * scipy.special.log1p(reach))
    with np.errstate(all="ignore"):
        series = scipy.special.hyp2f1(a - 1.0, g + 1.0 - a - order, g, reach / (1.0 + reach))
        exact = g / (a - 1.0) * (1.0 - power * series)
    least = _count_given(a / (a + b + x), shape, reach)
    most = _count_given((a - 1.0) / g, shape, reach) if a > 1.0 else shape * reach
    exact = np.where(np.isfinite(exact), exact, most if a > 1.0 else least)
    return np.clip(exact, np.minimum(least, most), most)


def _avoid(pole: Floats | float, values: Floats) -> Floats:
    """The values, those at the pole moved by 1e-8: there the formula is 0 / 0, but it is smooth."""
    return np.where(np.abs(values - pole) < 1e-8, pole + 1e-8, values)


def _count_given(p: Floats, shape: Floats, reach: Floats) -> Floats:
    """Expected count of a customer alive who leaves with probability p; lambda ~ Gamma(shape)."""
    return -scipy.special.expm1(-shape * scipy.special.log1p(p * reach)) / p


def _group(x: Floats, t_x: Floats, age: Floats) -> tuple[_Rows, float]:
    """The customers sorted and grouped, in mean ages; and that mean age (1 when it is 0)."""
    # A sum of floats depends on their order: sorting first makes the fit blind to it.
    table = np.stack([x, t_x, age])[:, np.lexsort((age, t_x, x))]
    first = np.flatnonzero(np.r_[True, (table[:, 1:] != table[:, :-1]).any(axis=0)])
    weight = np.diff(np.r_[first, len(x)]).astype(float)
    mean = float(table[2].mean())
    scale = mean if mean > 1e-200 else 1.0  # not watched at all: alpha must not underflow
    level, level_weight = np.unique(x, return_counts=True)
    x, t_x, age = table[:, first]
    return _Rows(x, t_x / scale, age / scale, weight, level, level_weight.astype(float)), scale


def _log_likelihood(theta: Floats, rows: _Rows) -> tuple[float, Floats]:
    """Log likelihood (eq. 6) in scaled time, and its gradient over theta = log (r, alpha, a, b)."""
    # What needs x only is summed here, over the few distinct x: most of the time would go to
    # gammaln and psi.
    r, alpha, a, b = np.exp(theta)
    k, n = rows.level, rows.level_weight
    rising = scipy.special.gammaln(r + k) - scipy.special.gammaln(r)
    value = n @ (rising + scipy.special.betaln(a, b + k) - scipy.special.betaln(a, b))
    by_r = n @ (scipy.special.psi(r + k) - scipy.special.psi(r))
    by_a = n @ (scipy.special.psi(a + b) - scipy.special.psi(a + b + k))
    by_b = n @ (scipy.special.psi(b + k) - scipy.special.psi(b)) + by_a
    timed, gradient = _log_likelihood_of_times(r, alpha, a, b, rows)
    return float(value + timed), np.exp(theta) * (gradient + np.array([by_r, 0.0, by_a, by_b]))


def _log_likelihood_of_times(
    r: float, alpha: float, a: float, b: float, rows: _Rows
) -> tuple[float, Floats]:
    """log (alive + gone), the two terms of eq. 6, and its gradient over (r, alpha, a, b)."""
    x, t_x, age, weight, *_ = rows
    later = np.maximum(x - 1.0, 0.0) + b
    # alpha^r / (alpha + t)^(r + x) by log1p, because for large r and alpha the plain logs cancel
    long, short = np.log1p(age / alpha), np.log1p(t_x / alpha)
    alive = -r * long - x * np.log(alpha + age)
    gone = np.where(x > 0, np.log(a / later) - r * short - x * np.log(alpha + t_x), -np.inf)
    either = np.logaddexp(alive, gone)
    p, q = weight * np.exp(alive - either), weight * np.exp(gone - either)
    by_alpha = p * (r * age / alpha - x) / (alpha + age) + q * (r * t_x / alpha - x) / (alpha + t_x)
    gradient = [-(p * long + q * short).sum(), by_alpha.sum(), q.sum() / a, -(q / later).sum()]
    return (weight * either).sum(), np.array(gradient)


def _loss(theta: Floats, rows: _Rows) -> tuple[float, Floats]:
    """Mean negative log likelihood plus the ridge, and its gradient."""
    value, gradient = _log_likelihood(theta, rows)
    customers = rows.weight.sum()
    return -value / customers + _RIDGE / 2 * float(
        theta @ theta
    ), -gradient / customers + _RIDGE * theta


def _maximise(rows: _Rows) -> Floats:
    """The best of a few starts, as there may be more than one top, refined."""
    how = {"jac": True, "bounds": [(_LOW, _HIGH)] * 4, "options": {"ftol": 1e-13, "gtol": 1e-8}}
    fits = [
        scipy.optimize.minimize(_loss, np.log(s), (rows,), method="L-BFGS-B", **how)
        for s in _STARTS
    ]
    return _refine(min(fits, key=lambda fit: fit.fun).x, rows)


def _refine(theta: Floats, rows: _Rows) -> Floats:
    """Newton steps in the parameters off their bounds, for as long as they flatten the gradient.

    L-BFGS-B leaves parameters right to 1e-4 or so: not enough for days and weeks to give one model.
    """
    for _ in range(20):
        free = _free(theta)
        value, slope = _loss(theta, rows)
        step = np.linalg.lstsq(_curvature(theta, rows)[np.ix_(free, free)], -slope[free])[0]
        trial = theta.copy()
        trial[free] = np.clip(theta[free] + step, _LOW, _HIGH)
        trial_value, trial_slope = _loss(trial, rows)
        flatter = np.abs(trial_slope[free]).max(initial=0.0) < np.abs(slope[free]).max(initial=0.0)
        if not flatter or trial_value > value + 1e-9:  # a flat place uphill is a saddle
            break
        theta = trial
    return theta


def _is_determined(theta: Floats, rows: _Rows) -> bool:
    """Whether theta is an inner maximum that the data (not the ridge) determine."""
    flat = np.abs(_loss(theta, rows)[1]).max() < 1e-7
    return bool(
        flat and _free(theta).all() and np.linalg.eigvalsh(_curvature(theta, rows))[0] > _FLAT
    )


def _free(theta: Floats) -> NDArray[np.bool_]:
    return (theta > _LOW + 1e-6) & (theta < _HIGH - 1e-6)


def _curvature(theta: Floats, rows: _Rows) -> Floats:
    """Hessian of `_loss`, by central differences of its exact gradient."""
    columns = np.array(
        [_loss(theta + d, rows)[1] - _loss(theta - d, rows)[1] for d in 1e-5 * np.eye(4)]
    )
    return (columns + columns.T) / 4e-5


def _check_columns(
    where: str, repeats: Column, last: Column, age: Column
) -> tuple[Floats, Floats, Floats]:
    """The three columns as floats, or a ValueError that says what is wrong with which."""
    arguments = {"repeats": repeats, "last": last, "age": age}
    columns = {name: np.asarray(values, dtype=float) for name, values in arguments.items()}
    shapes = {name: values.shape for name, values in columns.items()}
    if len(set(shapes.values())) > 1 or columns["age"].ndim != 1:
        raise ValueError(
            f"{where}: got shapes {shapes}; the three must be one-dimensional, of one length"
        )
    x, t_x, observed = columns.values()
    for name, values in columns.items():
        _refuse(
            where, f"{name}: got null or infinite", values, ~np.isfinite(values), "must be finite"
        )
        _refuse(where, f"{name}: got negative", values, values < 0, "must be >= 0")
    _refuse(where, "repeats: got broken counts", x, x != np.floor(x), "must be whole numbers")
    _refuse(where, "last: later than age by", t_x - observed, t_x > observed, "must be <= age")
    _refuse(
        where,
        "last: got time without repeats",
        t_x,
        (x == 0) & (t_x > 0),
        "must be 0 where those are",
    )
    return x, t_x, observed


def _refuse(where: str, got: str, values: Floats, wrong: NDArray[np.bool_], rule: str) -> None:
    if wrong.any():
        examples = ", ".join(f"{v:g}" for v in values[wrong][:3])
        raise ValueError(
            f"{where}: {got} {examples} in {wrong.sum()} of {len(values)} customers; {rule}"
        )


def _check_horizon(where: str, horizon: float) -> float:
    if not (math.isfinite(horizon) and horizon >= 0):
        raise ValueError(
            f"{where}: got horizon {horizon!r}; must be finite and >= 0, in the unit of age"
        )
    return float(horizon)
