"""An estimator of a business's own, fitted on the rows and columns that our boosters get."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from serving.scoring.parts import EDGE, log_odds
from training.models.variation import varying
from training.parallel import reproducible_fits

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class FittedEstimator:
    """A part of a blend that lives only as long as the training.

    `names`: the columns of the design matrix. `learned`: those that varied in training, bool
    (columns,); the estimator sees 0 in every other.
    """

    model: Any
    names: tuple[str, ...]
    learned: np.ndarray

    def margins(self, matrix: np.ndarray) -> np.ndarray:
        """Log-odds, float64 (rows, 1), of a probability at least EDGE from 0 and 1."""
        if not len(matrix):
            return np.zeros((0, 1))
        p = probability(self.model, matrix, self)
        return log_odds(np.clip(p, EDGE, 1 - EDGE))[:, None]

    def contributions(self, matrix: np.ndarray) -> np.ndarray:
        """Zeros, (rows, columns): nothing is known of what moved its probability."""
        return np.zeros(matrix.shape)


def probability(model: Any, matrix: np.ndarray, fitted: FittedEstimator) -> np.ndarray:
    """P(left) of the rows of the design matrix (rows, columns), float64 (rows,).

    ValueError where the answer is anything but the probabilities of the classes 0 and 1.
    """
    classes = list(getattr(model, "classes_", (0, 1)))
    if classes != [0, 1]:
        raise ValueError(f"its classes_ are {classes}, and not 0 and 1 in this order")
    frame = to_frame(matrix, fitted.names, fitted.learned)
    answer = np.asarray(model.predict_proba(frame), dtype=np.float64)
    if answer.shape != (len(matrix), 2):
        raise ValueError(f"an answer of shape {answer.shape} for {len(matrix):,} rows")
    if not ((answer >= 0) & (answer <= 1)).all():
        raise ValueError("a probability that is no number from 0 to 1")
    return answer[:, 1]


def to_frame(matrix: np.ndarray, names: tuple[str, ...], learned: np.ndarray) -> pd.DataFrame:
    """The rows as an estimator gets them: float64 values that float32 can hold, null as NaN.

    So a tree divides them as its export does, which compares in float32. Columns that are not
    `learned` are 0. ValueError for an infinite value.
    """
    import pandas as pd

    if np.isinf(matrix).any():
        raise ValueError("an infinite value; a feature is a number or null")
    values = np.where(learned, matrix, 0.0)
    most = float(np.finfo(np.float32).max)
    values = np.clip(values, -most, most).astype(np.float32).astype(np.float64)
    return pd.DataFrame(values, columns=list(names))


def fit_estimator(
    estimator: Any,
    matrix: np.ndarray,
    labels: np.ndarray,
    *,
    names: tuple[str, ...],
    params: dict[str, Any],
    seed: int,
) -> FittedEstimator:
    """A clone of `estimator` with `params`, fitted on (rows, columns) and labels 0 or 1 (rows,).

    It runs on one thread, and where its own random state is not set the seed sets it: equal rows
    give an equal model. Its own errors pass through.
    """
    from sklearn.base import clone

    model = clone(estimator)
    settings = model.get_params(deep=True)
    if unknown := sorted(set(params) - set(settings)):
        # Some libraries take any name, and then nothing is searched.
        raise ValueError(
            f"{', '.join(unknown)} is no parameter of {type(model).__name__} (see get_params())"
        )
    fixed = {
        name: 1
        for name in settings
        if name.split("__")[-1] in ("n_jobs", "nthread", "thread_count")
    }
    fixed |= {
        name: seed
        for name, value in settings.items()
        if name.split("__")[-1] == "random_state" and value is None
    }
    model.set_params(**fixed | params)
    learned = varying(matrix)
    with reproducible_fits():
        model.fit(to_frame(matrix, names, learned), labels)
    return FittedEstimator(model, names, learned)
