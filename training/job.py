"""The training job: examples → search → models on earlier dates → evaluation → refit → release, holdout and record."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.core.errors import NotEnoughData, ReleaseRefused
from features.core.instants import day_text
from features.core.progress import say
from features.core.settings import Settings, home
from features.recipes.stages import STAGES
from features.tables.history import History
from serving.release import release as releases
from serving.scoring.scorer import Calibration, Scorer
from training import examples, fitting, metrics, plan, promote
from training.evaluation import learning_curve as curves
from training.evaluation.evaluate import evaluate
from training.evaluation.gate import judge
from training.models import churn, fit_rates, next_stage
from training.models.blending import BlendSpec
from training.plots.draw import draw
from training.reports import card
from training.tracking import record, tracking
from training.uncertainty import out_of_fold

JOBS = ("churn", "next-stage")


@dataclass(frozen=True)
class Trained:
    """What a job left behind: the release folder, its status, the evaluation, the MLflow run ids (None: not recorded)."""

    folder: Path
    status: str
    evaluation: dict[str, Any]
    runs: dict[str, str | None]


def train(
    history: History, settings: Settings, *, only: str | None = None, learning_curve: bool = False
) -> Trained:
    """Train both models (or one of JOBS, the other from the newest release) and write a release, not yet served.

    `learning_curve` refits what was found on fewer customers and dates, and adds the curve to the evaluation.
    NotEnoughData says what is missing; nothing is written then.
    """
    began = time.time()
    dates, made, found, scorer, other = fit_for_evaluation(history, settings, only=only)
    early, late = made.at(dates.train), made.at(dates.evaluate)
    account = evaluate(scorer, early, late, made, settings) | out_of_fold.account(scorer, late)
    if learning_curve:
        account["learning_curve"] = curves.curve(
            fitting.refits(found, made, settings), made, dates, settings
        )
    say(f"fitting the release on {len(dates.refit)} dates")
    status = "ok" if metrics.has_skill(account["churn"]) else "no_skill"
    if only == "next-stage":
        status = other.scorer.status  # the churn part is the other release's, and so is its verdict
    account |= _about(made, settings, dates, found, status)
    final = fitting.refitted(found, made, dates, settings, status=status)
    if only == "churn":
        final = replace(
            final,
            next_stage=other.scorer.next_stage,
            classes=other.scorer.classes,
            stay_rows=other.scorer.stay_rows,
        )
    if only == "next-stage":
        final = replace(
            final,
            churn=other.scorer.churn,
            calibration=other.scorer.calibration,
            bearings=other.scorer.bearings,
        )
    account |= _gate(scorer, final, made, dates, history, settings)
    folder = _release(final, made, history, settings, account)
    return Trained(
        folder,
        status,
        account,
        _record(found, only, account, settings, scorer, made, dates, folder, began),
    )


def fit_for_evaluation(
    history: History, settings: Settings, *, only: str | None = None
) -> tuple[
    plan.Plan, examples.Examples, dict[str, BlendSpec | None], Scorer, releases.Release | None
]:
    """Everything up to the scorer fitted on the training dates alone: what the evaluation looks at.

    With `only` the other model's ingredients come from the newest release and are fitted on the training dates too:
    the part that is served has seen the evaluation dates, and would flatter itself.
    """
    dates = plan.make_plan(history, settings)
    plan.refuse_without_dates(dates, settings)
    made = examples.make_examples(history, settings, dates)
    early = made.at(dates.train)
    churn.refuse_too_few(early, settings)
    other = _newest(settings, made) if only else None
    found = (fitting.ingredients(other) if other else {}) | fitting.search_models(
        early, made, settings, only
    )
    return dates, made, found, fitting.fit(found, early, made, settings), other


def _gate(
    early: Scorer,
    final: Scorer,
    made: examples.Examples,
    dates: plan.Plan,
    history: History,
    settings: Settings,
) -> dict[str, Any]:
    """{"gate": …} of `training.evaluation.gate`; where the release that is served is this very one, what its own gate said."""
    try:
        champion = releases.load(releases.current())
    except ReleaseRefused:
        champion = None  # nothing is served, or nothing that could be
    if champion and _same(final, champion.scorer, made.at(dates.evaluate)):
        return {"gate": champion.evaluation["gate"]} if "gate" in champion.evaluation else {}

    def fit(release: releases.Release, rows: pa.Table, of: examples.Examples) -> Scorer:
        of = replace(of, modelled=release.scorer.columns)
        scorer = fitting.models(fitting.ingredients(release), rows, of, settings)
        return fitting.with_status(
            release.scorer.status, replace(scorer, bearings=churn.bearings(scorer, rows)), rows
        )

    say("the gate: beside the release that is served")
    judged = fitting.with_status(final.status, early, made.at(dates.train))
    return {"gate": judge(judged, champion, made, dates, history, settings, fit=fit)}


def _same(one: Scorer, other: Scorer, rows: pa.Table) -> bool:
    if (one.definitions, one.columns, one.status) != (
        other.definitions,
        other.columns,
        other.status,
    ):
        return False
    return all(
        np.array_equal(ours, theirs)
        for ours, theirs in zip(one.score(rows), other.score(rows), strict=True)
    )


def fall_back(history: History, settings: Settings, why: NotEnoughData) -> Trained:
    """A release of rates (`training.models.fit_rates`), marked `not_enough_data`: stages and a rate are still worth having."""
    began = time.time()
    dates = replace(plan.make_plan(history, settings), train=())
    made = examples.make_examples(history, settings, dates)
    rows = made.rows
    q, classes = fit_rates.next_stage(rows, made.modelled)
    p = fit_rates.churn(rows, made.modelled, made.definitions, settings)
    scorer = Scorer(
        made.definitions,
        made.modelled,
        p,
        Calibration(),
        q,
        classes,
        rows.num_rows,
        next_stage.stayers(rows).num_rows,
        "not_enough_data",
    )
    account = {
        "status": "not_enough_data",
        "why": {"got": why.got, "rule": why.rule, "do": why.fix},
        "rows": rows.num_rows,
    }
    folder = _release(scorer, made, history, settings, account)
    kept = record.records(
        JOBS,
        account=account,
        settings=settings,
        made=made,
        dates=dates,
        held=None,
        found={},
        release=folder,
        began=began,
        pictures=(),
    )
    return Trained(
        folder, "not_enough_data", account, {each.job: tracking.record(each) for each in kept}
    )


def _newest(settings: Settings, made: examples.Examples) -> releases.Release:
    newest = releases.load(promote.newest())
    same = {
        "the configuration": newest.made_for == settings.definitions(),
        "the features": newest.scorer.columns == made.modelled,
        "the stage definitions": newest.scorer.definitions == made.definitions,
        "having been trained": "found" in newest.evaluation,
    }
    differs = [what for what, equal in same.items() if not equal]
    if differs:
        raise ReleaseRefused(
            where=f"release {newest.id}",
            got=f"a difference in {', '.join(differs)}",
            rule="Two models of one release share configuration, features and stages.",
            fix="Run `lifecycle train` for both.",
        )
    return newest


def _about(
    made: examples.Examples, settings: Settings, dates: plan.Plan, found, status: str
) -> dict[str, Any]:
    def days(instants: tuple[int, ...]) -> list[str]:
        return [day_text(at, zone=settings.zone) for at in instants]

    return {
        "status": status,
        "horizon_days": settings.churn.horizon_days,
        "features": len(made.modelled),
        "as_of": {
            "train": days(dates.train),
            "evaluate": days(dates.evaluate),
            "refit": days(dates.refit),
        },
        "late_activity": made.late,
        "left_out": sorted(set(made.names) - set(made.modelled)),
        "found": {job: part.summary() if part else "frequencies" for job, part in found.items()},
        "note": "Figures are of the models fitted on the train dates; the release is refitted on the refit dates.",
    }


def _release(
    scorer: Scorer,
    made: examples.Examples,
    history: History,
    settings: Settings,
    account: dict[str, Any],
) -> Path:
    times = {"made_at": datetime.now(UTC).isoformat(), "versions": card.versions()}
    return releases.write(
        scorer,
        all_columns=list(made.columns),
        settings=settings,
        tables=history.names,
        base=max(made.bases, key=lambda base: base.as_of),
        evaluation=account,
        card=card.text(scorer, account, settings),
        times=times,
    )


def _record(
    found: dict[str, BlendSpec | None],
    only: str | None,
    account: dict[str, Any],
    settings: Settings,
    scorer: Scorer,
    made: examples.Examples,
    dates: plan.Plan,
    folder: Path,
    began: float,
) -> dict[str, str | None]:
    """One MLflow run a job that was asked for; the hold-out predictions beside the store, never in it."""
    late = made.at(dates.evaluate)
    held = record.HeldOut(late, *scorer.score(late))
    with tempfile.TemporaryDirectory(prefix="lifecycle-pictures-") as place:
        kept = record.records(
            [only] if only else JOBS,
            account=account,
            settings=settings,
            made=made,
            dates=dates,
            held=held,
            found=found,
            release=folder,
            began=began,
            pictures=draw(account, Path(place)),
        )
        runs = {each.job: tracking.record(each) for each in kept}
    _holdout(next((run for run in runs.values() if run), folder.name), held)
    return runs


def _holdout(name: str, held: record.HeldOut) -> None:
    folder = home() / "mlruns" / "holdout" / name
    folder.mkdir(parents=True, exist_ok=True)
    kept = held.rows.select(
        ["customer_id", "as_of", "eligible", "churned", "outcome_stage"]
    ).append_column("p_churn", pa.array(held.p))
    for k, stage in enumerate(STAGES):
        kept = kept.append_column(f"p_next_{stage}", pa.array(held.p_next[:, k]))
    pq.write_table(kept, folder / "predictions.parquet")
