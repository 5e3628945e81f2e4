"""One training, step by step: plan → examples → search → fit → evaluate → refit → release → record.

run = TrainingRun(history, settings)
run.evaluation          # computes every step before it, once
trained = run.finish()  # writes the release and the records
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.core.errors import BadSetting, NotEnoughData, ReleaseRefused
from features.core.instants import day_text
from features.core.progress import print_status
from features.core.settings import Settings, home
from features.core.staged_files import staged_file
from features.engine.consent import with_consent
from features.recipes.attributes import sensitive_left_out
from features.recipes.stages import STAGES
from features.tables.freshness import read_recorded_days
from features.tables.history import History
from features.tables.snapshots import refuse_snapshots
from serving.release.release import (
    Release,
    current_release_folder,
    load_release,
    refuse_unwritable_store,
    write_release,
)
from serving.release.release_store import served_release_id
from serving.release.sandbox import load_in_subprocess
from serving.release.seen_future import SeenFuture
from serving.scoring.scorer import Calibration, Scorer
from serving.scoring.sub_releases import SubRelease
from training import fitting, metrics, sub_releases
from training.evaluation import ablation
from training.evaluation import learning_curve as curves
from training.evaluation.evaluate import evaluate
from training.evaluation.gate import judge, not_comparable
from training.evaluation.leading_columns import check_leading_columns
from training.evaluation.movement import movement_report
from training.evaluation.plausibility import (
    served_churn_report,
    skill_note,
    with_own_objections,
)
from training.examples import ExampleColumns, Examples, example_columns, make_examples
from training.fitting import Specs, fitting_for, specs_of, with_status
from training.models import churn, fit_rates, next_stage
from training.models.fit_reasons import reason_reference
from training.models.remembered_fits import remember_fits
from training.parallel import reproducible_fits
from training.past import PastTraining, what_was_seen
from training.plan import Plan, make_plan, refuse_without_dates
from training.plots.draw import draw
from training.promote import newest_release_folder
from training.reports import card
from training.silent_feeds import FreshPlan, leave_out_silence
from training.tracking import record, tracking
from training.uncertainty.unseen_rows import uncertainty_report

JOBS = ("churn", "next-stage")
NEEDED = ("matplotlib", "optuna", "sklearn")  # of the extra `train`
NOTE = "Figures are of the models fitted on the train dates; the release is refitted on all dates."


@dataclass(frozen=True)
class Trained:
    """What a training wrote: the release folder, its status, the evaluation, the MLflow run ids.

    A run id is None where MLflow could not record the run.
    """

    folder: Path
    status: str
    evaluation: dict[str, Any]
    runs: dict[str, str | None]


class TrainingRun:
    """One training. Each step is computed when it is first asked for, from the steps before it.

    `only` trains one of JOBS; the other model comes from the newest release. `examples`: those of
    this plan, where they are there already. `past`: the release of an earlier day.
    """

    def __init__(
        self,
        history: History,
        settings: Settings,
        *,
        only: str | None = None,
        learning_curve: bool = False,
        with_ablation: bool = False,
        examples: Examples | None = None,
        past: PastTraining | None = None,
    ) -> None:
        self.everybody = history
        self.history = with_consent(history, settings, "train", at=history.data_until)
        self.settings = settings
        self.only = only
        self.learning_curve = learning_curve
        self.ablation = with_ablation
        self.known_examples = examples
        self.past = past
        self.began = time.time()

    @cached_property
    def fresh_plan(self) -> FreshPlan:
        """The plan without silence, and what it leaves out. NotEnoughData without any date."""
        refuse_snapshots(self.history)
        plan = make_plan(self.history, self.settings)
        refuse_without_dates(plan, self.settings)
        # A feed is as fresh as all its rows, also where only some may be learned from.
        recorded = read_recorded_days(self.everybody, self.settings)
        return leave_out_silence(plan, recorded, self.settings)

    @property
    def plan(self) -> Plan:
        """The instants that are trained on, evaluated and refitted."""
        return self.fresh_plan.plan

    @cached_property
    def columns(self) -> ExampleColumns:
        """The definitions and columns of the examples, known before a row is built.

        Without those of tables that had fallen silent.
        """
        columns = example_columns(self.history, self.settings, self.plan)
        return columns.without_tables(self.fresh_plan.tables)

    @cached_property
    def other_release(self) -> Release | None:
        """With `only` the release of the other model; ReleaseRefused where the two do not fit."""
        return None if self.only is None else _other_release(self)

    @cached_property
    def examples(self) -> Examples:
        """Feature rows with outcomes. What would be refused is refused before a row is built."""
        _ = self.other_release
        if self.known_examples is None:
            examples = make_examples(self.history, self.settings, self.plan, columns=self.columns)
        else:
            examples = self.known_examples.without_tables(self.fresh_plan.tables)
        churn.refuse_too_few(examples.rows_at(self.plan.train))
        return examples

    @cached_property
    def train_rows(self) -> pa.Table:
        """The examples of the training dates."""
        return self.examples.rows_at(self.plan.train)

    @cached_property
    def eval_rows(self) -> pa.Table:
        """The examples of the evaluation dates; no model has seen them before the refit."""
        return self.examples.rows_at(self.plan.evaluate)

    @cached_property
    def specs(self) -> Specs:
        """What the search found for each model. With `only` the other release's spec is used too.

        Its model is fitted on the training dates anew: as served it has seen the evaluation dates.
        """
        former = specs_of(self.other_release) if self.other_release else {}
        columns = self.examples.modelled
        return former | fitting.search_models(
            self.train_rows, columns, self.settings, only=self.only
        )

    @cached_property
    def fitting(self) -> fitting.Fitting:
        """Fits these specs on any rows."""
        return fitting_for(self.specs, self.examples, self.settings)

    @cached_property
    def eval_scorer(self) -> Scorer:
        """The scorer fitted on the training dates alone: the one that is evaluated."""
        return self.fitting.fit_scorer(self.train_rows)

    def _fit_without(self, columns: tuple[str, ...]) -> Scorer:
        """The churn model of the same spec on fewer columns, for the ablation."""
        examples = replace(self.examples, modelled=columns)
        return fitting_for(self.specs, examples, self.settings).fit_models(self.train_rows)

    @cached_property
    def scorer_report(self) -> dict[str, Any]:
        """The evaluation beside the baselines, without what only the release adds."""
        report = evaluate(
            self.eval_scorer, self.train_rows, self.eval_rows, self.examples, self.settings
        )
        notes = [
            check_leading_columns(
                report,
                self.eval_scorer,
                self.eval_rows,
                self.examples.columns,
                self.history,
                self.settings,
            )
        ]
        report |= uncertainty_report(self.eval_scorer, self.eval_rows)
        if self.ablation:
            report["ablation"] = ablation.ablation(
                self.eval_scorer,
                self._fit_without,
                self.examples,
                self.eval_rows,
                report["churn"],
            )
            notes.append(ablation.note(report))
        report["notes"] = [one for one in notes if one]
        if self.learning_curve:
            report["learning_curve"] = curves.learning_curve(
                self.fitting.fit_models, self.examples, self.plan, self.settings
            )
        return report

    @property
    def _harmful_families(self) -> tuple[str, ...]:
        """The families that the ablation shows to do harm; none without an ablation."""
        return tuple(self.scorer_report.get("ablation", {}).get("harmful", ()))

    @cached_property
    def status(self) -> str:
        """ok or no_skill; of the other release's churn model where that one is kept."""
        if self.only == "next-stage" and self.other_release is not None:
            return self.other_release.scorer.status
        return "ok" if metrics.has_skill(self.scorer_report["churn"]) else "no_skill"

    @cached_property
    def final_scorer(self) -> Scorer:
        """The scorer of the release: both models fitted on every refit date."""
        _ = self.status
        print_status(f"fitting the release on {len(self.plan.refit)} dates")
        rows = self.examples.rows_at(self.plan.refit)
        scorer = self.fitting.fit_released_scorer(
            rows, labelled=self.examples.rows, status=self.status
        )
        if scorer.reason_reference and self._harmful_families:
            reference = replace(scorer.reason_reference, last_families=self._harmful_families)
            scorer = replace(scorer, reason_reference=reference)
        if self.other_release is None:
            return scorer
        return _with_other_model(scorer, self.other_release.scorer, str(self.only))

    @cached_property
    def sub_releases(self) -> list[sub_releases.FittedSubRelease]:
        """A scorer for the days without each table that a score can do without."""
        return sub_releases.fit_sub_releases(
            self.fitting,
            self.examples,
            self.settings,
            train_rows=self.train_rows,
            eval_rows=self.eval_rows,
            calibration=self.eval_scorer.calibration,
            least_spread=self.final_scorer.rate_spread,
            last_families=self._harmful_families,
        )

    @cached_property
    def evaluation(self) -> dict[str, Any]:
        """All that evaluation.json holds: aggregates only."""
        without = {each.sub_release.name: each.report for each in self.sub_releases}
        report = self.scorer_report | _training_facts(self)
        report |= {"movement": _movement(self), "without": without}
        served = with_status(self.status, self.eval_scorer, self.train_rows)
        report["churn"] = served_churn_report(report["churn"], served, self.eval_rows)
        if note := skill_note(report):
            report["notes"] = [note, *report["notes"]]
        # The release of an earlier day is not compared with one that knows what came after.
        if self.past or not (gate := _gate_section(self)):
            return report
        return report | {"gate": with_own_objections(gate["gate"], report["churn"])}

    def finish(self) -> Trained:
        """Write the release (not served yet), the hold-out predictions and the MLflow records."""
        seen = what_was_seen(self.examples, self.settings, other=self.other_release, past=self.past)
        folder = _write_release(
            self.final_scorer,
            [each.sub_release for each in self.sub_releases],
            self.examples,
            self.history,
            self.settings,
            self.evaluation,
            seen,
            silent=self.fresh_plan.tables,
        )
        return Trained(folder, self.status, self.evaluation, _record_runs(self, folder))


def refuse_unknown_model(name: str | None) -> None:
    """BadSetting for a name that is not one of JOBS; None stands for both."""
    if name is not None and name not in JOBS:
        raise BadSetting(
            where="train",
            got="an unknown model",
            rule=f"It is {' or '.join(JOBS)}.",
            fix="Leave it out for both.",
            values=[name],
        )


def train(
    history: History,
    settings: Settings,
    *,
    only: str | None = None,
    learning_curve: bool = False,
    with_ablation: bool = False,
    past: PastTraining | None = None,
) -> Trained:
    """Train both models (or one of JOBS) and write a release, which is not served yet.

    `only`: the other model comes from the newest release; ReleaseRefused where that release has
    another configuration. `learning_curve`: also refit on fewer customers and dates.
    `with_ablation`: also refit without each family of features. `past`: see training.past.
    NotEnoughData says what is missing and LeakSuspected what knows too much; nothing is written
    then.
    """
    refuse_unknown_model(only)
    if with_ablation:
        ablation.refuse_simpler_model(settings)
    refuse_unwritable_store()
    for library in NEEDED:
        import_module(library)  # an absent one is an error now, and not after minutes of work
    with reproducible_fits(), remember_fits():
        return TrainingRun(
            history,
            settings,
            only=only,
            learning_curve=learning_curve,
            with_ablation=with_ablation,
            past=past,
        ).finish()


def train_rates(history: History, settings: Settings, why: NotEnoughData) -> Trained:
    """Write a release of rates, marked not_enough_data, where `why` there is no model.

    Stages and the rate of each segment are useful all the same (`training.models.fit_rates`).
    """
    began = time.time()
    history = with_consent(history, settings, "train", at=history.data_until)
    plan = replace(make_plan(history, settings), train=())
    examples = make_examples(history, settings, plan)
    evaluation = {
        "status": "not_enough_data",
        "why": {"got": why.got, "rule": why.rule, "do": why.fix},
        "rows": examples.rows.num_rows,
    }
    scorer = _rates_scorer(examples, contractual=settings.contractual)
    subs = [
        SubRelease(
            lacks,
            _rates_scorer(examples.without_tables(lacks), contractual=settings.contractual),
        )
        for lacks in sub_releases.possible_lacks(examples, settings)
    ]
    evaluation["movement"] = movement_report(examples.rows, scorer.p_churn(examples.rows))
    seen = what_was_seen(examples, settings)
    folder = _write_release(scorer, subs, examples, history, settings, evaluation, seen)
    records = record.build_records(
        JOBS,
        evaluation=evaluation,
        settings=settings,
        examples=examples,
        dates=plan,
        holdout=None,
        blends={},
        release=folder,
        began=began,
        pictures=(),
    )
    runs = {each.job: tracking.record_run(each) for each in records}
    return Trained(folder, "not_enough_data", evaluation, runs)


def _rates_scorer(examples: Examples, *, contractual: bool) -> Scorer:
    rows = examples.rows
    q, classes = fit_rates.fit_stage_rates(rows, examples.modelled)
    p = fit_rates.fit_rates(rows, examples.modelled, examples.definitions, contractual=contractual)
    return Scorer(
        examples.definitions,
        examples.modelled,
        p,
        Calibration(),
        q,
        classes,
        rows.num_rows,
        next_stage.stayers(rows).num_rows,
        status="not_enough_data",
    )


def _other_release(run: TrainingRun) -> Release:
    """The newest release, if its other model fits this training; ReleaseRefused otherwise.

    It may never have been promoted, so a child process loads it first.
    """
    fix = "Train both models. Type: lifecycle train"
    try:
        newest = load_in_subprocess(newest_release_folder())
    except ReleaseRefused as error:
        raise ReleaseRefused(
            where=f"train {run.only}",
            got=f"no release to take the other model from ({error.got})",
            rule="A release holds both models.",
            fix=fix,
        ) from error
    fits = {
        "the configuration": newest.config == run.settings.definitions(),
        "the features": newest.scorer.columns == run.columns.modelled,
        "the stage definitions": newest.scorer.definitions == run.columns.definitions,
        "the kind of training": "models" in newest.evaluation,
    }
    differences = [what for what, same in fits.items() if not same]
    if differences:
        raise ReleaseRefused(
            where=f"train {run.only}, release {newest.id}",
            got=f"a difference in {', '.join(differences)}",
            rule="Both models of a release share configuration, features and stages.",
            fix=fix,
        )
    return newest


def _with_other_model(scorer: Scorer, other: Scorer, only: str) -> Scorer:
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


def _training_facts(run: TrainingRun) -> dict[str, Any]:
    def days(instants: tuple[int, ...]) -> list[str]:
        return [day_text(at, zone=run.settings.zone) for at in instants]

    plan, examples = run.plan, run.examples
    models = {
        job: spec.summary() if spec else fitting.FREQUENCIES for job, spec in run.specs.items()
    }
    return {
        "status": run.status,
        "horizon_days": run.settings.churn.horizon_days,
        "features": len(examples.modelled),
        "as_of": {
            "train": days(plan.train),
            "evaluate": days(plan.evaluate),
            "refit": days(plan.refit),
        },
        "late_activity": examples.late_activity,
        "sensitive_left_out": _sensitive_columns(run),
        "silent_tables": list(run.fresh_plan.tables),
        "stale_dates": days(run.fresh_plan.dates),
        "unused_features": sorted(set(examples.names) - set(examples.modelled)),
        "models": models,
        "note": NOTE,
    }


def _sensitive_columns(run: TrainingRun) -> list[str]:
    if "customers" not in run.history.names:
        return []
    names = run.history.table("customers").collect_schema().names()
    return sensitive_left_out(names, run.settings)


def _movement(run: TrainingRun) -> dict[str, Any]:
    """How far neighbouring dates of the refit lie apart, by p that is out of fold."""
    rows, scorer = run.examples.rows_at(run.plan.refit), run.final_scorer
    p = scorer.p_churn(rows)
    if scorer.status == "ok" and run.other_release is None:
        margin = run.fitting.out_of_fold_margins(rows)
        # Who cannot churn has no margin, and the same p at every date.
        p = np.where(np.isnan(margin), p, scorer.p_from_margin(np.nan_to_num(margin)))
    return movement_report(rows, p)


def _gate_section(run: TrainingRun) -> dict[str, Any]:
    """{"gate": …}: the comparison with the release that is served.

    Where this training made the served release once more, the section of that release. A served
    release that cannot be loaded (an old format, a damaged file) is not compared, and this is said.
    """
    served = served_release_id()
    try:
        champion = load_release(current_release_folder()) if served else None
    except ReleaseRefused as error:
        return {"gate": not_comparable(str(served), f"the served release has {error.got}")}
    if champion and _same_scores(run.final_scorer, champion.scorer, run.eval_rows):
        return {"gate": champion.evaluation["gate"]} if "gate" in champion.evaluation else {}

    def fit(release: Release, rows: pa.Table, examples: Examples) -> Scorer:
        examples = replace(examples, modelled=release.scorer.columns)
        scorer = fitting_for(specs_of(release), examples, run.settings).fit_models(rows)
        scorer = replace(scorer, reason_reference=reason_reference(scorer, rows, examples.columns))
        return with_status(release.scorer.status, scorer, rows)

    print_status("gate: comparing with the release that is served")
    challenger = with_status(run.final_scorer.status, run.eval_scorer, run.train_rows)
    verdict = judge(
        challenger, champion, run.examples, run.plan, run.history, run.settings, fit=fit
    )
    return {"gate": verdict}


def _same_scores(one: Scorer, other: Scorer, rows: pa.Table) -> bool:
    ours = (one.definitions, one.columns, one.status)
    if ours != (other.definitions, other.columns, other.status):
        return False
    pairs = zip(one.score(rows), other.score(rows), strict=True)
    return all(np.array_equal(mine, theirs) for mine, theirs in pairs)


def _write_release(
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


def _record_runs(run: TrainingRun, folder: Path) -> dict[str, str | None]:
    """One MLflow run for each trained model; the hold-out predictions lie beside the store."""
    holdout = record.Holdout(run.eval_rows, *run.eval_scorer.score(run.eval_rows))
    with tempfile.TemporaryDirectory(prefix="lifecycle-plots-") as place:
        records = record.build_records(
            [run.only] if run.only else JOBS,
            evaluation=run.evaluation,
            settings=run.settings,
            examples=run.examples,
            dates=run.plan,
            holdout=holdout,
            blends=run.specs,
            release=folder,
            began=run.began,
            pictures=draw(run.evaluation, Path(place)),
        )
        if run.past:
            records = [run.past.mark_record(each) for each in records]
        runs = {each.job: tracking.record_run(each) for each in records}
    _save_holdout(next((name for name in runs.values() if name), folder.name), holdout)
    return runs


def _save_holdout(name: str, holdout: record.Holdout) -> None:
    folder = home() / "mlruns" / "holdout" / name
    folder.mkdir(parents=True, exist_ok=True)
    keys = ["customer_id", "as_of", "eligible", "churned", "outcome_stage"]
    rows = holdout.rows.select(keys).append_column("p_churn", pa.array(holdout.p))
    for k, stage in enumerate(STAGES):
        rows = rows.append_column(f"p_next_{stage}", pa.array(holdout.p_next[:, k]))
    # Of single customers: for their owner only.
    with staged_file(folder / "predictions.parquet", private=True) as staged:
        pq.write_table(rows, staged)
