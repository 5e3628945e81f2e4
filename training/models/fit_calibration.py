"""Which calibration, and its numbers: chosen on earlier dates, fitted on left-out predictions at the newest date.

`margin` is always the log-odds of rows whose customer was left out of the fit. Platt and beta are drawn towards
changing nothing, isotonic towards Platt, so that few rows move a score little.

What leaving customers out does not hold out: the dates. A margin of an earlier date comes from a model that saw later
dates of other customers, so it already knows some of what the rate did next. What is compared forward in time is the
calibration alone. That is fair between the kinds, and says little of how a whole model ages: the later dates of an
evaluation do.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from serving.scoring.calibration import FAR, KINDS, Calibration
from serving.scoring.parts import log_odds, sigmoid

SLOPE_SPREAD, SHIFT_SPREAD = 0.25, 0.75
LEAST_SLOPE, MOST = 0.05, 5.0
ENOUGH, ENOUGH_OF_EACH = 1000, 100  # rows, and rows of each outcome, from which isotonic is tried
KNOTS, KNOT_ROWS, PULL = 20, 100, 10.0
NEWS = (
    0.5  # of the level one date shows, so much is taken to last (docs/decisions/006-calibration.md)
)
JUDGED = 6  # at most so many later dates are judged, the newest of them


def calibrate(
    margin: np.ndarray,
    churned: np.ndarray,
    as_of: np.ndarray,
    customers: np.ndarray,
    *,
    window: int,
) -> Calibration:
    """The chosen kind fitted at the newest as_of, its level taken halfway (`lasting`); its `why` tells the choice.

    All (rows,): left-out log-odds, outcomes (bool), instants (µs), a number a customer. `window` (µs) is horizon plus
    label latency. One class at the newest date, or no row: none.
    """
    if not len(margin):
        return Calibration(why="none: no customer could be left out")
    kind, why = choose(margin, churned, as_of, customers, window=window)
    newest = as_of == as_of.max()
    found = lasting(fit(margin[newest], churned[newest], kind=kind), margin[newest])
    if found.kind != kind:
        why = f"{found.kind}: too few rows or one outcome at the newest date for {kind} ({why})"
    return replace(found, why=why)


def choose(
    margin: np.ndarray,
    churned: np.ndarray,
    as_of: np.ndarray,
    customers: np.ndarray,
    *,
    window: int,
) -> tuple[str, str]:
    """(kind, why in words). Nothing of the newest as_of is looked at: it is kept for the fit.

    Every kind is fitted at a date and judged at a later one whose window begins when that date's has closed, as in
    use. The simplest kind whose log loss is within one standard error (customers move as one) of the least wins.
    Without such a pair of dates: platt.
    """
    order = np.lexsort(
        (churned, margin, customers, as_of)
    )  # sums must not depend on the order of the rows
    margin, churned, as_of, customers = (
        part[order] for part in (margin, churned, as_of, customers)
    )
    pairs = _pairs(as_of, churned, window)
    if not pairs:
        return (
            "platt",
            "platt: no two earlier dates lie a window apart, so the kinds could not be compared",
        )
    kinds = [
        kind
        for kind in KINDS
        if kind != "isotonic" or all(_many(churned[fit_on]) for fit_on, _ in pairs)
    ]
    losses = {
        kind: np.concatenate([_later(margin, churned, *pair, kind=kind) for pair in pairs])
        for kind in kinds
    }
    judged = np.concatenate([customers[b] for _, b in pairs])
    best = min(kinds, key=lambda kind: losses[kind].mean())
    kind = next(kind for kind in kinds if _no_worse(losses[kind] - losses[best], judged))
    told = ", ".join(f"{kind} {losses[kind].mean():.4f}" for kind in kinds)
    rule = "the least" if kind == best else f"the simplest within a standard error of {best}"
    dates = "1 later date" if len(pairs) == 1 else f"{len(pairs)} later dates"
    return kind, f"{kind}: {rule} by log loss at {dates} when fitted before ({told})"


def _pairs(
    as_of: np.ndarray, churned: np.ndarray, window: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """(rows to fit on, rows to judge at) of the dates before the newest: the newest date that was mature then."""
    earlier, found = np.unique(as_of)[:-1], []
    for at in earlier:
        mature = earlier[earlier + window <= at]
        if len(mature):
            fit_on = np.flatnonzero(as_of == mature[-1])
            if churned[fit_on].any() and not churned[fit_on].all():
                found.append((fit_on, np.flatnonzero(as_of == at)))
    return found[-JUDGED:]


def _no_worse(difference: np.ndarray, customers: np.ndarray) -> bool:
    """Whether the mean difference is within its standard error, all rows of one customer moving together."""
    _, of = np.unique(customers, return_inverse=True)
    off = np.bincount(of, weights=difference - difference.mean())
    return bool(difference.mean() <= np.sqrt((off**2).sum()) / len(difference))


def _later(
    margin: np.ndarray, churned: np.ndarray, fit_on: np.ndarray, judged: np.ndarray, *, kind: str
) -> np.ndarray:
    """Log loss of each judged row under the kind fitted on the other rows."""
    found = lasting(fit(margin[fit_on], churned[fit_on], kind=kind), margin[fit_on])
    return _losses(found, margin[judged], churned[judged])


def _losses(calibration: Calibration, margin: np.ndarray, churned: np.ndarray) -> np.ndarray:
    said = calibration.log_odds(margin)
    return np.logaddexp(0.0, said) - np.where(churned, said, 0.0)


def _many(churned: np.ndarray) -> bool:
    return (
        len(churned) >= ENOUGH and ENOUGH_OF_EACH <= churned.sum() <= len(churned) - ENOUGH_OF_EACH
    )


def fit(margin: np.ndarray, churned: np.ndarray, *, kind: str = "platt") -> Calibration:
    """One kind for left-out log-odds (rows,) and outcomes (bool rows,), whatever the order of the rows.

    One outcome alone, or no row: none. Isotonic with too few rows: platt.
    """
    if kind == "none" or not churned.any() or churned.all():
        return Calibration()
    order = np.lexsort((churned, margin))
    margin, churned = margin[order], churned[order]
    if kind == "isotonic" and _many(churned):
        return _isotonic(margin, churned)
    return _beta(margin, churned) if kind == "beta" else _platt(margin, churned)


def lasting(found: Calibration, margin: np.ndarray) -> Calibration:
    """The fit with its shape whole and its level halfway: of the log-odds that would give its rows their raw mean p again,
    it goes back half.

    How sure the scores are is the model's own doing and lasts; a date's rate is as much noise as news.
    """
    from scipy.optimize import brentq

    if found.kind == "none" or not len(margin):
        return found
    said = np.sort(found.log_odds(margin))
    raw = sigmoid(np.clip(np.sort(margin), -FAR, FAR)).mean()

    def over(move: float) -> float:
        return float(sigmoid(np.clip(said + move, -FAR, FAR)).mean() - raw)

    if over(-2 * FAR) >= 0 or over(2 * FAR) <= 0:  # everybody at an end: there is no level to move
        return found
    return replace(
        found, shift=found.shift + (1 - NEWS) * float(brentq(over, -2 * FAR, 2 * FAR, xtol=1e-9))
    )


def _platt(margin: np.ndarray, churned: np.ndarray) -> Calibration:
    prior = np.array([[1 / SLOPE_SPREAD, 0], [0, 1 / SHIFT_SPREAD]])
    slope, shift = _likeliest((margin, np.ones(len(margin))), churned, prior)
    return Calibration("platt", slope, slope, shift)


def _beta(margin: np.ndarray, churned: np.ndarray) -> Calibration:
    """Its mean slope and its shift as in Platt, and the two slopes drawn towards each other."""
    mean, apart, shift = [0.5, 0.5, 0], [1, -1, 0], [0, 0, 1]
    prior = np.array([mean, apart, shift]) / np.array(
        [[SLOPE_SPREAD], [SLOPE_SPREAD], [SHIFT_SPREAD]]
    )
    columns = (-np.logaddexp(0.0, -margin), np.logaddexp(0.0, margin), np.ones(len(margin)))
    return Calibration("beta", *_likeliest(columns, churned, prior))


def _likeliest(
    columns: tuple[np.ndarray, ...], churned: np.ndarray, prior: np.ndarray
) -> list[float]:
    """Maximum a posteriori weights of the columns, the last of which is the shift; all others stay positive.

    `prior` (laws, columns): rows that, times (weights − nothing changed), are standard normal.
    """
    from scipy.optimize import minimize

    nothing = np.append(np.ones(len(columns) - 1), 0.0)

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        said = sum(weight * column for weight, column in zip(weights, columns, strict=True))
        away = prior @ (weights - nothing)
        value = (np.logaddexp(0.0, said) - np.where(churned, said, 0.0)).sum() + 0.5 * (
            away**2
        ).sum()
        slack = sigmoid(np.clip(said, -FAR, FAR)) - churned
        return float(value), np.array(
            [(slack * column).sum() for column in columns]
        ) + prior.T @ away

    bounds = [(LEAST_SLOPE, MOST)] * (len(columns) - 1) + [(-MOST, MOST)]
    found = minimize(
        loss, nothing, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-12}
    )
    return [float(weight) for weight in found.x]


def _isotonic(margin: np.ndarray, churned: np.ndarray) -> Calibration:
    """Knots of at least KNOT_ROWS rows, each share drawn towards Platt's by PULL rows; Platt's slope beyond the ends."""
    from scipy.optimize import isotonic_regression
    from scipy.stats import rankdata

    platt = _platt(margin, churned)
    count = min(KNOTS, len(margin) // KNOT_ROWS)
    bins = ((rankdata(margin) - 0.5) * count / len(margin)).astype(
        int
    )  # equal margins always in one
    _, bins = np.unique(bins, return_inverse=True)
    rows = np.bincount(bins).astype(float)
    at = np.bincount(bins, weights=margin) / rows
    share = (np.bincount(bins, weights=churned) + PULL * platt.p(at)) / (rows + PULL)
    edge = 0.5 / (rows + PULL)
    found = isotonic_regression(np.clip(share, edge, 1 - edge), weights=rows)
    begin = found.blocks[:-1]
    knots = np.maximum.accumulate(np.add.reduceat(at * rows, begin) / np.add.reduceat(rows, begin))
    least = LEAST_SLOPE * knots
    heights = least + np.maximum.accumulate(log_odds(found.x[begin]) - least)
    apart = np.append(
        True, (np.diff(knots) > 0) & (np.diff(heights) > 0)
    )  # not where rounding made them one
    knots, heights = knots[apart], heights[apart]
    return Calibration(
        "isotonic", platt.low, platt.high, 0.0, tuple(knots.tolist()), tuple(heights.tolist())
    )
