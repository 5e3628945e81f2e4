"""The opponents of our churn model: each gets the same matrix, training rows and folds.

    ridge logistic  log features, the strength chosen on the folds of our own search
    XGBoost         50 trials of Optuna in its usual space, forward in time (`boosted`)
    HistGradientBoosting, LightGBM  as they come (`as_they_come`)
    BG/NBD          no activity in the horizon, from each row's own gaps
    own past rate   the customer's own outcomes whose windows had closed
    AutoGluon       1.6 `best_quality` in an environment of its own (`automl`)

Each answers `p` of the evaluated rows, and `left_out`: p of the training rows without the outcomes
of their customers (NaN where that is impossible). Opponents are recalibrated from `left_out`, as
ours is.
"""

from __future__ import annotations

import time

import numpy as np

from benchmarks.models import as_they_come, automl, boosted, cache
from benchmarks.models.as_they_come import HISTOGRAM, LIGHTGBM
from benchmarks.models.sets import Case
from features.core.progress import print_status
from serving.scoring.parts import log_softmax, sigmoid
from training.evaluation import baselines
from training.models import ridge
from training.splits import GROUPS, customer_groups, tuning_folds

RIDGE, XGBOOST, BG_NBD, PAST, AUTOGLUON = (
    "ridge logistic",
    "XGBoost",
    "BG/NBD",
    "own past rate",
    "AutoGluon",
)
NAMES = (RIDGE, XGBOOST, HISTOGRAM, LIGHTGBM, BG_NBD, PAST, AUTOGLUON)


def answer(name: str, case: Case, *, seconds: float) -> cache.Answer:
    """`seconds` is AutoGluon's limit for a fit."""
    if name == AUTOGLUON:
        return automl.answer(case, seconds=seconds)
    if name == XGBOOST:
        return boosted.answer(case)
    if name in (HISTOGRAM, LIGHTGBM):
        return as_they_come.answer(name, case)
    if name == RIDGE:
        of = [
            case.digest,
            cache.digest_of_files(
                "training/models/ridge.py", "training/splits.py", "serving/scoring/parts.py"
            ),
            cache.digest_of_files("benchmarks/models/opponents.py"),
            cache.versions("sklearn", "numpy"),
        ]
        return cache.cached_answer("ridge", of, lambda: _ridge(case))
    return _baseline(case, name)


def _ridge(case: Case) -> cache.Answer:
    print_status(f"{RIDGE}: {case.name}")
    began = time.monotonic()
    early, (matrix, late) = case.early, case.matrices
    labels = early["churned"].to_numpy().astype(int)
    losses = {strength: _forward_loss(case, strength, labels) for strength in ridge.STRENGTHS}
    strength = min(losses, key=losses.__getitem__)
    fitted = ridge.fit_ridge(matrix, labels, strength=strength, outputs=1)
    took = time.monotonic() - began
    group, left_out = customer_groups(early), np.full(early.num_rows, np.nan)
    for number in range(GROUPS):
        mine, others = group == number, group != number
        if mine.any() and len(np.unique(labels[others])) == 2:
            left_out[mine] = sigmoid(
                _margins(matrix[others], labels[others], matrix[mine], strength)
            )
    details = {"seconds": took, "strength": strength, "losses": list(losses.values())}
    return {"p": sigmoid(fitted.margins(late)[:, 0]), "left_out": left_out}, details


def _forward_loss(case: Case, strength: float, labels: np.ndarray) -> float:
    matrix, losses = case.matrices[0], []
    for fit, check in tuning_folds(
        case.early, outcome_window_us=case.settings.outcome_window_us
    ).pairs:
        margin = _margins(matrix[fit], labels[fit], matrix[check], strength)
        both = log_softmax(np.stack([np.zeros(len(margin)), margin], axis=1))
        losses.append(-both[np.arange(len(check)), labels[check]].mean())
    return float(np.mean(losses))


def _margins(
    matrix: np.ndarray, labels: np.ndarray, options: np.ndarray, strength: float
) -> np.ndarray:
    return ridge.fit_ridge(matrix, labels, strength=strength, outputs=1).margins(options)[:, 0]


def _baseline(case: Case, name: str) -> cache.Answer:
    """BG/NBD or the own past rate.

    They see no outcome of a row before its window has closed, so no rows are left out.
    """
    p, before = (
        baselines.churn_baselines(
            case.early,
            rows,
            outcome_window_us=case.settings.outcome_window_us,
            contractual=case.settings.contractual,
        )[name]
        for rows in (case.late, case.early)
    )
    return {"p": p, "left_out": before}, {}
