"""Training one model alone: the other one comes from the newest release."""

from __future__ import annotations

from dataclasses import replace

from features.core.errors import ReleaseRefused
from features.core.settings import Settings
from serving.release.release import Release
from serving.release.sandbox import load_in_subprocess
from serving.scoring.scorer import Scorer
from training.examples import ExampleColumns
from training.promote import newest_release_folder


def release_of_other_model(only: str, settings: Settings, columns: ExampleColumns) -> Release:
    """The newest release, if its other model fits this training; ReleaseRefused otherwise.

    It may never have been promoted, so a child process loads it first.
    """
    fix = "Train both models. Type: lifecycle train"
    try:
        newest = load_in_subprocess(newest_release_folder())
    except ReleaseRefused as error:
        raise ReleaseRefused(
            where=f"train {only}",
            got=f"no release to take the other model from ({error.got})",
            rule="A release holds both models.",
            fix=fix,
        ) from error
    fits = {
        "the configuration": newest.config == settings.definitions(),
        "the features": newest.scorer.columns == columns.modelled,
        "the stage definitions": newest.scorer.definitions == columns.definitions,
        "the kind of training": "models" in newest.evaluation,
    }
    differences = [what for what, same in fits.items() if not same]
    if differences:
        raise ReleaseRefused(
            where=f"train {only}, release {newest.id}",
            got=f"a difference in {', '.join(differences)}",
            rule="Both models of a release share configuration, features and stages.",
            fix=fix,
        )
    return newest


def with_other_model(scorer: Scorer, other: Scorer, only: str) -> Scorer:
    """The scorer with the other release's model in place of the one that was not trained."""
    if only == "churn":
        return replace(
            scorer, next_stage=other.next_stage, classes=other.classes, stay_rows=other.stay_rows
        )
    return replace(
        scorer,
        churn=other.churn,
        calibration=other.calibration,
        reason_reference=other.reason_reference,
    )
