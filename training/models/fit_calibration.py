"""The calibration: its kind is chosen on earlier dates, its numbers are fitted at the newest date.

`margin` is always out of fold: log-odds from fits without the row's customer. Platt and beta are
shrunk towards changing nothing, isotonic towards Platt, so that few rows move a score little.

Leaving customers out does not leave dates out. A margin of an earlier date comes from a model that
saw later dates of other customers, so it knows part of how the rate moved next. Only the kinds of
calibration are compared forward in time. That is fair between the kinds, but says little about how
a whole model ages; the later dates of an evaluation show that.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from serving.scoring.calibration import KINDS, LOG_ODDS_LIMIT, Calibration
from serving.scoring.parts import log_odds, sigmoid

SLOPE_SPREAD, SHIFT_SPREAD = 0.25, 0.75
MIN_SLOPE, MAX_WEIGHT = 0.05, 5.0
# Isotonic is tried from so many rows on, and from so many rows of each outcome.
ISOTONIC_ROWS, ISOTONIC_OF_EACH = 1000, 100
KNOTS, KNOT_ROWS, PRIOR_ROWS = 20, 100, 10.0
# This share of the level seen at one date is used (docs/decisions/006-calibration.md).
LEVEL_SHARE = 0.5
MAX_JUDGED_DATES = 6  # at most so many later dates are judged, the newest of them


def fit_calibration(
    margin: np.ndarray,
    churned: np.ndarray,
    as_of: np.ndarray,
    customers: np.ndarray,
    *,
    window: int,
) -> Calibration:
    """The chosen kind fitted at the newest as_of, with half of its level (`halve_level`).

    All arrays are (rows,): out-of-fold log-odds, outcomes (bool), instants (µs), a number per
    customer. `window` (µs) is horizon plus label latency. The kind is none for a single outcome at
    the newest date, or for no rows. The calibration's `note` says how the kind was chosen.
    """
    if not len(margin):
        return Calibration(note="none: no customer could be left out")
    kind, note = choose_kind(margin, churned, as_of, customers, window=window)
    newest = as_of == as_of.max()
    fitted = halve_level(fit_kind(margin[newest], churned[newest], kind=kind), margin[newest])
    if fitted.kind != kind:
        few = f"too few rows or one outcome at the newest date for {kind}"
        note = f"{fitted.kind}: {few} ({note})"
    return replace(fitted, note=note)


def choose_kind(
    margin: np.ndarray,
    churned: np.ndarray,
    as_of: np.ndarray,
    customers: np.ndarray,
    *,
    window: int,
) -> tuple[str, str]:
    """(kind, why in words). The newest as_of is not used: it is reserved for the fit.

    As in use, every kind is fitted at a date and judged at a later one whose window begins after
    that date's window closed. The simplest kind whose log loss is within one standard error of the
    least wins (clustered by customer). Without such a pair of dates: platt.
    """
    # Sums must not depend on the order of the rows.
    order = np.lexsort((churned, margin, customers, as_of))
    margin, churned, as_of, customers = (
        part[order] for part in (margin, churned, as_of, customers)
    )
    pairs = _date_pairs(as_of, churned, window)
    if not pairs:
        return (
            "platt",
            "platt: no two earlier dates lie a window apart, so the kinds could not be compared",
        )
    enough = all(_enough_for_isotonic(churned[fit_on]) for fit_on, _ in pairs)
    kinds = [kind for kind in KINDS if kind != "isotonic" or enough]
    losses = {
        kind: np.concatenate(
            [_later_log_losses(margin, churned, *pair, kind=kind) for pair in pairs]
        )
        for kind in kinds
    }
    judged = np.concatenate([customers[b] for _, b in pairs])
    best = min(kinds, key=lambda kind: losses[kind].mean())
    kind = next(kind for kind in kinds if _no_worse(losses[kind] - losses[best], judged))
    return kind, _choice_text(kind, best, losses, len(pairs))


def _choice_text(kind: str, best: str, losses: dict[str, np.ndarray], dates: int) -> str:
    each = ", ".join(f"{name} {loss.mean():.4f}" for name, loss in losses.items())
    rule = "the least" if kind == best else f"the simplest within a standard error of {best}"
    later = "1 later date" if dates == 1 else f"{dates} later dates"
    return f"{kind}: {rule} by log loss at {later} when fitted before ({each})"


def _date_pairs(
    as_of: np.ndarray, churned: np.ndarray, window: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """(rows to fit on, rows to judge at) for the dates before the newest.

    A date is judged with a fit at the newest date that was mature then.
    """
    earlier, pairs = np.unique(as_of)[:-1], []
    for at in earlier:
        mature = earlier[earlier + window <= at]
        if len(mature):
            fit_on = np.flatnonzero(as_of == mature[-1])
            if churned[fit_on].any() and not churned[fit_on].all():
                pairs.append((fit_on, np.flatnonzero(as_of == at)))
    return pairs[-MAX_JUDGED_DATES:]


def _no_worse(difference: np.ndarray, customers: np.ndarray) -> bool:
    """Whether the mean difference is within its standard error, clustered by customer."""
    _, number = np.unique(customers, return_inverse=True)
    off = np.bincount(number, weights=difference - difference.mean())
    return bool(difference.mean() <= np.sqrt((off**2).sum()) / len(difference))


def _later_log_losses(
    margin: np.ndarray, churned: np.ndarray, fit_on: np.ndarray, judged: np.ndarray, *, kind: str
) -> np.ndarray:
    """Log loss of each judged row under the kind fitted on the other rows."""
    fitted = halve_level(fit_kind(margin[fit_on], churned[fit_on], kind=kind), margin[fit_on])
    return _log_losses(fitted, margin[judged], churned[judged])


def _log_losses(calibration: Calibration, margin: np.ndarray, churned: np.ndarray) -> np.ndarray:
    calibrated = calibration.log_odds(margin)
    return np.logaddexp(0.0, calibrated) - np.where(churned, calibrated, 0.0)


def _enough_for_isotonic(churned: np.ndarray) -> bool:
    rows, left = len(churned), churned.sum()
    return rows >= ISOTONIC_ROWS and ISOTONIC_OF_EACH <= left <= rows - ISOTONIC_OF_EACH


def fit_kind(margin: np.ndarray, churned: np.ndarray, *, kind: str = "platt") -> Calibration:
    """One kind for out-of-fold log-odds (rows,) and outcomes (bool (rows,)), in any row order.

    The kind is none for a single outcome or no rows; platt where isotonic has too few rows.
    """
    if kind == "none" or not churned.any() or churned.all():
        return Calibration()
    order = np.lexsort((churned, margin))
    margin, churned = margin[order], churned[order]
    if kind == "isotonic" and _enough_for_isotonic(churned):
        return _fit_isotonic(margin, churned)
    return _fit_beta(margin, churned) if kind == "beta" else _fit_platt(margin, churned)


def halve_level(fitted: Calibration, margin: np.ndarray) -> Calibration:
    """The calibration with its shape unchanged and half of its level.

    It is shifted back by half of the log-odds that would give its rows their raw mean p again. The
    shape comes from the model itself and lasts; the rate of one date is as much noise as news.
    """
    from scipy.optimize import brentq

    if fitted.kind == "none" or not len(margin):
        return fitted
    calibrated = np.sort(fitted.log_odds(margin))
    raw = sigmoid(np.clip(np.sort(margin), -LOG_ODDS_LIMIT, LOG_ODDS_LIMIT)).mean()

    def excess(shift: float) -> float:
        moved = np.clip(calibrated + shift, -LOG_ODDS_LIMIT, LOG_ODDS_LIMIT)
        return float(sigmoid(moved).mean() - raw)

    low, high = -2 * LOG_ODDS_LIMIT, 2 * LOG_ODDS_LIMIT
    if excess(low) >= 0 or excess(high) <= 0:
        return fitted  # every p is 0 or 1: there is no level to move
    back = float(brentq(excess, low, high, xtol=1e-9))
    return replace(fitted, shift=fitted.shift + (1 - LEVEL_SHARE) * back)


def _fit_platt(margin: np.ndarray, churned: np.ndarray) -> Calibration:
    prior = np.array([[1 / SLOPE_SPREAD, 0], [0, 1 / SHIFT_SPREAD]])
    slope, shift = _fit_weights((margin, np.ones(len(margin))), churned, prior)
    return Calibration("platt", slope, slope, shift)


def _fit_beta(margin: np.ndarray, churned: np.ndarray) -> Calibration:
    """The prior on the mean slope and the shift is Platt's; the two slopes are shrunk together."""
    mean, difference, shift = [0.5, 0.5, 0], [1, -1, 0], [0, 0, 1]
    prior = np.array([mean, difference, shift]) / np.array(
        [[SLOPE_SPREAD], [SLOPE_SPREAD], [SHIFT_SPREAD]]
    )
    columns = (-np.logaddexp(0.0, -margin), np.logaddexp(0.0, margin), np.ones(len(margin)))
    low, high, level = _fit_weights(columns, churned, prior)
    return Calibration("beta", low, high, level)


def _fit_weights(
    columns: tuple[np.ndarray, ...], churned: np.ndarray, prior: np.ndarray
) -> list[float]:
    """Maximum a posteriori weights of the columns; the last is the shift, the others stay positive.

    `prior` (conditions, columns): each row times (weights − weights that change nothing) is
    standard normal.
    """
    from scipy.optimize import minimize

    neutral = np.append(np.ones(len(columns) - 1), 0.0)

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        z = np.zeros(len(churned))
        for weight, column in zip(weights, columns, strict=True):
            z = z + weight * column
        away = prior @ (weights - neutral)
        value = (np.logaddexp(0.0, z) - np.where(churned, z, 0.0)).sum()
        slack = sigmoid(np.clip(z, -LOG_ODDS_LIMIT, LOG_ODDS_LIMIT)) - churned
        gradient = np.array([(slack * column).sum() for column in columns]) + prior.T @ away
        return float(value + 0.5 * (away**2).sum()), gradient

    bounds = [(MIN_SLOPE, MAX_WEIGHT)] * (len(columns) - 1) + [(-MAX_WEIGHT, MAX_WEIGHT)]
    fitted = minimize(
        loss, neutral, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-12}
    )
    return [float(weight) for weight in fitted.x]


def _fit_isotonic(margin: np.ndarray, churned: np.ndarray) -> Calibration:
    """Isotonic regression on bins of at least KNOT_ROWS rows, with Platt's slope beyond the ends.

    Each bin's share is shrunk towards Platt's p by PRIOR_ROWS rows.
    """
    from scipy.optimize import isotonic_regression

    platt = _fit_platt(margin, churned)
    bins = _equal_bins(margin)
    rows = np.bincount(bins).astype(float)
    at = np.bincount(bins, weights=margin) / rows
    share = (np.bincount(bins, weights=churned) + PRIOR_ROWS * platt.p(at)) / (rows + PRIOR_ROWS)
    edge = 0.5 / (rows + PRIOR_ROWS)
    fitted = isotonic_regression(np.clip(share, edge, 1 - edge), weights=rows)
    begin = fitted.blocks[:-1]
    knots = np.maximum.accumulate(np.add.reduceat(at * rows, begin) / np.add.reduceat(rows, begin))
    least = MIN_SLOPE * knots  # a flat piece would tie customers, so every piece rises a little
    heights = least + np.maximum.accumulate(log_odds(fitted.x[begin]) - least)
    # Knots that rounding made equal are dropped.
    apart = np.append(True, (np.diff(knots) > 0) & (np.diff(heights) > 0))
    return Calibration(
        "isotonic",
        platt.low,
        platt.high,
        0.0,
        tuple(knots[apart].tolist()),
        tuple(heights[apart].tolist()),
    )


def _equal_bins(margin: np.ndarray) -> np.ndarray:
    """A bin number per row, bins of about equally many rows; equal margins share a bin."""
    from scipy.stats import rankdata

    count = min(KNOTS, len(margin) // KNOT_ROWS)
    bins = ((rankdata(margin) - 0.5) * count / len(margin)).astype(int)
    _, bins = np.unique(bins, return_inverse=True)
    return bins
