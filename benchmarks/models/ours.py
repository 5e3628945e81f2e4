"""Our own model, learned by the training job itself; the rows it would build are handed to it.

The time of training is that of the whole job on ready rows: both models, search, calibration and fit.
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

from benchmarks.models import kept
from benchmarks.models.sets import Case
from features.core.progress import say
from features.core.settings import Training
from training import examples, job
from training.examples import Examples

SECONDS = 20.0  # of search in this benchmark
DEFAULT = Training().seconds
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


def learned(
    case: Case, *, seconds: float = SECONDS, variant: str = "", change: Change | None = None
) -> kept.Answer:
    """`p` (rows,), `p_next`, `q` and `sets` (rows, 7) of the evaluated rows; said: the seconds of training, the weight found.

    `variant` names a `change` of the examples (columns left out or added); the rows stay the same.
    """
    of = {
        "rows": [
            case.digest,
            kept.digest_of_arrays(
                np.array(part["outcome_stage"].to_pylist()) for part in (case.early, case.late)
            ),
        ],
        "seconds": seconds,
        "variant": variant,
        "source": kept.digest_of_files(*SOURCES),
        "training": case.settings.training.model_dump(mode="json"),
        "versions": kept.versions("numpy", "sklearn", "xgboost", "optuna"),
    }
    told = f"ours, {seconds:.0f} s{', ' + variant if variant else ''}: {case.name}"
    return kept.answered(
        "ours", of, lambda: _learn(case, change(case.made) if change else case.made, seconds, told)
    )


def _learn(case: Case, made: Examples, seconds: float, told: str) -> kept.Answer:
    say(told)
    training = case.settings.training.model_copy(update={"seconds": seconds})
    stated = case.settings.model_copy(update={"training": training})
    with _own_home(), mock.patch.object(examples, "make", return_value=made):
        began, worked = time.monotonic(), time.process_time()
        dates, _, found, scorer, _ = job.fit_for_evaluation(case.history, stated)
        took, worked = time.monotonic() - began, time.process_time() - worked
    late = made.at(dates.evaluate)
    p, p_next = scorer.score(late)
    # Where the data were too few for sets, every stage that is possible is said.
    held = scorer.sets.sets(p_next, late["eligible"].to_numpy()) if scorer.sets else p_next > 0
    return {"p": p, "p_next": p_next, "q": scorer.q_stay(late), "sets": held}, {
        "seconds": took,
        "cpu_seconds": worked,
        "found": _told(found),
    }


def _told(found: dict[str, Any]) -> dict[str, Any]:
    return {name: part.summary() if part else "frequencies" for name, part in found.items()}


@contextmanager
def _own_home() -> Iterator[None]:
    """A home nobody searched in: a study kept by an earlier run would answer at once."""
    with (
        tempfile.TemporaryDirectory(prefix="benchmark-") as folder,
        mock.patch.dict(os.environ, {"LIFECYCLE_HOME": folder}),
    ):
        yield


def without(family: str) -> Change:
    """The examples with a family's columns kept from the model."""

    def change(made: Examples) -> Examples:
        mine = {column.name for column in made.columns if column.feature.family == family}
        return replace(made, modelled=tuple(name for name in made.modelled if name not in mine))

    return change
