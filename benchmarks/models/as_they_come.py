"""scikit-learn's histogram boosting and LightGBM as they come: no search, no early stopping.

What somebody tries first. They get the columns that vary in the training rows; the others stop
scikit-learn's binning.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.models import cache
from benchmarks.models.sets import Case
from features.core.progress import print_status
from training.models.variation import varying
from training.splits import GROUPS, customer_groups

HISTOGRAM, LIGHTGBM, SEED, THREADS = "HistGradientBoosting", "LightGBM", 7, 2
EDGE = 1e-6


def answer(name: str, case: Case) -> cache.Answer:
    make, module = {HISTOGRAM: (_histogram, "sklearn"), LIGHTGBM: (_lightgbm, "lightgbm")}[name]
    of = [case.digest, name, SEED, cache.versions(module)]
    return cache.cached_answer(name.lower(), of, lambda: _fit(name, make, case))


def _histogram() -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(random_state=SEED)


def _lightgbm() -> Any:
    from lightgbm import LGBMClassifier

    return LGBMClassifier(random_state=SEED, n_jobs=THREADS, verbose=-1)


def _fit(name: str, make: Callable[[], Any], case: Case) -> cache.Answer:
    print_status(f"{name}: {case.name}")
    began, (matrix, late) = time.monotonic(), case.matrices
    labels = case.early["churned"].to_numpy().astype(int)
    learned = varying(matrix)

    def predict(rows: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        model = make().fit(matrix[rows][:, learned], labels[rows])
        return np.clip(model.predict_proba(wanted[:, learned])[:, 1], EDGE, 1 - EDGE)

    p = predict(np.ones(len(labels), dtype=bool), late)
    took = time.monotonic() - began
    group, left_out = customer_groups(case.early), np.full(len(labels), np.nan)
    for number in range(GROUPS):
        mine, others = group == number, group != number
        if mine.any() and len(np.unique(labels[others])) == 2:
            left_out[mine] = predict(others, matrix[mine])
    return {"p": p, "left_out": left_out}, {"seconds": took}
