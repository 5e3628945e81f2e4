"""Each of a business's own estimators alone: fitted as our model is, and judged beside it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa

from features.core.language import say
from features.core.progress import print_status
from features.core.settings import Settings
from serving.scoring.scorer import Scorer
from training.evaluation.own_estimators import judge_estimator
from training.examples import Examples
from training.fitting import Fitting
from training.models.estimators.search_estimators import OwnPart

JudgedEstimator = tuple[OwnPart, dict[str, Any]]


def judge_estimators(
    fitting: Fitting,
    ours: Scorer,
    early: pa.Table,
    late: pa.Table,
    examples: Examples,
    settings: Settings,
) -> list[JudgedEstimator]:
    """(what the search chose, the evaluation) of every own estimator that the churn spec names.

    `ours`: the scorer of our model, fitted on `early`, the training rows; `late`: the evaluation
    rows. None where an own estimator is the model itself: its evaluation is the release's.
    """
    spec = fitting.specs["churn"]
    if spec is None or any(part.name == spec.model for part in spec.own):
        return []
    p_ours, judged = ours.p_churn(late), []
    for part in spec.own:
        print_status(say("judging {name}", name=part.name))
        blend, calibration = fitting.with_only(part).fit_churn(early)
        p = replace(ours, churn=blend, calibration=calibration).p_churn(late)
        report = judge_estimator(
            part, p, p_ours, early=early, late=late, examples=examples, settings=settings
        )
        judged.append((part, report))
    return judged
