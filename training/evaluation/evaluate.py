"""A scorer against labelled later rows and against every baseline, in both populations: the account of a training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from features.core.settings import Settings
from features.recipes.definitions import Definitions
from serving.scoring.scorer import Scorer, stage_index
from training import metrics
from training.evaluation import baselines, curves, reliability, slices, stage_metrics
from training.evaluation.baseline_comparison import baseline_comparison, recommendation
from training.evaluation.importance import importance
from training.examples import Examples


def evaluate(
    scorer: Scorer, early: pa.Table, late: pa.Table, made: Examples, settings: Settings
) -> dict[str, Any]:
    """{"churn": …, "next_stage": …}, each with everyone and eligible: figures, baselines' figures, verdicts in words.

    In each also `ladder` (what is recommended), `slices` with the `worst_slice`, and `customers` (trained on or never).
    Beside them the points the pictures are drawn from, `importance` and `recommendation`. Aggregates only, fit for a
    release.
    """
    theirs = baselines.churn(early, late, settings)
    their_stages = baselines.next_stage(
        early, late, made.definitions, p_base=theirs["base rate"], p_logistic=theirs["RFM logistic"]
    )
    p, p_next = scorer.score(late)
    everyone = Scored(early, late, made.definitions, p, p_next, theirs, their_stages)
    groups = {"everyone": everyone, "eligible": everyone.eligible()}
    account = {
        "churn": {who: _churn(group) for who, group in groups.items()},
        "next_stage": {who: _stages(group) for who, group in groups.items()},
    }
    return {
        **account,
        "recommendation": recommendation(account),
        "importance": importance(scorer, late, made.columns),
        "calibration": {"kind": scorer.calibration.kind, "why": scorer.calibration.why},
        "rates": reliability.rates(made.rows, zone=settings.zone),
        "train_rows": early.num_rows,
    }


@dataclass(frozen=True)
class Scored:
    """A population: its training rows, its evaluation rows, and what was said of these by us and by the baselines."""

    early: pa.Table
    late: pa.Table
    definitions: Definitions
    p: np.ndarray
    p_next: np.ndarray
    theirs: dict[str, np.ndarray]
    their_stages: dict[str, np.ndarray]

    def eligible(self) -> Scored:
        m = self.late["eligible"].to_numpy()
        return Scored(
            self.early.filter(self.early["eligible"]),
            self.late.filter(self.late["eligible"]),
            self.definitions,
            self.p[m],
            self.p_next[m],
            {name: p[m] for name, p in self.theirs.items()},
            {name: p[m] for name, p in self.their_stages.items()},
        )

    @property
    def customers(self) -> np.ndarray:
        return np.array(self.late["customer_id"].to_pylist())


def _churn(group: Scored) -> dict[str, Any]:
    y, p, ids = group.late["churned"].to_numpy(), group.p, group.customers
    out: dict[str, Any] = metrics.churn_metrics(y, p)
    out["baselines"] = {
        name: metrics.churn_metrics(y, other) for name, other in group.theirs.items()
    }
    theirs = {name: metrics.losses(y, other) for name, other in group.theirs.items()}
    out |= _beside(metrics.losses(y, p), theirs, ids)
    if len(y):
        out["reliability"], out["curves"] = reliability.bins(y, p), curves.churn_curves(y, p)
        out["calibration"] = reliability.account(group.late, p)

    def cut_by(cut: slices.Cut) -> list[dict[str, Any]]:
        return slices.churn(cut, early=group.early, y=y, p=p, customers=ids)

    return out | _sliced(group, cut_by)


def _stages(group: Scored) -> dict[str, Any]:
    stage, outcome = (
        stage_index(group.late[name].to_numpy()) for name in ("stage", "outcome_stage")
    )
    p, ids = group.p_next, group.customers
    out: dict[str, Any] = metrics.stage_metrics(outcome, p)
    out["baselines"] = {
        name: {
            **metrics.stage_metrics(outcome, other),
            "changes": _seen(stage_metrics.changes(stage, outcome, other, ids)),
        }
        for name, other in group.their_stages.items()
    }
    theirs = {
        name: metrics.stage_losses(outcome, other) for name, other in group.their_stages.items()
    }
    out |= _beside(metrics.stage_losses(outcome, p), theirs, ids)
    out["changes"] = stage_metrics.changes(stage, outcome, p, ids)
    out["if_nothing_changed"] = stage_metrics.if_nothing_changed(stage, outcome)
    out["by_stage"] = stage_metrics.by_stage(outcome, p)
    if len(outcome):
        out["transitions"] = curves.transitions(stage, outcome, p)
        out["reliability"] = curves.stage_reliability(outcome, p)

    def cut_by(cut: slices.Cut) -> list[dict[str, Any]]:
        return slices.next_stage(
            cut,
            early=group.early,
            late=group.late,
            outcome=outcome,
            p=p,
            customers=ids,
            definitions=group.definitions,
        )

    return out | _sliced(group, cut_by)


def _seen(changes: dict[str, Any]) -> dict[str, Any]:
    return {name: changes[name] for name in ("recall", "precision")}


def _beside(
    ours: np.ndarray, theirs: dict[str, np.ndarray], customers: np.ndarray
) -> dict[str, Any]:
    """The ladder; and by baseline what we lose less or more, with the verdicts, where there is anybody."""
    out: dict[str, Any] = {"ladder": baseline_comparison(ours, theirs, customers)}
    if len(ours):
        out["paired_log_loss"] = metrics.paired_with(theirs, ours, customers)
        out["verdicts"] = [
            metrics.verdict(name, pair) for name, pair in out["paired_log_loss"].items()
        ]
    return out


def _sliced(group: Scored, cut_by: Callable[[slices.Cut], list[dict[str, Any]]]) -> dict[str, Any]:
    found = [
        row
        for cut in slices.cuts(group.early, group.late, group.definitions)
        for row in cut_by(cut)
    ]
    return {
        "slices": found,
        "worst_slice": slices.worst(found),
        "customers": cut_by(slices.trained_on(group.early, group.late)),
    }
