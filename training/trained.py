"""What a training leaves: the release folder, one MLflow run a model, the hold-out predictions."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from features.core.settings import Settings, home
from features.core.staged_files import staged_file
from features.recipes.stages import STAGES
from features.tables.history import History
from serving.release.release import write_release
from serving.release.seen_future import SeenFuture
from serving.scoring.scorer import Scorer
from serving.scoring.sub_releases import SubRelease
from training.examples import Examples
from training.fitting import Specs
from training.past import PastTraining
from training.plan import Plan
from training.plots.draw import draw
from training.reports import card
from training.tracking import record, tracking
from training.tracking.run_labels import UNLABELLED, RunLabels

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
    silent: Sequence[str] = (),
) -> Path:
    """Write the release of a training, with the population statistics of its newest date."""
    newest = max(examples.population_stats, key=lambda population: population.as_of)
    return write_release(
        scorer,
        sub_releases=subs,
        silent=silent,
        all_columns=list(examples.columns),
        settings=settings,
        tables=tuple(name for name in history.names if name not in silent),
        population=newest,
        evaluation=evaluation,
        card=card.card_text(scorer, evaluation, settings),
        times={"made_at": datetime.now(UTC).isoformat(), "versions": card.package_versions()},
        seen=seen,
    )


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
    labels: RunLabels = UNLABELLED,
) -> dict[str, str | None]:
    """One MLflow run for each of the jobs; the hold-out predictions lie beside the store."""
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
            labels=labels,
        )
        if past:
            records = [past.mark_record(each) for each in records]
        runs = {each.job: tracking.record_run(each) for each in records}
    name = next((name for name in runs.values() if name), folder.name)
    _save_holdout(
        name, holdout, of={"release": folder.name, **{k: v for k, v in runs.items() if v}}
    )
    return runs


def _save_holdout(name: str, holdout: record.Holdout, *, of: dict[str, str]) -> None:
    """The predictions, with `of` as the file's metadata: the release, and the run of each job."""
    folder = home() / "mlruns" / "holdout" / name
    folder.mkdir(parents=True, exist_ok=True)
    keys = ["customer_id", "as_of", "eligible", "churned", "outcome_stage"]
    rows = holdout.rows.select(keys).append_column("p_churn", pa.array(holdout.p))
    for k, stage in enumerate(STAGES):
        rows = rows.append_column(f"p_next_{stage}", pa.array(holdout.p_next[:, k]))
    # Of single customers: for their owner only.
    with staged_file(folder / "predictions.parquet", private=True) as staged:
        pq.write_table(rows.replace_schema_metadata(of), staged)
