"""The processor time of a training with the curve and value, over the same one without them."""

from __future__ import annotations

import time

import numpy as np

from benchmarks.models import cache
from benchmarks.models.ours import own_home
from benchmarks.models.sets import Case
from features.core.progress import print_status
from features.labels.event_times import observe_events
from features.labels.later_money import observe_money
from training.curve import out_of_fold_p, released_curve
from training.fitting import with_status
from training.job import TrainingRun
from training.models.remembered_fits import remember_fits
from training.over_time import over_time_report
from training.parallel import reproducible_fits
from training.value import released_value


def training_seconds(case: Case) -> dict[str, float]:
    """Processor seconds: `whole` (features to release, all included), `curve` (it and value alone).

    The parts of the curve (labels, evaluation, fit of the release) are done once more in the same
    process to be measured.
    """
    question = [
        case.name,
        cache.digest_of_files("features/**/*.py", "serving/**/*.py", "training/**/*.py"),
        cache.digest_of_files("benchmarks/time/training.py"),
    ]
    return cache.cached_answer("time-training", question, lambda: _measure(case))[1]["seconds"]


def _measure(case: Case) -> cache.Answer:
    print_status(f"a whole training: {case.name}")
    with own_home(), reproducible_fits(), remember_fits():
        began = time.process_time()
        run = TrainingRun(case.history, case.settings)
        _ = run.evaluation, run.curve, run.value
        whole = time.process_time() - began
        began = time.process_time()
        _repeat_curve(run, case)
        curve = time.process_time() - began
    return {}, {"seconds": {"whole": whole, "curve": curve}}


def _repeat_curve(run: TrainingRun, case: Case) -> None:
    rows, settings = run.examples.rows, case.settings
    for at in np.unique(rows["as_of"].to_numpy()).tolist():
        people = run.examples.rows_at([at])["customer_id"]
        known = run.history.as_of(at)
        observe_events(run.history, known, people, settings)
        observe_money(run.history, known, people, settings)
    served = with_status(run.status, run.eval_scorer, run.train_rows)
    over_time_report(
        run.train_rows,
        out_of_fold_p(run.fitting, served, run.train_rows),
        run.eval_rows,
        served.p_churn(run.eval_rows),
        run.examples,
        run.plan,
        settings,
    )
    refit = run.examples.rows_at(run.plan.refit)
    p = out_of_fold_p(run.fitting, run.final_scorer, refit)
    curve = released_curve(refit, p, run.examples, settings)
    released_value(refit, p, curve, run.examples, settings)
