"""One training, step by step: plan → examples → search → fit → evaluate → refit → release → record.

run = TrainingRun(history, settings)
run.evaluation          # computes every step before it, once
trained = run.finish()  # writes the release and the records
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import cached_property
from importlib import import_module
from typing import Any

import numpy as np
import pyarrow as pa

from features.core.errors import BadSetting
from features.core.instants import day_text
from features.core.language import say
from features.core.progress import print_status
from features.core.settings import Settings
from features.engine.consent import refuse_missing_flags, with_consent
from features.recipes.attributes import sensitive_left_out
from features.tables.freshness import read_recorded_days
from features.tables.history import History
from features.tables.snapshots import refuse_snapshots
from serving.release.reference_file import Reference
from serving.release.release import Release, refuse_unwritable_store
from serving.scoring.curve import Curve
from serving.scoring.lifetime_value import LifetimeValue
from serving.scoring.scorer import Scorer
from training import compare_served, fitting, metrics, sub_releases
from training.campaigns.untreated_examples import without_contacts
from training.curve import out_of_fold_p, released_curve
from training.drift.fit_reference import fit_reference
from training.evaluation import ablation, own_estimators
from training.evaluation import learning_curve as curves
from training.evaluation.evaluate import evaluate
from training.evaluation.leading_columns import check_leading_columns, telling_attributes
from training.evaluation.movement import movement_report
from training.evaluation.plausibility import (
    served_churn_report,
    skill_note,
    with_own_objections,
)
from training.examples import ExampleColumns, Examples, example_columns, make_examples
from training.fitting import Specs, fitting_for, specs_of, with_status
from training.judge_estimators import JudgedEstimator, judge_estimators
from training.models import churn
from training.models.remembered_fits import remember_fits
from training.other_model import release_of_other_model, with_other_model
from training.over_time import over_time_report
from training.parallel import reproducible_fits
from training.past import PastTraining, what_was_seen
from training.plan import Plan, make_plan, refuse_without_dates
from training.silent_feeds import FreshPlan, leave_out_silence
from training.stand_ins import distinct_rows
from training.targets import FittedTarget, fit_targets, targets_section
from training.tracking import record
from training.tracking.run_labels import UNLABELLED, RunLabels
from training.trained import JOBS, Trained, record_runs, write_trained_release
from training.uncertainty.unseen_rows import uncertainty_report
from training.value import released_value, value_facts

NEEDED = ("matplotlib", "optuna", "sklearn")  # of the extra `train`
NOTE = "Figures are of the models fitted on the train dates; the release is refitted on all dates."


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
        labels: RunLabels = UNLABELLED,
    ) -> None:
        refuse_missing_flags(history, settings)
        self.everybody = history
        self.history = with_consent(history, settings, "train", at=history.data_until)
        self.settings = settings
        self.only = only
        self.learning_curve = learning_curve
        self.ablation = with_ablation
        self.known_examples = examples
        self.past = past
        self.labels = labels
        self.began = time.time()

    @cached_property
    def fresh_plan(self) -> FreshPlan:
        """The plan without silence, and what it leaves out. NotEnoughData without any date."""
        refuse_snapshots(self.history)
        churn.refuse_unknown_churn_model(self.settings)
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
        if self.only is None:
            return None
        return release_of_other_model(self.only, self.settings, self.columns)

    @cached_property
    def examples(self) -> Examples:
        """Feature rows with outcomes, as if nobody had been contacted where that can be known."""
        return self.untreated[0]

    @cached_property
    def untreated(self) -> tuple[Examples, dict[str, Any]]:
        """The examples, and what campaigns changed in them.

        What would be refused is refused before a row is built.
        """
        _ = self.other_release
        if self.known_examples is None:
            examples = make_examples(self.history, self.settings, self.plan, columns=self.columns)
        else:
            examples = self.known_examples.without_tables(self.fresh_plan.tables)
        untreated = without_contacts(examples, self.history, self.settings)
        churn.refuse_too_few(untreated[0].rows_at(self.plan.train))
        return untreated

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
        former = specs_of(self.other_release, self.settings) if self.other_release else {}
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

    @cached_property
    def judged_estimators(self) -> list[JudgedEstimator]:
        """Each of the business's own estimators alone, judged on the evaluation dates."""
        if self.only == "next-stage":
            return []
        return judge_estimators(
            self.fitting,
            self.eval_scorer,
            self.train_rows,
            self.eval_rows,
            self.examples,
            self.settings,
        )

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
            ),
            telling_attributes(self.train_rows, self.eval_rows, self.examples.definitions),
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
        if self.judged_estimators:
            report["estimators"] = [
                own_estimators.summarise(part, one) for part, one in self.judged_estimators
            ]
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
        print_status(say("fitting the release on {dates} dates", dates=len(self.plan.refit)))
        rows = self.examples.rows_at(self.plan.refit)
        scorer = self.fitting.fit_released_scorer(
            rows, labelled=self.examples.rows, status=self.status
        )
        if scorer.reason_reference and self._harmful_families:
            reference = replace(scorer.reason_reference, last_families=self._harmful_families)
            scorer = replace(scorer, reason_reference=reference)
        if self.other_release is None:
            return scorer
        return with_other_model(scorer, self.other_release.scorer, str(self.only))

    @cached_property
    def released_p(self) -> np.ndarray:
        """P(churn) of the refit rows, from fits without the row's customer, (rows,)."""
        rows = self.examples.rows_at(self.plan.refit)
        if self.other_release is None:
            return out_of_fold_p(self.fitting, self.final_scorer, rows)
        return self.final_scorer.p_churn(rows)

    @cached_property
    def curve(self) -> Curve:
        """How the risk spreads over time: one curve for all scorers of the release."""
        rows = self.examples.rows_at(self.plan.refit)
        return released_curve(rows, self.released_p, self.examples, self.settings)

    @cached_property
    def value(self) -> LifetimeValue | None:
        """What customers are worth by this curve; None where nothing can be said of money."""
        rows = self.examples.rows_at(self.plan.refit)
        return released_value(rows, self.released_p, self.curve, self.examples, self.settings)

    @property
    def _time_sections(self) -> dict[str, Any]:
        """{"curve": …, "value": …}: of the training rows, judged on the evaluation dates."""
        served = with_status(self.status, self.eval_scorer, self.train_rows)
        sections = over_time_report(
            self.train_rows,
            out_of_fold_p(self.fitting, served, self.train_rows),
            self.eval_rows,
            served.p_churn(self.eval_rows),
            self.examples,
            self.plan,
            self.settings,
        )
        refit = self.examples.rows_at(self.plan.refit)
        sections["value"] |= value_facts(self.value, refit, self.settings)
        return sections

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
    def targets(self) -> list[FittedTarget]:
        """The models of the business's own targets; none of them changes another model."""
        lacks = list(sub_releases.possible_lacks(self.examples, self.settings))
        return fit_targets(self.examples, self.plan, self.history, self.settings, lacks=lacks)

    @cached_property
    def evaluation(self) -> dict[str, Any]:
        """All that evaluation.json holds: aggregates only."""
        without = {each.sub_release.name: each.report for each in self.sub_releases}
        report = self.scorer_report | _training_facts(self)
        report |= {"movement": _movement(self), "without": without} | self._time_sections
        report |= targets_section(self.targets)
        served = with_status(self.status, self.eval_scorer, self.train_rows)
        report["churn"] = served_churn_report(report["churn"], served, self.eval_rows)
        if note := skill_note(report):
            report["notes"] = [note, *report["notes"]]
        # The release of an earlier day is not compared with one that knows what came after.
        if self.past or not (gate := self.gate_section):
            return report
        return report | {"gate": with_own_objections(gate["gate"], report["churn"])}

    @property
    def gate_section(self) -> dict[str, Any]:
        """{"gate": …}: the comparison with the release that is served."""
        return compare_served.gate_section(
            self.final_scorer,
            self.eval_scorer,
            self.examples,
            self.plan,
            self.history,
            self.settings,
        )

    def finish(self) -> Trained:
        """Write the release (not served yet), the hold-out predictions and the MLflow records."""
        seen = what_was_seen(
            self.examples, self.history, self.settings, other=self.other_release, past=self.past
        )
        folder = write_trained_release(
            self.final_scorer,
            [each.sub_release for each in self.sub_releases],
            self.examples,
            self.history,
            self.settings,
            self.evaluation,
            seen,
            curve=self.curve,
            value=self.value,
            reference=_reference(self),
            silent=self.fresh_plan.tables,
            targets=self.targets,
        )
        predicted = distinct_rows(self.eval_rows)
        runs = record_runs(
            [self.only] if self.only else JOBS,
            evaluation=self.evaluation,
            settings=self.settings,
            examples=self.examples,
            plan=self.plan,
            holdout=record.Holdout(predicted, *self.eval_scorer.score(predicted)),
            specs=self.specs,
            folder=folder,
            began=self.began,
            past=self.past,
            labels=self.labels,
            estimators=self.judged_estimators,
            targets=self.targets,
        )
        return Trained(folder, self.status, self.evaluation, runs)


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
    labels: RunLabels = UNLABELLED,
) -> Trained:
    """Train both models (or one of JOBS) and write a release, which is not served yet.

    `only`: the other model comes from the newest release; ReleaseRefused where that release has
    another configuration. `learning_curve`: also refit on fewer customers and dates.
    `with_ablation`: also refit without each family of features. `past`: see training.past.
    `labels`: what the runs in MLflow are called.
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
            labels=labels,
        ).finish()


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
        "campaigns": run.untreated[1],
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
    rows = run.examples.rows_at(run.plan.refit)
    return movement_report(rows, run.released_p)


def _reference(run: TrainingRun) -> Reference:
    """The dates of the refit as later runs are compared with them, by p that is out of fold."""
    rows = run.examples.rows_at(run.plan.refit)
    return fit_reference(rows, run.released_p, run.examples.modelled)
