"""What a training leaves: the release folder, one MLflow run a model, the hold-out predictions."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from features.core.language import CHINESE, ENGLISH, use_language
from features.core.settings import Settings
from features.engine.business_columns import feature_tables
from features.tables.history import History
from serving.release.checked_files import CARDS
from serving.release.reference_file import Reference
from serving.release.release import write_release
from serving.release.seen_future import SeenFuture
from serving.scoring.curve import Curve
from serving.scoring.lifetime_value import LifetimeValue
from serving.scoring.scorer import Scorer
from serving.scoring.sub_releases import SubRelease
from training.examples import Examples
from training.fitting import Specs
from training.holdout_file import NAME, RELEASE, save_holdout
from training.judge_estimators import JudgedEstimator
from training.past import PastTraining
from training.plan import Plan
from training.plots.draw import draw
from training.reports import card
from training.targets import FittedTarget, target_models, with_targets
from training.tracking import record, tracking
from training.tracking.run_labels import UNLABELLED, RunLabels
from training.tracking.target_records import target_records

JOBS = ("churn", "next-stage")


@dataclass(frozen=True)
class Trained:
    """What a training wrote: the release folder, its status, the evaluation, the MLflow run ids.

    A run id is None where MLflow could not record the run.
    """

    folder: Path
    status: str
    evaluation: dict[str, Any]
    runs: dict[str, str | None]


def write_trained_release(
    scorer: Scorer,
    subs: Sequence[SubRelease],
    examples: Examples,
    history: History,
    settings: Settings,
    evaluation: dict[str, Any],
    seen: SeenFuture,
    *,
    curve: Curve,
    value: LifetimeValue | None,
    reference: Reference,
    silent: Sequence[str] = (),
    targets: Sequence[FittedTarget] = (),
) -> Path:
    """Write the release of a training, with the population statistics of its newest date."""
    newest = max(examples.population_stats, key=lambda population: population.as_of)
    return write_release(
        scorer,
        sub_releases=with_targets(subs, targets),
        silent=silent,
        targets=target_models(targets),
        curve=curve,
        value=value,
        reference=reference,
        all_columns=list(examples.columns),
        settings=settings,
        tables=tuple(each for each in feature_tables(history, settings) if each not in silent),
        population=newest,
        evaluation=evaluation,
        cards=_cards(scorer, evaluation, settings),
        times={"made_at": datetime.now(UTC).isoformat(), "versions": card.package_versions()},
        seen=seen,
    )


def _cards(scorer: Scorer, evaluation: dict[str, Any], settings: Settings) -> dict[str, str]:
    """The card in both languages, whatever the reader's is: equal data give equal releases."""
    texts = {}
    for name, language in zip(CARDS, (ENGLISH, CHINESE), strict=True):
        with use_language(language):
            texts[name] = card.card_text(scorer, evaluation, settings)
    return texts


def record_runs(
    jobs: Sequence[str],
    *,
    evaluation: dict[str, Any],
    settings: Settings,
    examples: Examples,
    plan: Plan,
    holdout: record.Holdout,
    specs: Specs,
    folder: Path,
    began: float,
    past: PastTraining | None,
    estimators: Sequence[JudgedEstimator] = (),
    targets: Sequence[FittedTarget] = (),
    labels: RunLabels = UNLABELLED,
) -> dict[str, str | None]:
    """One MLflow run for each job, own estimator (part, report) and target.

    The hold-out predictions lie beside the store.
    """
    seconds = time.time() - began
    with tempfile.TemporaryDirectory(prefix="lifecycle-plots-") as place:
        records = record.build_records(
            jobs,
            evaluation=evaluation,
            settings=settings,
            examples=examples,
            dates=plan,
            holdout=holdout,
            blends=specs,
            release=folder,
            began=began,
            pictures=draw(evaluation, Path(place)),
        )
        records += [
            record.estimator_record(part, report, settings, examples, plan, began=began)
            for part, report in estimators
        ]
        records += target_records(
            records[0],
            {each.model.name: each.report for each in targets},
            {each.model.name: each.spec for each in targets},
        )
        if past:
            records = [past.mark_record(each) for each in records]
        runs = {
            each.name or each.job: tracking.record_run(labels.mark_record(each)) for each in records
        }
    name = next((name for name in runs.values() if name), folder.name)
    of = {RELEASE: folder.name, **{job: run for job, run in runs.items() if run}}
    if labels.name:
        of[NAME] = labels.name
    save_holdout(name, holdout.rows, holdout.p, holdout.p_next, of=of, seconds=seconds)
    return runs
