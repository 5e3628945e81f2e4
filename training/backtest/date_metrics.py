"""The figures of one date of a backtest, each with its standard error."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from serving.scoring.scorer import stage_index
from training import metrics
from training.backtest.aging import population_masks

CHURN_FIGURES = (
    "rows",
    "rate",
    "auroc",
    "auroc_low",
    "auroc_high",
    "log_loss",
    "ece",
    "top_decile_lift",
)
ECE_DRAWS = 400


def score_metrics(rows: pa.Table, p: np.ndarray, p_next: np.ndarray) -> dict[str, Any]:
    """{"churn": {who: …}, "next_stage": {who: …}} of scores and their outcomes.

    `rows`: churned, outcome_stage, eligible; p (rows,), p_next (rows, 7).
    """
    y, outcome = rows["churned"].to_numpy(), stage_index(rows["outcome_stage"].to_numpy())
    masks = population_masks(rows)
    return {
        "churn": {who: _churn(y[mask], p[mask]) for who, mask in masks.items()},
        "next_stage": {who: _stages(outcome[mask], p_next[mask]) for who, mask in masks.items()},
    }


def _churn(y: np.ndarray, p: np.ndarray) -> dict[str, Any]:
    churn = metrics.churn_metrics(y, p)
    figures: dict[str, Any] = {
        name: value for name, value in churn.items() if name in CHURN_FIGURES
    }
    figures |= {
        "predicted": float(p.mean()) if len(p) else None,
        "log_loss_error": None,
        "auroc_error": None,
        "ece_error": None,
    }
    if len(y) > 1:
        figures["log_loss_error"] = _standard_error(metrics.log_losses(y, p))
    if figures["auroc"] is not None:
        figures |= {"auroc_error": metrics.auroc(y, p)[1], "ece_error": _ece_error(y, p)}
    return figures


def _ece_error(y: np.ndarray, p: np.ndarray) -> float:
    """Standard deviation of the ECE when the churned of each bin are drawn at the bin's rate."""
    bins = metrics.reliability_bins(y, p)
    rows, predicted, observed = (
        np.array([each[key] for each in bins], dtype=float)
        for key in ("rows", "predicted", "observed")
    )
    draws = np.random.default_rng(0).binomial(
        rows.astype(int), observed, size=(ECE_DRAWS, len(bins))
    )
    return float((abs(draws / rows - predicted) @ rows / rows.sum()).std())


def _stages(outcome: np.ndarray, p: np.ndarray) -> dict[str, Any]:
    figures = {name: _finite(value) for name, value in metrics.stage_metrics(outcome, p).items()}
    losses = metrics.stage_log_losses(outcome, p)
    error = _finite(_standard_error(losses)) if len(losses) > 1 else None
    return figures | {"log_loss_error": error}


def _standard_error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def _finite(value: float | None) -> float | None:
    return value if value is not None and np.isfinite(value) else None
