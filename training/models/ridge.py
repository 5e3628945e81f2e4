"""The ridge logistic regression on log features: it wins on small data and never breaks.

scikit-learn finds the weights. The result is a plain `serving.scoring.parts.Linear`, which alone
computes margins, in training and in serving.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache, partial

import numpy as np

from serving.scoring.parts import Linear, signed_log1p
from training import parallel
from training.models.remembered_fits import remembered
from training.models.studies import digest
from training.models.variation import LEAST_SCALE, varying

STRENGTHS = (0.0001, 0.001, 0.01, 0.1)
BLOCK_COLUMNS = 16
COLUMN_FIELDS = ("mean", "scale", "weights", "missing", "low", "high")
UNSEEN_MARGIN = -12.0  # a class without a training row: nearly impossible, but not impossible


def fit_ridge(matrix: np.ndarray, labels: np.ndarray, *, strength: float, outputs: int) -> Linear:
    """A ridge logistic regression on the logged, standardised matrix (rows, columns).

    `labels`: 0 … outputs − 1, or 0 and 1 where `outputs` is 1. `strength` is sklearn's C.
    One output gives the log-odds of class 1, more give one margin per class. Columns that hardly
    vary (`variation.varying`) get weight 0; columns with nulls get a `missing` indicator.
    """
    return fit_ridges(matrix, labels, strengths=(strength,), outputs=outputs)[0]


def fit_ridges(
    matrix: np.ndarray, labels: np.ndarray, *, strengths: Sequence[float], outputs: int
) -> list[Linear]:
    """`fit_ridge` for each of several strengths; the matrix is standardised once."""
    data = digest([matrix, labels, outputs])
    standardised = cache(lambda: _standardised(matrix, outputs))

    def fit(strength: float) -> Linear:
        return _fit(*standardised(), labels, strength, outputs)

    return [remembered([data, strength], partial(fit, strength)) for strength in strengths]


def fit_amount_regression(
    matrix: np.ndarray, amounts: np.ndarray, *, strength: float, power: float | None
) -> Linear:
    """A ridge regression of amounts (rows,) on the logged, standardised matrix (rows, columns).

    `power` None: least squares. Else amounts are at least 0, their variance is that power of their
    mean (Tweedie), and margins are logs of the mean. `strength`: of the penalty of a row.
    """
    frame, inputs, varies, sometimes = _standardised(matrix, 1)
    if power is None:
        center, mean = inputs.mean(axis=0), float(amounts.mean())
        moments = (inputs - center).T @ (inputs - center)
        moments[np.diag_indices_from(moments)] += strength * len(amounts)
        weights = np.linalg.solve(moments, (inputs - center).T @ (amounts - mean))
        intercept = mean - float(center @ weights)
    else:
        weights, intercept = _solve_tweedie(inputs, amounts, strength, power)
    return _linear(frame, varies, sometimes, np.arange(1), weights[None], np.array([intercept]))


def _solve_tweedie(
    inputs: np.ndarray, amounts: np.ndarray, strength: float, power: float
) -> tuple[np.ndarray, float]:
    from sklearn.linear_model import TweedieRegressor

    model = TweedieRegressor(
        power=power, alpha=strength, link="log", solver="newton-cholesky", max_iter=300
    )
    with parallel.reproducible_fits():
        model.fit(inputs, amounts)
    return model.coef_, float(model.intercept_)


def _standardised(
    matrix: np.ndarray, outputs: int
) -> tuple[Linear, np.ndarray, np.ndarray, np.ndarray]:
    """(means, scales and ranges; the inputs of a regression; columns that vary; some null)."""
    frame = _standardisation(matrix, outputs)
    columns, halved, varies, sometimes = [], [], [], []
    enough = varying(matrix)
    for block in _column_blocks(matrix.shape[1]):
        z, null = _columns_of(frame, block).standardise(matrix[:, block])
        varied = enough[block] & (z.std(axis=0) > 0)
        partly = null.any(axis=0) & ~null.all(axis=0)
        columns.append(z[:, varied])
        # Halved indicators are penalised more than the columns themselves.
        halved.append(null[:, partly] / 2)
        varies.append(block.start + np.flatnonzero(varied))
        sometimes.append(block.start + np.flatnonzero(partly))
    inputs = np.hstack([*columns, *halved])
    return frame, inputs, np.concatenate(varies), np.concatenate(sometimes)


def _column_blocks(columns: int) -> list[slice]:
    """The columns in blocks, so that a step over them needs the memory of a few columns.

    At least two columns each: numpy adds up a lone column in another order.
    """
    ends = [*range(BLOCK_COLUMNS, columns - 1, BLOCK_COLUMNS), columns]
    return [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]


def _columns_of(frame: Linear, block: slice) -> Linear:
    """The part for some of the columns."""
    own = {name: getattr(frame, name)[..., block] for name in COLUMN_FIELDS}
    return replace(frame, **own)


def _fit(
    frame: Linear,
    inputs: np.ndarray,
    varies: np.ndarray,
    sometimes: np.ndarray,
    labels: np.ndarray,
    strength: float,
    outputs: int,
) -> Linear:
    """One fit on `inputs` (rows, varies + sometimes).

    They are the columns that vary, standardised, then the halved indicators.
    """
    classes, coefficients, intercepts = _solve(inputs, labels, strength, outputs)
    rows = np.arange(1) if outputs == 1 else classes
    return _linear(frame, varies, sometimes, rows, coefficients, intercepts)


def _linear(
    frame: Linear,
    varies: np.ndarray,
    sometimes: np.ndarray,
    rows: np.ndarray,
    coefficients: np.ndarray,
    intercepts: np.ndarray,
) -> Linear:
    """The part with these weights of the inputs of `_standardised`, for the outputs `rows`."""
    outputs = len(frame.intercept)
    weights, missing = np.zeros((outputs, len(frame.mean))), np.zeros((outputs, len(frame.mean)))
    weights[np.ix_(rows, varies)] = coefficients[:, : varies.size]
    missing[np.ix_(rows, sometimes)] = coefficients[:, varies.size :] / 2
    intercept = np.full(outputs, UNSEEN_MARGIN)
    intercept[rows] = intercepts
    return Linear(frame.mean, frame.scale, weights, missing, intercept, frame.low, frame.high)


def _solve(
    inputs: np.ndarray, labels: np.ndarray, strength: float, outputs: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(classes seen, coefficients (margins, inputs), intercepts (margins,)) of one regression."""
    from sklearn.linear_model import LogisticRegression

    # Newton's Hessian has columns² entries for one margin and (columns · classes)² for several:
    # with several margins L-BFGS is far cheaper.
    solver = "newton-cholesky" if outputs == 1 else "lbfgs"
    model = LogisticRegression(C=strength, solver=solver, max_iter=300)
    with parallel.reproducible_fits():
        model.fit(inputs, labels)
    coefficients, intercepts = model.coef_, model.intercept_
    if outputs > 1 and len(coefficients) == 1:
        # Of several classes two were seen: sklearn gives one margin, each class takes half of it.
        coefficients = np.vstack([-coefficients, coefficients]) / 2
        intercepts = np.array([-1, 1]) * intercepts[0] / 2
    return model.classes_, coefficients, intercepts


def _standardisation(matrix: np.ndarray, outputs: int) -> Linear:
    """Means, scales and ranges of the logged columns, with weights 0.

    A column that is all null has mean 0, scale 1 and the range 0 … 0.
    """
    blocks = [_moments(matrix[:, block]) for block in _column_blocks(matrix.shape[1])]
    mean, scale, low, high = (np.concatenate(each) for each in zip(*blocks, strict=True))
    empty = np.zeros((outputs, matrix.shape[1]))
    return Linear(mean, scale, empty, empty, np.zeros(outputs), low, high)


def _moments(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(mean, scale, lowest, highest) of each logged column, nulls left out."""
    values = signed_log1p(matrix)
    seen = ~np.isnan(values)
    count = np.maximum(seen.sum(axis=0), 1)
    mean = np.where(seen, values, 0).sum(axis=0) / count
    scale = np.sqrt(np.where(seen, (values - mean) ** 2, 0).sum(axis=0) / count)
    scale = np.where(scale > 1e-9, scale, 1.0)
    scale = np.maximum(
        scale, LEAST_SCALE * np.where(seen, np.abs(values), 0).max(axis=0, initial=0)
    )
    any_seen = seen.any(axis=0)
    low = np.where(any_seen, np.where(seen, values, np.inf).min(axis=0, initial=np.inf), 0)
    high = np.where(any_seen, np.where(seen, values, -np.inf).max(axis=0, initial=-np.inf), 0)
    return mean, scale, low, high
