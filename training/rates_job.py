"""A release of rates, where there are too few customers for a model."""

from __future__ import annotations

import time
from dataclasses import replace

from features.core.errors import NotEnoughData
from features.core.settings import Settings
from features.engine.consent import with_consent
from features.tables.history import History
from serving.scoring.scorer import Calibration, Scorer
from serving.scoring.sub_releases import SubRelease
from training import sub_releases
from training.campaigns.untreated_examples import without_contacts
from training.curve import released_curve
from training.drift.fit_reference import fit_reference
from training.evaluation.movement import movement_report
from training.examples import Examples, make_examples
from training.models import fit_rates, next_stage
from training.past import what_was_seen
from training.plan import make_plan
from training.targets import targets_section, without_models
from training.tracking import record, tracking
from training.tracking.run_labels import UNLABELLED, RunLabels
from training.trained import JOBS, Trained, write_trained_release
from training.value import question_facts, released_value, value_facts


def train_rates(
    history: History, settings: Settings, why: NotEnoughData, *, labels: RunLabels = UNLABELLED
) -> Trained:
    """Write a release of rates, marked not_enough_data, where `why` there is no model.

    Stages and the rate of each segment are useful all the same (`training.models.fit_rates`).
    """
    began = time.time()
    history = with_consent(history, settings, "train", at=history.data_until)
    plan = replace(make_plan(history, settings), train=())
    examples = make_examples(history, settings, plan)
    examples, campaigns = without_contacts(examples, history, settings)
    evaluation = {
        "status": "not_enough_data",
        "why": {"got": why.got, "rule": why.rule, "do": why.fix},
        "rows": examples.rows.num_rows,
        "campaigns": campaigns,
    }
    scorer = _rates_scorer(examples, contractual=settings.contractual)
    subs = [
        SubRelease(
            lacks,
            _rates_scorer(examples.without_tables(lacks), contractual=settings.contractual),
        )
        for lacks in sub_releases.possible_lacks(examples, settings)
    ]
    p = scorer.p_churn(examples.rows)
    evaluation["movement"] = movement_report(examples.rows, p)
    targets = without_models(settings, why.got)
    evaluation |= targets_section(targets)
    seen = what_was_seen(examples, history, settings)
    curve = released_curve(examples.rows, p, examples, settings)
    value = released_value(examples.rows, p, curve, examples, settings)
    facts = value_facts(value, examples.rows, settings)
    evaluation["value"] = {"horizons": {}, **question_facts(settings), **facts}
    folder = write_trained_release(
        scorer,
        subs,
        examples,
        history,
        settings,
        evaluation,
        seen,
        curve=curve,
        value=value,
        reference=fit_reference(examples.rows, p, examples.modelled),
        targets=targets,
    )
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
    runs = {each.job: tracking.record_run(labels.mark_record(each)) for each in records}
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
