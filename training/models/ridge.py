"""The log-feature ridge logistic: small bases are won by it, and it never breaks.

scikit-learn finds the weights; what is kept is a plain `serving.parts.Linear`, which alone computes margins.
"""

from __future__ import annotations

import warnings

import numpy as np

from serving.parts import Linear, logged

STRENGTHS = (0.0001, 0.001, 0.01, 0.1)
UNSEEN_MARGIN = -12.0  # a class without a training row here: next to nothing, and not nothing


def fit(matrix: np.ndarray, labels: np.ndarray, *, strength: float, outputs: int) -> Linear:
    """A ridge logistic of `labels` (0 … outputs − 1; 0 and 1 where outputs is 1) on the logged, standardised matrix; `strength` is sklearn's C.

    Two classes give one margin (log-odds of class 1), more give one per class. Columns that never vary get weight 0;
    columns with nulls get a `missing` indicator.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    frame = _frame(matrix, outputs)
    z, null = frame.standard(matrix)
    sometimes = np.flatnonzero(null.any(axis=0) & ~null.all(axis=0))
    varies = np.flatnonzero(z.std(axis=0) > 0)
    seen = np.hstack([z[:, varies], null[:, sometimes] / 2])
    # Newton's Hessian is columns² for one margin and (columns · classes)² for several: there L-BFGS is far cheaper.
    solver = "newton-cholesky" if outputs == 1 else "lbfgs"
    model = LogisticRegression(C=strength, solver=solver, max_iter=300)
    # One thread: BLAS adds in another order with another number of them, and the last bits would follow the machine.
    with warnings.catch_warnings(), threadpool_limits(1, user_api="blas"):
        # A singular Hessian makes the solver fall back to lbfgs: slower, and still the same optimum.
        warnings.simplefilter("ignore", category=ConvergenceWarning)
        warnings.filterwarnings("ignore", message=".*(Hessian|line search|ill-conditioned|Ill-conditioned).*")
        model.fit(seen, labels)
    coefficients, intercepts = model.coef_, model.intercept_
    if outputs > 1 and len(coefficients) == 1:  # two classes seen, one margin each: half to either side
        coefficients, intercepts = np.vstack([-coefficients, coefficients]) / 2, np.array([-1, 1]) * intercepts[0] / 2
    rows = np.arange(1) if outputs == 1 else model.classes_
    weights, missing = np.zeros((outputs, matrix.shape[1])), np.zeros((outputs, matrix.shape[1]))
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
    low = np.where(any_seen := seen.any(axis=0), np.where(seen, values, np.inf).min(axis=0, initial=np.inf), 0)
    high = np.where(any_seen, np.where(seen, values, -np.inf).max(axis=0, initial=-np.inf), 0)
    return Linear(mean, spread, empty, empty, np.zeros(outputs), low, high)
