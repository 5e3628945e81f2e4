"""Who our churn model is measured against: each gets the same matrix, the same training rows and the same folds.

    ridge logistic  log features, the strength chosen on the folds of our own search
    XGBoost         50 trials of Optuna in its usual space, forward in time (`boosted`)
    BG/NBD          no activity in the horizon, from each row's own waits
    own past rate   the customer's own outcomes whose windows had closed
    AutoGluon       1.6 `best_quality` in an environment of its own (`automl`)

Each answers `p` of the evaluated rows, and `left_out`: p of the training rows without having seen the customer's outcomes
(NaN where that cannot be had); from these it is recalibrated as ours is.
"""

from __future__ import annotations

import time

import numpy as np

from benchmarks.models import automl, boosted, kept
from benchmarks.models.sets import Case
from features.core.progress import say
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
NAMES = (RIDGE, XGBOOST, BG_NBD, PAST, AUTOGLUON)


def answer(name: str, case: Case, *, seconds: float) -> kept.Answer:
    """`seconds` is AutoGluon's limit for a fit."""
    if name == AUTOGLUON:
        return automl.answer(case, seconds=seconds)
    if name == XGBOOST:
        return boosted.answer(case)
    if name == RIDGE:
        of = [
            case.digest,
            kept.digest_of_files(
                "training/models/ridge.py", "training/splits.py", "serving/scoring/parts.py"
            ),
            kept.digest_of_files("benchmarks/models/opponents.py"),
            kept.versions("sklearn", "numpy"),
        ]
        return kept.answered("ridge", of, lambda: _ridge(case))
    return _baseline(case, name)


def _ridge(case: Case) -> kept.Answer:
    say(f"{RIDGE}: {case.name}")
    began = time.monotonic()
    early, (matrix, late) = case.early, case.matrices
    labels = early["churned"].to_numpy().astype(int)
    losses = {strength: _forward_loss(case, strength, labels) for strength in ridge.STRENGTHS}
    strength = min(losses, key=losses.__getitem__)
    fitted = ridge.fit(matrix, labels, strength=strength, outputs=1)
    took = time.monotonic() - began
    group, left_out = customer_groups(early), np.full(early.num_rows, np.nan)
    for number in range(GROUPS):
        mine, others = group == number, group != number
        if mine.any() and len(np.unique(labels[others])) == 2:
            left_out[mine] = sigmoid(
                _margins(matrix[others], labels[others], matrix[mine], strength)
            )
    said = {"seconds": took, "strength": strength, "losses": list(losses.values())}
    return {"p": sigmoid(fitted.margins(late)[:, 0]), "left_out": left_out}, said


def _forward_loss(case: Case, strength: float, labels: np.ndarray) -> float:
    matrix, found = case.matrices[0], []
    for fit, check in tuning_folds(case.early, case.settings).pairs:
        margin = _margins(matrix[fit], labels[fit], matrix[check], strength)
        both = log_softmax(np.stack([np.zeros(len(margin)), margin], axis=1))
        found.append(-both[np.arange(len(check)), labels[check]].mean())
    return float(np.mean(found))


def _margins(
    matrix: np.ndarray, labels: np.ndarray, asked: np.ndarray, strength: float
) -> np.ndarray:
    return ridge.fit(matrix, labels, strength=strength, outputs=1).margins(asked)[:, 0]


def _baseline(case: Case, name: str) -> kept.Answer:
    """BG/NBD and the own past rate see no outcome of a row before its window closed: nothing is to be left out."""
    p, before = (
        baselines.churn(case.early, rows, case.settings)[name] for rows in (case.late, case.early)
    )
    return {"p": p, "left_out": before}, {}
