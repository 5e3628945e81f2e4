"""The churn model of a date, and a separate classifier of the product for each other horizon.

Both are stored (`benchmarks.models.cache`), so an interrupted run continues where it stopped. The
curve is no part of the answers: after a change to it only the judging is done again.
"""

from __future__ import annotations

import time

import numpy as np
import pyarrow as pa

from benchmarks.models import cache
from benchmarks.models.ours import own_home
from benchmarks.models.sets import Case
from features.core.errors import NotEnoughData
from features.core.progress import print_status
from features.labels.event_times import NOT_KNOWN, YES, event_matrix, with_horizon
from serving.scoring.calibration import clip_to_rows
from serving.scoring.curve import has_cover
from serving.scoring.parts import design_matrix
from training.models import churn
from training.models.blend_spec import BlendSpec
from training.models.estimators.estimators_file import NO_ESTIMATORS
from training.models.fit_curve import known_before
from training.models.remembered_fits import remember_fits
from training.parallel import reproducible_fits

# All of training/models but fit_curve.py and fit_value.py, which decide nothing here.
SOURCES = (
    "training/models/[!f]*.py",
    "training/models/fit_[!cv]*.py",
    "training/models/fit_c[!u]*.py",
    "training/models/fo*.py",
    "training/parallel.py",
    "training/splits.py",
    "training/metrics.py",
    "serving/scoring/parts.py",
    "serving/scoring/calibration.py",
    "serving/scoring/cells.py",
    "serving/scoring/cannot_churn.py",
    "benchmarks/time/fits.py",
)


def known_events(case: Case) -> np.ndarray:
    """The events of the training rows as they were known at the evaluation date.

    int8 (rows, horizons), as of `event_times.observe_events`.
    """
    horizons = case.settings.curve_horizons
    return known_before(
        event_matrix(case.early, horizons),
        case.early["as_of"].to_numpy(),
        horizons,
        latency_days=case.settings.churn.label_latency_days,
        at=case.plan.evaluate[0],
    )


def covered(rows: pa.Table, case: Case) -> np.ndarray:
    """Whose event is the loss of cover, bool (rows,); nobody's without contracts."""
    return has_cover(rows) if case.settings.contractual else np.zeros(rows.num_rows, dtype=bool)


def churn_answer(case: Case) -> cache.Answer:
    """`p_train` (from fits without the row's customer) and `p_test`; details: the spec."""

    def fit() -> cache.Answer:
        print_status(f"churn model: {case.name}")
        with own_home(), reproducible_fits(), remember_fits():
            training = case.settings.training
            spec = churn.search_churn_model(
                case.early, case.examples.modelled, case.settings, seconds=training.seconds
            )
            margin = _unseen_margins(spec, case.early, case)
            p, own = _fit_and_score(spec, case.early, case, margin, case.settings.outcome_window_us)
        return {"p_train": own, "p_test": p}, {"spec": spec.summary()}

    return cache.cached_answer("time-churn", _question(case), fit)


def classifier_p(case: Case, position: int) -> np.ndarray:
    """P(event within the horizon at `position`) of a classifier for it alone, (test rows,).

    The churn model's spec, fitted on the rows whose outcome was known at the evaluation date. NaN
    where they are too few for a churn model of the product.
    """
    days = case.settings.curve_horizons[position]
    spec = BlendSpec.from_summary(churn_answer(case)[1]["spec"], NO_ESTIMATORS)
    events = known_events(case)[:, position]
    question = [*_question(case), spec.summary(), days, cache.digest_of_arrays([events])]
    p = cache.cached_answer(
        "time-classifier", question, lambda: _fit_classifier(case, spec, events, days)
    )[0]["p"]
    # Who has cover has the event where churn comes; the others where it does not.
    return np.where(covered(case.late, case), p, 1 - p)


def _fit_classifier(case: Case, spec: BlendSpec, events: np.ndarray, days: int) -> cache.Answer:
    print_status(f"classifier for {days} days: {case.name}")
    known = events != NOT_KNOWN
    churned = (events == YES) == covered(case.early, case)
    position = case.early.column_names.index("churned")
    rows = case.early.set_column(position, "churned", pa.array(churned)).filter(pa.array(known))
    began = time.process_time()
    try:
        churn.refuse_too_few(rows)
    except NotEnoughData:
        return {"p": np.full(case.late.num_rows, np.nan)}, {"cpu_seconds": 0.0}
    window = with_horizon(case.settings, days).outcome_window_us
    with own_home(), reproducible_fits(), remember_fits():
        p, _ = _fit_and_score(spec, rows, case, _unseen_margins(spec, rows, case), window)
    return {"p": p}, {"cpu_seconds": time.process_time() - began}


def _unseen_margins(spec: BlendSpec, rows: pa.Table, case: Case) -> np.ndarray:
    settings = case.settings
    return churn.out_of_fold_margins(
        spec,
        rows,
        case.examples.modelled,
        seed=settings.training.seed,
        contractual=settings.contractual,
    )


def _fit_and_score(
    spec: BlendSpec, rows: pa.Table, case: Case, margin: np.ndarray, window: int
) -> tuple[np.ndarray, np.ndarray]:
    """P(churn) of the test rows, and of the rows themselves from fits without their customer."""
    columns = case.examples.modelled
    blend, calibration = churn.fit_churn_model(
        spec,
        rows,
        columns,
        outcome_window_us=window,
        seed=case.settings.training.seed,
        contractual=case.settings.contractual,
        margin=margin,
    )

    def p(margins: np.ndarray) -> np.ndarray:
        return clip_to_rows(calibration.p(margins), rows.num_rows)

    # Where no fit without the customer was possible, the model's own p, as the product does.
    own = p(blend.margins(design_matrix(rows, columns))[:, 0])
    unseen = np.where(np.isnan(margin), own, p(np.nan_to_num(margin)))
    return p(blend.margins(design_matrix(case.late, columns))[:, 0]), unseen


def _question(case: Case) -> list[object]:
    training = case.settings.training.model_dump(mode="json")
    versions = cache.versions("numpy", "sklearn", "xgboost", "optuna")
    return [case.digest, training, cache.digest_of_files(*SOURCES), versions]
