"""An estimator of a business's own, fitted on the rows and columns that our boosters get."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from serving.scoring.parts import EDGE, log_odds
from training.models.variation import varying
from training.parallel import reproducible_fits

if TYPE_CHECKING:
    import pandas as pd


CATBOOST = "CatBoostClassifier"
SUMS_TO_1 = 1e-3  # float32, and rounding of thousands of trees
LOUD = ("logging_level", "verbose", "silent", "verbose_eval")


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
    if (abs(answer.sum(axis=1) - 1) > SUMS_TO_1).any():
        raise ValueError("probabilities of the classes 0 and 1 that do not sum to 1")
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
    settings = _all_params(model)
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
    fixed = {name: value for name, value in fixed.items() if not _has_other_name(name, settings)}
    fixed |= _silence(settings)
    model.set_params(**fixed | params)
    learned = varying(matrix)
    with reproducible_fits():
        # A copy: an estimator that writes into its labels must not change ours.
        model.fit(to_frame(matrix, names, learned), labels.copy())
    return FittedEstimator(model, names, learned)


def _all_params(model: Any) -> dict[str, Any]:
    """The parameters of an estimator and of the steps in it, by name; None where one is not set.

    CatBoost itself lists only those that are set.
    """
    settings = model.get_params(deep=True)
    steps = {"": model, **{f"{name}__": step for name, step in settings.items()}}
    for prefix, each in steps.items():
        if type(each).__name__ == CATBOOST:
            names = inspect.signature(type(each).__init__).parameters
            unset = {f"{prefix}{name}": None for name in names if name != "self"}
            settings = unset | settings
    return settings


def _has_other_name(name: str, settings: Mapping[str, Any]) -> bool:
    """Whether the random state is set under CatBoost's own name, and twice would be refused."""
    prefix, last = name[: -len(name.split("__")[-1])], name.split("__")[-1]
    return last == "random_state" and settings.get(f"{prefix}random_seed") is not None


def _silence(settings: Mapping[str, Any]) -> dict[str, Any]:
    """No files and no lines of CatBoost, where the estimator does not want them."""
    silent: dict[str, Any] = {}
    for name, value in settings.items():
        prefix, last = name[: -len(name.split("__")[-1])], name.split("__")[-1]
        if last == "allow_writing_files" and value is None:
            silent[name] = False
        loud = [settings.get(f"{prefix}{each}") for each in LOUD]
        if last == "logging_level" and all(each is None for each in loud):
            silent[name] = "Silent"
    return silent
