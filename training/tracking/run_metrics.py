"""The figures of a finished training for the tracking store: over all dates, and by date."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from serving.scoring.scorer import stage_index
from training import metrics
from training.evaluation import baseline_comparison

Report = Mapping[str, Any]
# The sections of an evaluation by job.
SECTION = {"churn": "churn", "next-stage": "next_stage"}
FIGURES = {
    "churn": (
        "rows",
        "rate",
        "auroc",
        "auroc_low",
        "auroc_high",
        "average_precision",
        "log_loss",
        "brier",
        "ece",
        "top_decile_lift",
        "gain_20",
    ),
    "next-stage": ("rows", "log_loss", "ranked_probability_score", "accuracy", "macro_f1"),
}
OF_AMOUNTS = (
    *("rows", "mean", "share_not_zero", "predicted_mean", "total_error", "mae", "rmse"),
    *("spearman", "coverage", "below_q10", "above_q90"),
)
BY_DATE = {
    "churn": ("auroc", "log_loss", "rate"),
    "next-stage": ("log_loss", "ranked_probability_score"),
}


@dataclass(frozen=True)
class Holdout:
    """The evaluation rows and their predictions: p (rows,), p_next (rows, 7)."""

    rows: pa.Table
    p: np.ndarray
    p_next: np.ndarray


def run_metrics(job: str, evaluation: Report, holdout: Holdout | None) -> dict[str, float]:
    """Figures over all evaluation dates together, `<population>_<figure>`.

    At most 40 with those by date, so that MLflow's page stays readable, two for each sub-release,
    one for each group and horizon of the curve and five for each horizon of money. Unknown ones
    are left out.
    """
    figures: dict[str, Any] = {}
    for who, section in evaluation.get(SECTION[job], {}).items():
        figures |= {f"{who}_{name}": section.get(name) for name in FIGURES[job]}
        figures |= _baseline_figures(who, section)
        if job == "next-stage":
            no_change = section.get("if_nothing_changed", {})
            figures[f"{who}_recall_of_changes"] = section.get("changes", {}).get("recall")
            figures[f"{who}_macro_f1_if_nothing_changed"] = no_change.get("macro_f1")
    if job == "next-stage" and holdout:
        figures |= _stage_intervals(holdout)
    if job == "churn":
        figures |= _gate_figures(evaluation.get("gate") or {})
        figures |= _figures_without_tables(evaluation.get("without", {}))
        figures |= _curve_figures(evaluation.get("curve", {}))
        figures |= _value_figures(evaluation.get("value", {}))
    judged = evaluation.get(SECTION[job], {}).get(judged_population(job, evaluation), {})
    if worst := judged.get("worst_slice"):
        figures["worst_slice_relative_log_loss"] = worst["relative"]
    return {
        name: float(value)
        for name, value in figures.items()
        if value is not None and math.isfinite(value)
    }


def amount_metrics(figures: Report) -> dict[str, float]:
    """`<population>_<figure>` of an amount; those that are not known are left out."""
    values: dict[str, Any] = {}
    for who, section in figures.items():
        values |= {f"{who}_{name}": section.get(name) for name in OF_AMOUNTS}
        gain = section.get("gain_over_mean") or {}
        values |= {f"{who}_gain_over_mean": gain.get("gain")}
        values |= {f"{who}_gain_over_mean_{end}": gain.get(end) for end in ("low", "high")}
    return {
        name: float(value)
        for name, value in values.items()
        if value is not None and math.isfinite(value)
    }


def _figures_without_tables(without: Report) -> dict[str, Any]:
    """`without.<tables>.<figure>` of each sub-release, among eligible where these are known."""
    figures: dict[str, Any] = {}
    for name, report in without.items():
        eligible, everyone = report["eligible"], report["everyone"]
        judged = eligible if eligible["auroc"] is not None else everyone
        figures |= {f"without.{name}.{each}": judged[each] for each in ("auroc", "log_loss")}
    return figures


def _curve_figures(curve: Report) -> dict[str, Any]:
    """`curve.<group>.<days>.log_loss` of each group and horizon, and the integrated Brier score."""
    figures: dict[str, Any] = {}
    for who, report in curve.get("groups", {}).items():
        figures[f"curve.{who}.integrated_brier"] = report["integrated_brier"]["ours"]
        for days, each in report["horizons"].items():
            figures[f"curve.{who}.{days}.log_loss"] = each["log_loss"]
    if curve.get("cancelled"):
        figures["curve.cancelled.log_loss"] = curve["cancelled"]["log_loss"]
    return figures


def _value_figures(value: Report) -> dict[str, Any]:
    """`value.<days>.<figure>` of each horizon whose money is known."""
    names = ("mean", "expected", "rank", "top_share", "coverage")
    return {
        f"value.{days}.{name}": each[name]
        for days, each in value.get("horizons", {}).items()
        for name in names
    }


def _baseline_figures(who: str, section: Report) -> dict[str, float]:
    best = best_baseline(section)
    if best is None:
        return {}
    pair = section["paired_log_loss"][best]
    return {
        f"{who}_best_baseline_log_loss": section["baselines"][best]["log_loss"],
        f"{who}_minus_best_baseline": pair["difference"],
        f"{who}_minus_best_baseline_low": pair["low"],
        f"{who}_minus_best_baseline_high": pair["high"],
    }


def best_baseline(section: Report) -> str | None:
    """The baseline with the lowest log loss, of those compared with our model row by row."""
    return min(
        section.get("paired_log_loss", ()),
        key=lambda name: section["baselines"][name]["log_loss"],
        default=None,
    )


def judged_population(job: str, evaluation: Report) -> str | None:
    """Eligible, or everyone where the job's figure is not known of eligible."""
    return baseline_comparison.headline_population(
        evaluation.get(SECTION[job], {}), figure="auroc" if job == "churn" else "log_loss"
    )


def _gate_figures(gate: Report) -> dict[str, Any]:
    """How much more (above 0) log loss than the served release, in the population judged."""
    row = gate.get("populations", {}).get(gate.get("population")) or {}
    return {
        "gate_log_loss_difference": (row.get("log_loss") or {}).get("difference"),
        "gate_same_reasons": gate.get("same_top_reason"),
    }


def _stage_intervals(holdout: Holdout) -> dict[str, float]:
    """95 % intervals of the next stage's log loss, by the bootstrap over customers."""
    intervals = {}
    for who, mask in _population_masks(holdout.rows).items():
        if mask.any():
            outcome = stage_index(holdout.rows["outcome_stage"].to_numpy())[mask]
            losses = metrics.stage_log_losses(outcome, holdout.p_next[mask])
            ids = holdout.rows["customer_id"].to_numpy()[mask].astype(str)
            # The difference to zero is the mean itself.
            pair = metrics.paired_difference(losses, np.zeros(len(losses)), ids)
            intervals[f"{who}_log_loss_low"] = pair["low"]
            intervals[f"{who}_log_loss_high"] = pair["high"]
    return intervals


def _population_masks(rows: pa.Table) -> dict[str, np.ndarray]:
    masks = {
        "everyone": np.ones(rows.num_rows, dtype=bool),
        "eligible": rows["eligible"].to_numpy(),
    }
    return {who: masks[who] for who in metrics.POPULATIONS}


def metrics_by_date(job: str, holdout: Holdout) -> Iterator[tuple[str, float, int]]:
    """(`by_date/<population>_<figure>`, value, as_of in µs) of each evaluation date by itself."""
    as_of = holdout.rows["as_of"].to_numpy()
    for at in np.unique(as_of):
        for who, mask in _population_masks(holdout.rows).items():
            figures = _figures_of(job, holdout, mask & (as_of == at))
            for name in BY_DATE[job]:
                value = figures.get(name)
                if value is not None and math.isfinite(value):
                    yield f"by_date/{who}_{name}", float(value), int(at)


def _figures_of(job: str, holdout: Holdout, mask: np.ndarray) -> dict[str, float | None]:
    if job == "churn":
        return metrics.churn_metrics(holdout.rows["churned"].to_numpy()[mask], holdout.p[mask])
    outcome = stage_index(holdout.rows["outcome_stage"].to_numpy())
    return metrics.stage_metrics(outcome[mask], holdout.p_next[mask])
