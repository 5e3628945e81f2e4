"""The log-feature ridge logistic: small bases are won by it, and it never breaks.

scikit-learn finds the weights; what is kept is a plain `serving.scoring.parts.Linear`, which alone computes margins.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from serving.scoring.parts import Linear, logged
from training import parallel

STRENGTHS = (0.0001, 0.001, 0.01, 0.1)
UNSEEN_MARGIN = -12.0  # a class without a training row here: next to nothing, and not nothing


def fit(matrix: np.ndarray, labels: np.ndarray, *, strength: float, outputs: int) -> Linear:
    """A ridge logistic of `labels` (0 … outputs − 1; 0 and 1 where outputs is 1) on the logged, standardised matrix; `strength` is sklearn's C.

    Two classes give one margin (log-odds of class 1), more give one per class. Columns that never vary get weight 0;
    columns with nulls get a `missing` indicator.
    """
    return fits(matrix, labels, strengths=(strength,), outputs=outputs)[0]


def fits(
    matrix: np.ndarray, labels: np.ndarray, *, strengths: Sequence[float], outputs: int
) -> list[Linear]:
    """`fit` with each of several strengths, standardised once."""
    frame = _frame(matrix, outputs)
    z, null = frame.standard(matrix)
    sometimes = np.flatnonzero(null.any(axis=0) & ~null.all(axis=0))
    varies = np.flatnonzero(z.std(axis=0) > 0)
    seen = np.hstack([z[:, varies], null[:, sometimes] / 2])
    return [
        _fit(frame, seen, labels, varies, sometimes, strength, outputs) for strength in strengths
    ]


def _fit(
    frame: Linear,
    seen: np.ndarray,
    labels: np.ndarray,
    varies: np.ndarray,
    sometimes: np.ndarray,
    strength: float,
    outputs: int,
) -> Linear:
    """`seen` (rows, varies + sometimes): the columns that vary, standardised, then the indicators halved."""
    from sklearn.linear_model import LogisticRegression

    # Newton's Hessian is columns² for one margin and (columns · classes)² for several: there L-BFGS is far cheaper.
    solver = "newton-cholesky" if outputs == 1 else "lbfgs"
    model = LogisticRegression(C=strength, solver=solver, max_iter=300)
    with parallel.single_threaded_blas():
        model.fit(seen, labels)
    coefficients, intercepts = model.coef_, model.intercept_
    if (
        outputs > 1 and len(coefficients) == 1
    ):  # two classes seen, one margin each: half to either side
        coefficients, intercepts = (
            np.vstack([-coefficients, coefficients]) / 2,
            np.array([-1, 1]) * intercepts[0] / 2,
        )
    rows = np.arange(1) if outputs == 1 else model.classes_
    weights, missing = np.zeros((outputs, len(frame.mean))), np.zeros((outputs, len(frame.mean)))
    weights[np.ix_(rows, varies)] = coefficients[:, : varies.size]
    missing[np.ix_(rows, sometimes)] = coefficients[:, varies.size :] / 2
    intercept = np.full(outputs, UNSEEN_MARGIN)
    intercept[rows] = intercepts
    return Linear(frame.mean, frame.spread, weights, missing, intercept, frame.low, frame.high)


def _frame(matrix: np.ndarray, outputs: int) -> Linear:
    """The standardisation alone: means, spreads and ranges of the logged columns; 0, 1 and 0 … 0 where all is null."""
    values = logged(matrix)
    seen = ~np.isnan(values)
    count = np.maximum(seen.sum(axis=0), 1)
    mean = np.where(seen, values, 0).sum(axis=0) / count
    spread = np.sqrt(np.where(seen, (values - mean) ** 2, 0).sum(axis=0) / count)
    spread = np.where(spread > 1e-9, spread, 1.0)
    empty = np.zeros((outputs, matrix.shape[1]))
    low = np.where(
        any_seen := seen.any(axis=0), np.where(seen, values, np.inf).min(axis=0, initial=np.inf), 0
    )
    high = np.where(any_seen, np.where(seen, values, -np.inf).max(axis=0, initial=-np.inf), 0)
    return Linear(mean, spread, empty, empty, np.zeros(outputs), low, high)
