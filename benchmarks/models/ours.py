"""Our own model, trained by the training job itself on rows that are ready.

The training time is that of the whole job: both models, search, calibration and fit.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np

from benchmarks.models import cache
from benchmarks.models.sets import Case
from features.core.progress import print_status
from training import job
from training.examples import Examples
from training.models.remembered_fits import remember_fits
from training.parallel import reproducible_fits

SECONDS = 20.0  # of search in this benchmark
SOURCES = (
    "training/models/*.py",
    "training/uncertainty/*.py",
    "training/job.py",
    "training/fitting.py",
    "training/parallel.py",
    "training/splits.py",
    "training/metrics.py",
    "serving/scoring/parts.py",
    "serving/scoring/scorer.py",
    "serving/scoring/calibration.py",
    "serving/scoring/cells.py",
    "serving/scoring/cannot_churn.py",
    "serving/scoring/prediction_sets.py",
)
Change = Callable[[Examples], Examples]


def train(
    case: Case, *, seconds: float = SECONDS, variant: str = "", change: Change | None = None
) -> cache.Answer:
    """`p` (rows,), `p_next`, `q` and `sets` (rows, 7) of the evaluated rows, and details.

    The details are the seconds of training and the summary of each model. `variant` names a
    `change` of the examples (columns left out or added); the rows stay the same.
    """
    of = {
        "rows": [
            case.digest,
            cache.digest_of_arrays(
                np.array(part["outcome_stage"].to_pylist()) for part in (case.early, case.late)
            ),
        ],
        "seconds": seconds,
        "variant": variant,
        "source": cache.digest_of_files(*SOURCES),
        "training": case.settings.training.model_dump(mode="json"),
        "versions": cache.versions("numpy", "sklearn", "xgboost", "optuna"),
    }
    status = f"ours, {seconds:.0f} s{', ' + variant if variant else ''}: {case.name}"
    return cache.cached_answer(
        "ours",
        of,
        lambda: _train(case, change(case.examples) if change else case.examples, seconds, status),
    )


def _train(case: Case, example_set: Examples, seconds: float, status: str) -> cache.Answer:
    print_status(status)
    training = case.settings.training.model_copy(update={"seconds": seconds})
    settings = case.settings.model_copy(update={"training": training})
    with own_home(), reproducible_fits(), remember_fits():
        began, worked = time.monotonic(), time.process_time()
        run = job.TrainingRun(case.history, settings, examples=example_set)
        dates, parts, scorer = run.plan, run.specs, run.eval_scorer
        took, worked = time.monotonic() - began, time.process_time() - worked
    late = example_set.rows_at(dates.evaluate)
    p, p_next = scorer.score(late)
    # Where the data are too few for sets, every possible stage is in the set.
    sets = (
        scorer.prediction_sets.membership(p_next, late["eligible"].to_numpy())
        if scorer.prediction_sets
        else p_next > 0
    )
    return {"p": p, "p_next": p_next, "q": scorer.q_stay(late), "sets": sets}, {
        "seconds": took,
        "cpu_seconds": worked,
        "parts": _summaries(parts),
    }


def _summaries(parts: dict[str, Any]) -> dict[str, Any]:
    return {name: part.summary() if part else "frequencies" for name, part in parts.items()}


@contextmanager
def own_home() -> Iterator[None]:
    """A home without studies: a stored study of an earlier run would shorten the search."""
    with (
        tempfile.TemporaryDirectory(prefix="benchmark-") as folder,
        mock.patch.dict(os.environ, {"LIFECYCLE_HOME": folder}),
    ):
        yield


def without(family: str) -> Change:
    """The examples without the columns of a family."""

    def change(example_set: Examples) -> Examples:
        mine = {column.name for column in example_set.columns if column.feature.family == family}
        return replace(
            example_set, modelled=tuple(name for name in example_set.modelled if name not in mine)
        )

    return change
