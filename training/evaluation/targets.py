"""The figures of a target's model on later rows, next to simple baselines, by population."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from features.core.settings import Settings
from features.tables.history import History
from serving.scoring.targets import Target, TargetModel
from training import metrics
from training.evaluation import baselines, reliability
from training.evaluation.baseline_comparison import baseline_comparison
from training.evaluation.importance import importance
from training.evaluation.leading_columns import check_leading_columns
from training.examples import Examples

# BG/NBD and the renewal rate are about leaving; they say nothing of another question.
OF_CHURN = ("BG/NBD", "renewal rate")


def evaluate_target(
    model: TargetModel, early: pa.Table, late: pa.Table, settings: Settings
) -> dict[str, Any]:
    """By population: metrics with intervals, baselines, verdicts, reliability, calibration.

    `early`: training rows, `late`: evaluation rows; the column `churned` holds the target's label.
    The populations are the model's own and, where that is everyone, also the eligible.
    """
    p = model.p_of_all(late)
    if model.population != "everyone":
        return {
            model.population: _evaluate(
                p, {model.population: early}, model.population, late, early, settings
            )
        }
    fits = {"everyone": early}
    eligible = early.filter(early["eligible"])
    if 0 < np.count_nonzero(eligible["churned"].to_numpy()) < eligible.num_rows:
        fits["eligible"] = eligible
    mask, later = late["eligible"].to_numpy(), late.filter(late["eligible"])
    return {
        "everyone": _evaluate(p, fits, "everyone", late, early, settings),
        "eligible": _evaluate(p[mask], fits, "eligible", later, early, settings),
    }


def leading_columns(
    model: Target,
    figures: dict[str, Any],
    late: pa.Table,
    examples: Examples,
    history: History,
    settings: Settings,
) -> tuple[dict[str, Any], str | None]:
    """(what moves the target's score, a sentence where its AUROC is too good to be believed).

    `late`: its evaluation rows. LeakSuspected as for churn (`training.evaluation.leading_columns`).
    """
    moves = importance(model, late, examples.columns)
    report = {"churn": figures, "importance": moves}
    note = check_leading_columns(report, model, late, examples.columns, history, settings)
    return moves, note


def has_skill(report: dict[str, Any], population: str) -> bool:
    """Whether the interval of the AUROC lies above one half, in the population of the target."""
    return metrics.has_skill({"eligible": report[population], "everyone": {}})


def _evaluate(
    p: np.ndarray,
    fits: Mapping[str, pa.Table],
    population: str,
    late: pa.Table,
    past: pa.Table,
    settings: Settings,
) -> dict[str, Any]:
    """The section of one `population`.

    `fits`: the rows that baselines are fitted on, by population; the better fit is shown. `past`:
    all labelled rows, for the own past rate.
    """
    y, ids = late["churned"].to_numpy(), np.array(late["customer_id"].to_pylist())
    out = metrics.churn_metrics(y, p)
    if not len(y):
        return out | {"baselines": {}}
    fitted = {
        who: baselines.churn_baselines(
            rows,
            late,
            outcome_window_us=settings.outcome_window_us,
            contractual=False,
            past=past,
        )
        for who, rows in fits.items()
    }
    theirs, out["baselines_fitted_on"] = baselines.choose_fits(
        {
            who: {name: p for name, p in each.items() if name not in OF_CHURN}
            for who, each in fitted.items()
        },
        population,
        lambda other: metrics.log_losses(y, other),
    )
    ours = metrics.log_losses(y, p)
    losses = {name: metrics.log_losses(y, each) for name, each in theirs.items()}
    out["baselines"] = {name: metrics.churn_metrics(y, each) for name, each in theirs.items()}
    out["baseline_comparison"] = baseline_comparison(ours, losses, ids)
    out["paired_log_loss"] = metrics.paired_differences(losses, ours, ids)
    out["verdicts"] = [metrics.verdict(*pair) for pair in out["paired_log_loss"].items()]
    out["reliability"] = reliability.reliability_bins(y, p)
    out["calibration"] = reliability.calibration_report(late, p)
    return out
