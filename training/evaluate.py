"""A scorer against labelled later rows and against every baseline, in both populations: the account of a training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from features.settings import Settings
from serving.scorer import Scorer, stage_index
from training import baselines, curves, evaluation
from training.examples import Examples
from training.importance import importance


def evaluate(scorer: Scorer, early: pa.Table, late: pa.Table, made: Examples, settings: Settings) -> dict[str, Any]:
    """{"churn": …, "next_stage": …}, each with everyone and eligible: figures, baselines' figures, verdicts in words.

    Beside them the points the pictures are drawn from, and `importance`. Aggregates only, fit for a release.
    """
    p, p_next = scorer.score(late)
    y, ids = late["churned"].to_numpy(), np.array(late["customer_id"].to_pylist())
    stage, outcome = stage_index(late["stage"].to_numpy()), stage_index(late["outcome_stage"].to_numpy())
    theirs = baselines.churn(early, late, settings)
    their_stages = baselines.next_stage(
        early, late, made.definitions, p_base=theirs["base rate"], p_logistic=theirs["RFM logistic"]
    )
    masks = {"everyone": np.ones(len(y), dtype=bool), "eligible": late["eligible"].to_numpy()}
    return {
        "churn": {who: _churn(y[m], p[m], {k: v[m] for k, v in theirs.items()}, ids[m]) for who, m in masks.items()},
        "next_stage": {
            who: _stages(stage[m], outcome[m], p_next[m], {k: v[m] for k, v in their_stages.items()}, ids[m])
            for who, m in masks.items()
        },
        "importance": importance(scorer, late, made.columns),
        "train_rows": early.num_rows,
    }


def _churn(y: np.ndarray, p: np.ndarray, theirs: dict[str, np.ndarray], ids: np.ndarray) -> dict[str, Any]:
    out: dict[str, Any] = evaluation.churn_metrics(y, p)
    out["baselines"] = {name: evaluation.churn_metrics(y, other) for name, other in theirs.items()}
    if len(y):
        ours = evaluation.losses(y, p)
        pairs = {name: evaluation.paired(ours, evaluation.losses(y, other), ids) for name, other in theirs.items()}
        out["paired_log_loss"] = pairs
        out["verdicts"] = [evaluation.verdict(name, pair) for name, pair in pairs.items()]
        out["reliability"], out["curves"] = evaluation.reliability(y, p), curves.churn_curves(y, p)
    return out


def _stages(
    stage: np.ndarray, outcome: np.ndarray, p: np.ndarray, theirs: dict[str, np.ndarray], ids: np.ndarray
) -> dict[str, Any]:
    out: dict[str, Any] = evaluation.stage_metrics(outcome, p)
    out["baselines"] = {name: evaluation.stage_metrics(outcome, other) for name, other in theirs.items()}
    if len(outcome):
        ours = evaluation.stage_losses(outcome, p)
        pairs = {
            name: evaluation.paired(ours, evaluation.stage_losses(outcome, other), ids)
            for name, other in theirs.items()
        }
        out["paired_log_loss"] = pairs
        out["verdicts"] = [evaluation.verdict(name, pair) for name, pair in pairs.items()]
        out["transitions"] = curves.transitions(stage, outcome, p)
        out["reliability"] = curves.stage_reliability(outcome, p)
    return out
