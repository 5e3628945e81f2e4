"""From rows and what a search found to a scorer: both models fitted, calibrated, and how sure they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyarrow as pa

from features.core.settings import Settings
from serving.release import release as releases
from serving.scoring.parts import Blend
from serving.scoring.scorer import Calibration, Scorer
from training import examples, plan
from training.models import churn, next_stage
from training.models.blending import BlendSpec
from training.parallel import run_in_parallel
from training.uncertainty import out_of_fold

CHURN_SHARE = 0.6


def search_models(
    early: pa.Table, made: examples.Examples, settings: Settings, only: str | None
) -> dict[str, BlendSpec | None]:
    """The ingredients of both models (or of `only` one), searched side by side; None where q stays with frequencies."""
    seconds = settings.training.seconds

    def leaving(share: float = 1.0) -> BlendSpec:
        return churn.search_churn_model(early, made.modelled, settings, seconds=seconds * share)

    def staying(share: float = 1.0) -> BlendSpec | None:
        enough = next_stage.enough(early)
        return (
            next_stage.search_stage_model(early, made.modelled, settings, seconds=seconds * share)
            if enough
            else None
        )

    if only is not None:
        return {only: leaving() if only == "churn" else staying()}
    found = run_in_parallel(lambda: leaving(CHURN_SHARE), lambda: staying(1 - CHURN_SHARE))
    return dict(zip(("churn", "next-stage"), found, strict=True))


def fit(
    found: dict[str, BlendSpec | None], rows: pa.Table, made: examples.Examples, settings: Settings
) -> Scorer:
    """The scorer of what was found on labelled rows, calibrated, with reasons, sets and spreads."""
    scorer, said = _fitted(found, rows, made, settings)
    return out_of_fold.sure(scorer, rows, said, settings)


def refitted(
    found: dict[str, BlendSpec | None],
    made: examples.Examples,
    dates: plan.Plan,
    settings: Settings,
    *,
    status: str,
) -> Scorer:
    """What is released: both models fitted on every refit date; where there was no skill, the base rate of churn."""
    rows = made.at(dates.refit)
    scorer, said = _fitted(found, rows, made, settings)
    final = with_status(status, scorer, rows)
    if status == "no_skill":
        said = said.at_one_rate(final.churn.parts[0][1].margin[0])
    return out_of_fold.sure(final, rows, said, settings)


def with_status(status: str, scorer: Scorer, rows: pa.Table) -> Scorer:
    """The scorer with that status: without skill, p is the base rate of `rows`."""
    if status != "no_skill":
        return replace(scorer, status=status)
    return replace(scorer, status=status, churn=churn.base_rate(rows), calibration=Calibration())


def _fitted(
    found: dict[str, BlendSpec | None], rows: pa.Table, made: examples.Examples, settings: Settings
) -> tuple[Scorer, out_of_fold.OutOfFold]:
    """The scorer of what was found, fitted on `rows`, and what is said of each row without its customer."""
    churn_said, stages_said = run_in_parallel(
        lambda: out_of_fold.of_churn(found["churn"], rows, made.modelled, settings),
        lambda: out_of_fold.of_stages(found["next-stage"], rows, made.modelled, settings),
    )
    said = out_of_fold.OutOfFold(*churn_said, stages_said)
    scorer = models(found, rows, made, settings, margin=said.margin)
    return replace(scorer, bearings=churn.bearings(scorer, rows)), said


def models(
    found: dict[str, BlendSpec | None],
    rows: pa.Table,
    made: examples.Examples,
    settings: Settings,
    *,
    margin: np.ndarray | None = None,
) -> Scorer:
    """Both models on labelled rows and the calibration of p, without reasons, sets and spreads.

    `margin`: log-odds from fits without the row's customer, where they are known already.
    """
    (blend, calibrated), (q, classes) = run_in_parallel(
        lambda: churn.fit(found["churn"], rows, made.modelled, settings, margin=margin),
        lambda: _stages(found["next-stage"], rows, made, settings),
    )
    stay_rows = next_stage.stayers(rows).num_rows
    return Scorer(
        made.definitions, made.modelled, blend, calibrated, q, classes, rows.num_rows, stay_rows
    )


def _stages(
    part: BlendSpec | None, rows: pa.Table, made: examples.Examples, settings: Settings
) -> tuple[Blend, tuple[str, ...]]:
    """q and its stages; by frequencies where no model is worth it."""
    return (
        next_stage.frequencies(rows)
        if part is None
        else next_stage.fit(part, rows, made.modelled, settings)
    )


def refits(
    found: dict[str, BlendSpec | None], made: examples.Examples, settings: Settings
) -> Callable[[pa.Table], Scorer]:
    """Fits what was found on any labelled rows, q by frequencies where they are too few: no reasons, sets or spreads."""

    def fit(rows: pa.Table) -> Scorer:
        enough = {} if next_stage.enough(rows) else {"next-stage": None}
        return models(found | enough, rows, made, settings)

    return fit


def ingredients(release: releases.Release) -> dict[str, BlendSpec | None]:
    """What a release's search found, as its evaluation tells it."""
    found = release.evaluation["found"]
    return {
        job: None if part == "frequencies" else BlendSpec(**part) for job, part in found.items()
    }
