"""From rows and what a search found to a scorer: both models fitted, calibrated, and how sure they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyarrow as pa

from features.settings import Settings
from serving import release as releases
from serving.scorer import Calibration, Scorer
from training import examples, plan
from training.models import churn, next_stage
from training.models.blending import Ingredients
from training.uncertainty import left_out

CHURN_SHARE = 0.6


def refitted(
    found: dict[str, Ingredients | None], made: examples.Examples, dates: plan.Plan, settings: Settings, *, status: str
) -> Scorer:
    """What is released: both models fitted on every refit date; where there was no skill, the base rate of churn."""
    rows = made.at(dates.refit)
    scorer, said = _fitted(found, rows, made, settings)
    final = with_status(status, scorer, rows)
    if status == "no_skill":
        said = said.at_one_rate(final.churn.parts[0][1].margin[0])
    return left_out.sure(final, rows, said, settings)


def with_status(status: str, scorer: Scorer, rows: pa.Table) -> Scorer:
    """The scorer with that status: without skill, p is the base rate of `rows`."""
    if status != "no_skill":
        return replace(scorer, status=status)
    return replace(scorer, status=status, churn=churn.base_rate(rows), calibration=Calibration())


def find(
    early: pa.Table, made: examples.Examples, settings: Settings, only: str | None
) -> dict[str, Ingredients | None]:
    seconds, found = settings.training.seconds, {}
    if only in (None, "churn"):
        found["churn"] = churn.find(early, made.modelled, settings, seconds=seconds if only else seconds * CHURN_SHARE)
    if only in (None, "next-stage"):
        share = seconds if only else seconds * (1 - CHURN_SHARE)
        fits = next_stage.enough(early)
        found["next-stage"] = next_stage.find(early, made.modelled, settings, seconds=share) if fits else None
    return found


def fit(found: dict[str, Ingredients | None], rows: pa.Table, made: examples.Examples, settings: Settings) -> Scorer:
    scorer, said = _fitted(found, rows, made, settings)
    return left_out.sure(scorer, rows, said, settings)


def _fitted(
    found: dict[str, Ingredients | None], rows: pa.Table, made: examples.Examples, settings: Settings
) -> tuple[Scorer, left_out.LeftOut]:
    """The scorer of what was found, fitted on `rows`, and what is said of each row without its customer.

    Where no next-stage model is worth it, q is by frequencies.
    """
    said = left_out.told(found, rows, made.modelled, settings)
    scorer = models(found, rows, made, settings, margin=said.margin)
    return replace(scorer, bearings=churn.bearings(scorer, rows)), said


def models(
    found: dict[str, Ingredients | None], rows: pa.Table, made: examples.Examples, settings: Settings, *,
    margin: np.ndarray | None = None,
) -> Scorer:  # fmt: skip
    blend, calibrated = churn.fit(found["churn"], rows, made.modelled, settings, margin=margin)
    if found["next-stage"] is not None:
        q, classes = next_stage.fit(found["next-stage"], rows, made.modelled, settings)
    else:
        q, classes = next_stage.frequencies(rows)
    stay_rows = next_stage.stayers(rows).num_rows
    return Scorer(made.definitions, made.modelled, blend, calibrated, q, classes, rows.num_rows, stay_rows)


def refits(
    found: dict[str, Ingredients | None], made: examples.Examples, settings: Settings
) -> Callable[[pa.Table], Scorer]:
    """Fits what was found on any labelled rows, q by frequencies where they are too few: no reasons, sets or spreads."""

    def fit(rows: pa.Table) -> Scorer:
        enough = {} if next_stage.enough(rows) else {"next-stage": None}
        return models(found | enough, rows, made, settings)

    return fit


def ingredients(release: releases.Release) -> dict[str, Ingredients | None]:
    """What a release's search found, as its evaluation tells it."""
    found = release.evaluation["found"]
    return {job: None if part == "frequencies" else Ingredients(**part) for job, part in found.items()}
