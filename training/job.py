"""The training job: examples → search → models on earlier dates → evaluation → refit → release, holdout and record."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.errors import NotEnoughData, ReleaseRefused
from features.history import History
from features.progress import say
from features.settings import Settings, day_text, home
from features.stages import STAGES
from serving import release as releases
from serving.scorer import Calibration, Scorer
from training import card, churn, evaluation, examples, left_out, next_stage, plan, promote, rates, record, tracking
from training import learning_curve as curves
from training.blending import Ingredients
from training.evaluate import evaluate
from training.gate import judge
from training.pictures import draw

CHURN_SHARE = 0.6
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
) -> Trained:  # fmt: skip
    """Train both models (or one of JOBS, the other from the newest release) and write a release, not yet served.

    `learning_curve` refits what was found on fewer customers and dates, and adds the curve to the evaluation.
    NotEnoughData says what is missing; nothing is written then.
    """
    began = time.time()
    dates, made, found, scorer, other = learn(history, settings, only=only)
    early, late = made.at(dates.train), made.at(dates.evaluate)
    account = evaluate(scorer, early, late, made, settings) | left_out.account(scorer, late)
    if learning_curve:
        account["learning_curve"] = curves.curve(_smaller(found, made, settings), made, dates, settings)
    say(f"fitting the release on {len(dates.refit)} dates")
    status = "ok" if evaluation.has_skill(account["churn"]) else "no_skill"
    if only == "next-stage":
        status = other.scorer.status  # the churn part is the other release's, and so is its verdict
    account |= _about(made, settings, dates, found, status)
    final = refitted(found, made, dates, settings, status=status)
    if only == "churn":
        final = replace(
            final, next_stage=other.scorer.next_stage, classes=other.scorer.classes, stay_rows=other.scorer.stay_rows
        )
    if only == "next-stage":
        final = replace(
            final, churn=other.scorer.churn, calibration=other.scorer.calibration, bearings=other.scorer.bearings
        )
    account |= _gate(scorer, final, made, dates, history, settings)
    folder = _release(final, made, history, settings, account)
    return Trained(folder, status, account, _record(found, only, account, settings, scorer, made, dates, folder, began))


def learn(
    history: History, settings: Settings, *, only: str | None = None
) -> tuple[plan.Plan, examples.Examples, dict[str, Ingredients | None], Scorer, releases.Release | None]:
    """Everything up to the scorer fitted on the training dates alone: what the evaluation looks at.

    With `only` the other model's ingredients come from the newest release and are fitted on the training dates too:
    the part that is served has seen the evaluation dates, and would flatter itself.
    """
    dates = plan.make(history, settings)
    plan.refuse_without_dates(dates, settings)
    made = examples.make(history, settings, dates)
    early = made.at(dates.train)
    churn.refuse_too_few(early, settings)
    other = _newest(settings, made) if only else None
    found = (_ingredients(other) if other else {}) | _find(early, made, settings, only)
    return dates, made, found, _fit(found, early, made, settings), other


def refitted(
    found: dict[str, Ingredients | None], made: examples.Examples, dates: plan.Plan, settings: Settings, *, status: str
) -> Scorer:
    """What is released: both models fitted on every refit date; where there was no skill, the base rate of churn."""
    rows = made.at(dates.refit)
    scorer, said = _fitted(found, rows, made, settings)
    final = _as(status, scorer, rows)
    if status == "no_skill":
        said = said.at_one_rate(final.churn.parts[0][1].margin[0])
    return left_out.sure(final, rows, said, settings)


def _gate(
    early: Scorer, final: Scorer, made: examples.Examples, dates: plan.Plan, history: History, settings: Settings
) -> dict[str, Any]:
    """{"gate": …} of `training.gate`; where the release that is served is this very one, what its own gate said."""
    try:
        champion = releases.load(releases.current())
    except ReleaseRefused:
        champion = None  # nothing is served, or nothing that could be
    if champion and _same(final, champion.scorer, made.at(dates.evaluate)):
        return {"gate": champion.evaluation["gate"]} if "gate" in champion.evaluation else {}

    def fit(release: releases.Release, rows: pa.Table, of: examples.Examples) -> Scorer:
        of = replace(of, modelled=release.scorer.columns)
        scorer = _models(_ingredients(release), rows, of, settings)
        return _as(release.scorer.status, replace(scorer, bearings=churn.bearings(scorer, rows)), rows)

    say("the gate: beside the release that is served")
    judged = _as(final.status, early, made.at(dates.train))
    return {"gate": judge(judged, champion, made, dates, history, settings, fit=fit)}


def _same(one: Scorer, other: Scorer, rows: pa.Table) -> bool:
    if (one.definitions, one.columns, one.status) != (other.definitions, other.columns, other.status):
        return False
    return all(np.array_equal(ours, theirs) for ours, theirs in zip(one.score(rows), other.score(rows), strict=True))


def _as(status: str, scorer: Scorer, rows: pa.Table) -> Scorer:
    """The scorer with that status: without skill, p is the base rate of `rows`."""
    if status != "no_skill":
        return replace(scorer, status=status)
    return replace(scorer, status=status, churn=churn.base_rate(rows), calibration=Calibration())


def fall_back(history: History, settings: Settings, why: NotEnoughData) -> Trained:
    """A release of rates (`training.rates`), marked `not_enough_data`: stages and a rate are still worth having."""
    began = time.time()
    dates = replace(plan.make(history, settings), train=())
    made = examples.make(history, settings, dates)
    rows = made.rows
    q, classes = rates.next_stage(rows, made.modelled)
    p = rates.churn(rows, made.modelled, made.definitions, settings)
    scorer = Scorer(made.definitions, made.modelled, p, Calibration(), q, classes, rows.num_rows,
                    next_stage.stayers(rows).num_rows, "not_enough_data")  # fmt: skip
    account = {
        "status": "not_enough_data",
        "why": {"got": why.got, "rule": why.rule, "do": why.fix},
        "rows": rows.num_rows,
    }
    folder = _release(scorer, made, history, settings, account)
    kept = record.records(JOBS, account=account, settings=settings, made=made, dates=dates, held=None, found={},
                          release=folder, began=began, pictures=())  # fmt: skip
    return Trained(folder, "not_enough_data", account, {each.job: tracking.record(each) for each in kept})


def _find(
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


def _fit(found: dict[str, Ingredients | None], rows: pa.Table, made: examples.Examples, settings: Settings) -> Scorer:
    scorer, said = _fitted(found, rows, made, settings)
    return left_out.sure(scorer, rows, said, settings)


def _fitted(
    found: dict[str, Ingredients | None], rows: pa.Table, made: examples.Examples, settings: Settings
) -> tuple[Scorer, left_out.LeftOut]:
    """The scorer of what was found, fitted on `rows`, and what is said of each row without its customer.

    Where no next-stage model is worth it, q is by frequencies.
    """
    said = left_out.told(found, rows, made.modelled, settings)
    scorer = _models(found, rows, made, settings, margin=said.margin)
    return replace(scorer, bearings=churn.bearings(scorer, rows)), said


def _models(
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


def _smaller(
    found: dict[str, Ingredients | None], made: examples.Examples, settings: Settings
) -> Callable[[pa.Table], Scorer]:
    """Fits what was found on any labelled rows, q by frequencies where they are too few: no reasons, sets or spreads."""

    def fit(rows: pa.Table) -> Scorer:
        enough = {} if next_stage.enough(rows) else {"next-stage": None}
        return _models(found | enough, rows, made, settings)

    return fit


def _ingredients(release: releases.Release) -> dict[str, Ingredients | None]:
    """What a release's search found, as its evaluation tells it."""
    found = release.evaluation["found"]
    return {job: None if part == "frequencies" else Ingredients(**part) for job, part in found.items()}


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
        raise ReleaseRefused(where=f"release {newest.id}", got=f"a difference in {', '.join(differs)}",
                             rule="Two models of one release share configuration, features and stages.",
                             fix="Run `lifecycle train` for both.")  # fmt: skip
    return newest


def _about(made: examples.Examples, settings: Settings, dates: plan.Plan, found, status: str) -> dict[str, Any]:
    def days(instants: tuple[int, ...]) -> list[str]:
        return [day_text(at, zone=settings.zone) for at in instants]

    return {
        "status": status, "horizon_days": settings.churn.horizon_days, "features": len(made.modelled),
        "as_of": {"train": days(dates.train), "evaluate": days(dates.evaluate), "refit": days(dates.refit)},
        "late_activity": made.late,
        "left_out": sorted(set(made.names) - set(made.modelled)),
        "found": {job: part.summary() if part else "frequencies" for job, part in found.items()},
        "note": "Figures are of the models fitted on the train dates; the release is refitted on the refit dates.",
    }  # fmt: skip


def _release(
    scorer: Scorer, made: examples.Examples, history: History, settings: Settings, account: dict[str, Any]
) -> Path:
    times = {"made_at": datetime.now(UTC).isoformat(), "versions": card.versions()}
    return releases.write(
        scorer, all_columns=list(made.columns), settings=settings, tables=history.names,
        base=max(made.bases, key=lambda base: base.as_of), evaluation=account,
        card=card.text(scorer, account, settings), times=times,
    )  # fmt: skip


def _record(
    found: dict[str, Ingredients | None], only: str | None, account: dict[str, Any], settings: Settings, scorer: Scorer,
    made: examples.Examples, dates: plan.Plan, folder: Path, began: float,
) -> dict[str, str | None]:  # fmt: skip
    """One MLflow run a job that was asked for; the hold-out predictions beside the store, never in it."""
    late = made.at(dates.evaluate)
    held = record.HeldOut(late, *scorer.score(late))
    with tempfile.TemporaryDirectory(prefix="lifecycle-pictures-") as place:
        kept = record.records(
            [only] if only else JOBS, account=account, settings=settings, made=made, dates=dates, held=held, found=found,
            release=folder, began=began, pictures=draw(account, Path(place)),
        )  # fmt: skip
        runs = {each.job: tracking.record(each) for each in kept}
    _holdout(next((run for run in runs.values() if run), folder.name), held)
    return runs


def _holdout(name: str, held: record.HeldOut) -> None:
    folder = home() / "mlruns" / "holdout" / name
    folder.mkdir(parents=True, exist_ok=True)
    kept = held.rows.select(["customer_id", "as_of", "eligible", "churned", "outcome_stage"]).append_column(
        "p_churn", pa.array(held.p)
    )
    for k, stage in enumerate(STAGES):
        kept = kept.append_column(f"p_next_{stage}", pa.array(held.p_next[:, k]))
    pq.write_table(kept, folder / "predictions.parquet")
