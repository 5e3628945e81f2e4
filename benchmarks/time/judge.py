"""The curve of one date beside classifiers and baselines: log loss, Brier score, calibration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from benchmarks.models.sets import Case
from benchmarks.time import fits
from features.labels.event_times import NOT_KNOWN, YES, event_matrix
from features.recipes.population_stats import population_stats
from serving.scoring.curve import Curve
from training import metrics
from training.curve import curve_of
from training.evaluation.curve import EDGE, evaluate_curve


@dataclass(frozen=True)
class JudgedDate:
    """The figures of one date. `groups`: everyone; with contracts covered and gone.

    `losses`: {(group, days): {"rows", "events", "curve", "classifier", baselines …}}. `brier`:
    {group: integrated Brier of ours and of each baseline}. `ece_gone`: of p_return, by days;
    None for too few rows.
    """

    data: str
    name: str
    losses: dict[tuple[str, int], dict[str, float]]
    brier: dict[str, dict[str, float | None]]
    ece_gone: dict[int, float | None] = field(default_factory=dict)


def judge_date(case: Case) -> JudgedDate:
    """Fit what is not stored yet, and judge the horizons whose outcome is known."""
    p = fits.churn_answer(case)[0]
    events = fits.known_events(case)
    curve = curve_of(case.early, p["p_train"], events, case.settings, case.examples.modelled)
    then = case.history.as_of(case.plan.evaluate[0])
    stats = population_stats(then, case.examples.definitions)
    examples = replace(case.examples, population_stats=(stats,))
    report = evaluate_curve(curve, case.early, events, case.late, p["p_test"], examples)
    losses = dict(_losses(case, curve, report))
    gone = report["groups"].get("gone", {}).get("horizons", {})
    brier = {
        group: report["groups"][group]["integrated_brier"]
        for group in _masks(case)
        if group in report["groups"]
    }
    ece = {int(days.removesuffix("d")): each["ece"] for days, each in gone.items()}
    return JudgedDate(case.data, case.name, losses, brier, ece)


def _masks(case: Case) -> dict[str, np.ndarray]:
    if not case.settings.contractual:
        return {"everyone": np.ones(case.late.num_rows, dtype=bool)}
    covered = fits.covered(case.late, case)
    return {"covered": covered, "gone": ~covered}


def _losses(
    case: Case, curve: Curve, report: dict[str, Any]
) -> Iterator[tuple[tuple[str, int], dict[str, float]]]:
    """At the horizon of churn the curve is the churn model, so there is nothing to compare."""
    for position, days in enumerate(curve.horizons):
        for group, mask in _masks(case).items():
            figures = report["groups"].get(group, {}).get("horizons", {}).get(f"{days}d")
            if figures is None or days == curve.horizon:
                continue
            events = event_matrix(case.late, curve.horizons)[:, position]
            use = mask & (events != NOT_KNOWN)
            p = np.clip(fits.classifier_p(case, position)[use], EDGE, 1 - EDGE)
            y = events[use] == YES
            yield (
                (group, days),
                {
                    "rows": figures["rows"],
                    "events": float(y.sum()),
                    "curve": figures["log_loss"],
                    "classifier": float(metrics.log_losses(y, p).mean()),
                    **figures["baselines"],
                },
            )
