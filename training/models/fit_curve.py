"""The hazards of the curve, fitted on customers who were still waiting in each interval.

A person-period row is a customer at an as_of, and an interval of the grid: it counts where the
event had not come before the interval and is known to have come in it or not. Nothing is thinned:
a logistic regression on a few inputs costs less than a second for half a million rows, and a
booster on all columns in its place was no better (docs/decisions/037).
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from features.core.instants import DAY_US
from features.labels.event_times import NO, NOT_KNOWN, YES
from features.labels.leaving_cause import CANCELLED_COLUMN
from serving.scoring.curve import Curve, Hazards, has_cover
from serving.scoring.curve_inputs import (
    RHYTHM_COLUMNS,
    TERM_COLUMNS,
    CurveRows,
    HazardInputs,
    Scale,
    count_inputs,
)
from training import parallel

FEWEST_ROWS = 10  # rows whose outcome is known by then, else a horizon has no answer
FEWEST_OF_EACH = 10  # rows with and without the event, else all have one hazard
# How much the inputs shrink: scikit-learn's penalty is one for all, so an input that is to shrink
# less enters larger.
SIZES = {"risk": 10.0, "rhythm": 0.2}


def fit_curve(
    rows: pa.Table,
    p: np.ndarray,
    events: np.ndarray,
    horizons: tuple[int, ...],
    horizon: int,
    *,
    columns: tuple[str, ...],
    contractual: bool,
) -> Curve:
    """The curve from labelled rows.

    p: P(churn) of each row from a fit without its customer, (rows,). events: int8 (rows, horizons),
    as of `event_times.observe_events`. `columns`: those that a model may use. With contracts the
    rows have CANCELLED_COLUMN.
    """
    rhythm = tuple(name for name in RHYTHM_COLUMNS if name in columns)
    with_terms = contractual and set(TERM_COLUMNS) <= set(columns)
    covered = has_cover(rows) if contractual else np.zeros(rows.num_rows, dtype=bool)

    def fit(mask: np.ndarray, *, with_terms: bool) -> Hazards:
        known = CurveRows.from_rows(rows, p, rhythm, with_terms=with_terms)
        return _fit_hazards(known.take(mask), events[mask], horizons, rhythm)

    waiting = fit(~covered, with_terms=False)
    if not contractual:
        return Curve(horizons, horizon, waiting)
    lost = covered & (events[:, horizons.index(horizon)] == YES)
    known = CurveRows.from_rows(rows, p, rhythm, with_terms=with_terms).take(lost)
    word = np.where(rows[CANCELLED_COLUMN].to_numpy()[lost], YES, NO)[:, None]
    if not (word == YES).any():
        # Nobody cancelled, or nobody wrote it down: the data do not tell which.
        word[:] = NOT_KNOWN
    cancelled = _fit_hazards(known, word, (horizon,), rhythm)
    return Curve(horizons, horizon, waiting, fit(covered, with_terms=with_terms), cancelled)


def known_before(
    events: np.ndarray, as_of: np.ndarray, horizons: tuple[int, ...], *, latency_days: int, at: int
) -> np.ndarray:
    """The events (rows, horizons) as they were known at the instant `at` (µs)."""
    closes = as_of[:, None] + (np.array(horizons) + latency_days)[None, :] * DAY_US
    return np.where(closes <= at, events, NOT_KNOWN).astype(np.int8)


def _fit_hazards(
    known: CurveRows, events: np.ndarray, horizons: tuple[int, ...], rhythm: tuple[str, ...]
) -> Hazards:
    scale = Scale.of(known)
    inputs = count_inputs(len(rhythm), with_terms=known.terms is not None)
    counts = np.zeros(len(horizons), dtype=int)
    intercepts, weights = np.zeros(len(horizons)), np.zeros((len(horizons), inputs))
    waits = np.ones(len(events), dtype=bool)
    for at, end in enumerate(horizons):
        seen = events[:, at] != NOT_KNOWN
        usable = waits & seen
        if seen.sum() < FEWEST_ROWS:
            break
        # Where the event has come for nearly everybody, few still wait, and that is known.
        counts[at] = max(usable.sum(), 1)
        came = events[usable, at] == YES
        begin = horizons[at - 1] if at else 0
        intercepts[at], weights[at] = _fit_interval(known.take(usable), scale, came, begin, end)
        waits &= events[:, at] == NO
    return Hazards(rhythm, known.terms is not None, scale, intercepts, weights, counts)


def _fit_interval(
    known: CurveRows, scale: Scale, came: np.ndarray, begin: int, end: int
) -> tuple[float, np.ndarray]:
    """(intercept, weights) of one interval; weights of 0 where one outcome is rare."""
    from sklearn.linear_model import LogisticRegression

    pairs = HazardInputs(known, scale).of_interval(begin, end)
    sizes = np.array([_size(name) for name, _ in pairs])
    if min(came.sum(), (~came).sum()) < FEWEST_OF_EACH:
        share = (came.sum() + 0.5) / (len(came) + 1)
        return float(np.log(share) - np.log1p(-share)), np.zeros(len(pairs))
    inputs = np.column_stack([values for _, values in pairs]) * sizes
    model = LogisticRegression(C=1.0, solver="newton-cholesky", max_iter=100)
    with parallel.reproducible_fits():
        model.fit(inputs, came)
    return float(model.intercept_[0]), model.coef_[0] * sizes


def _size(name: str) -> float:
    return SIZES.get(name.split(" ")[0] if name.startswith("rhythm") else name, 1.0)
