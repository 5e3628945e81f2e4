"""The evaluation of a scorer on labelled later rows, next to every baseline, by population."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from features.core.settings import Settings
from features.recipes.definitions import Definitions
from features.recipes.stages import STAGES
from serving.scoring.scorer import Scorer, stage_index
from training import metrics
from training.evaluation import (
    baselines,
    campaign_profit,
    curves,
    reliability,
    slices,
    stage_metrics,
)
from training.evaluation.baseline_comparison import baseline_comparison, recommendation
from training.evaluation.importance import importance
from training.examples import Examples


def evaluate(
    scorer: Scorer, early: pa.Table, late: pa.Table, examples: Examples, settings: Settings
) -> dict[str, Any]:
    """{"churn": …, "next_stage": …}, each for everyone and eligible: metrics, baselines, verdicts.

    `early`: the training rows, `late`: the evaluation rows. Each population also has its
    `baseline_comparison` (what is recommended), `slices` with the `worst_slice`, and `customers`
    (trained on or never). The evaluation also holds the points of the pictures, `importance` and
    `recommendation`. Aggregates only, so that a release may hold it.
    """
    evaluation = evaluate_scores(*scorer.score(late), early, late, examples, settings)
    return {
        **evaluation,
        "recommendation": recommendation(evaluation),
        "importance": importance(scorer, late, examples.columns),
        "calibration": {"kind": scorer.calibration.kind, "why": scorer.calibration.note},
        "rates": reliability.rates_by_date(examples.rows, zone=settings.zone),
        "train_rows": early.num_rows,
    }


def evaluate_scores(
    p: np.ndarray | None,
    p_next: np.ndarray | None,
    early: pa.Table,
    late: pa.Table,
    examples: Examples,
    settings: Settings,
) -> dict[str, Any]:
    """{"churn": …, "next_stage": …} of anybody's scores of the rows `late`, by population.

    `p` (rows,), `p_next` (rows, 7) in the order of the stages; what is None is not evaluated. The
    baselines are fitted on `early`; `baselines_fitted_on` names the population of each.
    """
    populations = _score_populations(p, p_next, early, late, examples, settings)
    evaluation = {}
    if p is not None:
        evaluation["churn"] = {who: _evaluate_churn(each) for who, each in populations.items()}
    if p_next is not None:
        evaluation["next_stage"] = {
            who: _evaluate_stages(each) for who, each in populations.items()
        }
    return evaluation


@dataclass(frozen=True)
class ScoredPopulation:
    """A population: its training rows, its evaluation rows, and their scores.

    `p` (rows,) and `p_next` (rows, 7) are the model's.
    """

    early: pa.Table
    late: pa.Table
    definitions: Definitions
    p: np.ndarray
    p_next: np.ndarray
    theirs: baselines.PopulationBaselines

    @property
    def customers(self) -> np.ndarray:
        return np.array(self.late["customer_id"].to_pylist())


def _score_populations(
    p: np.ndarray | None,
    p_next: np.ndarray | None,
    early: pa.Table,
    late: pa.Table,
    examples: Examples,
    settings: Settings,
) -> dict[str, ScoredPopulation]:
    """Everyone and eligible, each beside the baselines that suit it best."""
    if p is None:
        p = np.full(late.num_rows, np.nan)
    if p_next is None:
        p_next = np.full((late.num_rows, len(STAGES)), np.nan)
    theirs = baselines.better_baselines(
        early,
        late,
        examples.definitions,
        outcome_window_us=settings.outcome_window_us,
        contractual=settings.contractual,
    )
    eligible = late["eligible"].to_numpy()
    return {
        "everyone": ScoredPopulation(
            early, late, examples.definitions, p, p_next, theirs["everyone"]
        ),
        "eligible": ScoredPopulation(
            early.filter(early["eligible"]),
            late.filter(late["eligible"]),
            examples.definitions,
            p[eligible],
            p_next[eligible],
            theirs["eligible"],
        ),
    }


def _evaluate_churn(population: ScoredPopulation) -> dict[str, Any]:
    y, p, ids = population.late["churned"].to_numpy(), population.p, population.customers
    out = metrics.churn_metrics(y, p)
    out["baselines"] = {
        name: metrics.churn_metrics(y, other) for name, other in population.theirs.churn.items()
    }
    out["baselines_fitted_on"] = population.theirs.churn_fitted_on
    theirs = {name: metrics.log_losses(y, other) for name, other in population.theirs.churn.items()}
    out |= _compare(metrics.log_losses(y, p), theirs, ids)
    if len(y):
        out["reliability"], out["curves"] = (
            reliability.reliability_bins(y, p),
            curves.churn_curves(y, p),
        )
        out["calibration"] = reliability.calibration_report(population.late, p)
        by_stage = campaign_profit.stage_rates(population.early, population.late)
        out["campaign_profit"] = campaign_profit.campaign_profit(y, p, ids, by_stage)

    def cut_by(cut: slices.Cut) -> list[dict[str, Any]]:
        return slices.churn_slices(cut, early=population.early, y=y, p=p, customers=ids)

    return out | _slices(population, cut_by)


def _evaluate_stages(population: ScoredPopulation) -> dict[str, Any]:
    stage, outcome = (
        stage_index(population.late[name].to_numpy()) for name in ("stage", "outcome_stage")
    )
    p, ids = population.p_next, population.customers
    others = population.theirs.stages
    out = metrics.stage_metrics(outcome, p)
    out["baselines"] = {
        name: {
            **metrics.stage_metrics(outcome, other),
            "changes": _recall_and_precision(
                stage_metrics.change_metrics(stage, outcome, other, ids)
            ),
        }
        for name, other in others.items()
    }
    out["baselines_fitted_on"] = population.theirs.stages_fitted_on
    theirs = {name: metrics.stage_log_losses(outcome, other) for name, other in others.items()}
    out |= _compare(metrics.stage_log_losses(outcome, p), theirs, ids)
    out |= _stage_details(stage, outcome, p, ids)

    def cut_by(cut: slices.Cut) -> list[dict[str, Any]]:
        return slices.stage_slices(
            cut,
            early=population.early,
            late=population.late,
            outcome=outcome,
            p=p,
            customers=ids,
            definitions=population.definitions,
        )

    return out | _slices(population, cut_by)


def _stage_details(
    stage: np.ndarray, outcome: np.ndarray, p: np.ndarray, ids: np.ndarray
) -> dict[str, Any]:
    """Changes of stage, the metrics by stage, and the points of the pictures."""
    out: dict[str, Any] = {
        "changes": stage_metrics.change_metrics(stage, outcome, p, ids),
        "if_nothing_changed": stage_metrics.no_change_metrics(stage, outcome),
        "by_stage": stage_metrics.stage_calibration(outcome, p),
    }
    if len(outcome):
        out["transitions"] = curves.transitions(stage, outcome, p)
        out["reliability"] = curves.stage_reliability(outcome, p)
    return out


def _recall_and_precision(changes: dict[str, Any]) -> dict[str, Any]:
    return {name: changes[name] for name in ("recall", "precision")}


def _compare(
    ours: np.ndarray, theirs: dict[str, np.ndarray], customers: np.ndarray
) -> dict[str, Any]:
    """The baseline comparison, and the paired difference to every baseline with its verdict.

    The latter only where the population has rows.
    """
    out: dict[str, Any] = {"baseline_comparison": baseline_comparison(ours, theirs, customers)}
    if len(ours):
        out["paired_log_loss"] = metrics.paired_differences(theirs, ours, customers)
        out["verdicts"] = [
            metrics.verdict(name, pair) for name, pair in out["paired_log_loss"].items()
        ]
    return out


def _slices(
    population: ScoredPopulation, cut_by: Callable[[slices.Cut], list[dict[str, Any]]]
) -> dict[str, Any]:
    cuts = slices.cuts(population.early, population.late, population.definitions)
    rows = [row for cut in cuts for row in cut_by(cut)]
    return {
        "slices": rows,
        "worst_slice": slices.worst_slice(rows),
        "customers": cut_by(slices.cut_by_training(population.early, population.late)),
    }
