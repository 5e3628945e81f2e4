"""Predictions for each row from fits without its customer, and the uncertainty they show."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from serving.scoring.parts import design_matrix
from serving.scoring.scorer import Scorer, compose, inactive_index, stage_index
from training.models import churn, next_stage
from training.models.blending import BlendSpec
from training.parallel import run_in_parallel
from training.uncertainty import fit_evidence, fit_prediction_sets


@dataclass(frozen=True)
class OutOfFold:
    """Predictions for each row from fits without its customer; NaN where no such fit was possible.

    `margin`: log-odds of churn (rows,). `forward`: log-odds of churn (rows,) at a few dates, from
    fits on rows whose outcomes were complete by then. `stages`: margins of q (rows, classes); None
    where q comes from frequencies, which rest on everybody alike.
    """

    margin: np.ndarray
    forward: np.ndarray
    stages: np.ndarray | None

    @classmethod
    def predict(
        cls,
        churn_spec: BlendSpec | None,
        stage_spec: BlendSpec | None,
        rows: pa.Table,
        columns: tuple[str, ...],
        *,
        outcome_window_us: int,
        seed: int,
        contractual: bool,
    ) -> OutOfFold:
        """Fit both models a few times, each without a group of customers or without later dates."""
        assert churn_spec is not None

        def predict_churn() -> tuple[np.ndarray, np.ndarray]:
            forward = churn.forward_margins(
                churn_spec,
                rows,
                columns,
                dates=fit_evidence.MAX_FORWARD_DATES,
                outcome_window_us=outcome_window_us,
                seed=seed,
            )
            margin = churn.out_of_fold_margins(
                churn_spec, rows, columns, seed=seed, contractual=contractual
            )
            return margin, forward

        def predict_stages() -> np.ndarray | None:
            if stage_spec is None:
                return None
            return next_stage.out_of_fold_margins(stage_spec, rows, columns, seed=seed)

        (margin, forward), stages = run_in_parallel(predict_churn, predict_stages)
        return cls(margin, forward, stages)

    def with_one_rate(self, margin: float) -> OutOfFold:
        """The same with one churn rate for everybody, `margin` in log-odds."""
        margins, forward = (
            np.where(np.isnan(each), np.nan, margin) for each in (self.margin, self.forward)
        )
        return OutOfFold(margins, forward, self.stages)


def fit_uncertainty(
    scorer: Scorer, rows: pa.Table, predicted: OutOfFold, *, outcome_window_us: int
) -> Scorer:
    """The scorer with prediction sets and rate spread; each None where the rows are too few."""
    stages = predicted.stages
    if stages is None:
        stages = scorer.next_stage.margins(design_matrix(rows, scorer.columns))
    known = ~np.isnan(predicted.margin) & ~np.isnan(stages).any(axis=1)
    rows, margin = rows.filter(pa.array(known)), predicted.margin[known]
    p = scorer.p_from_margin(margin)
    p_next = compose(p, scorer.q_from_margins(rows, stages[known]), inactive_index(rows))
    outcome = stage_index(rows["outcome_stage"].to_numpy())
    as_of, eligible = rows["as_of"].to_numpy(), rows["eligible"].to_numpy()
    spread = fit_evidence.fit_evidence(
        scorer, rows, margin, predicted.forward[known], window=outcome_window_us
    )
    sets = fit_prediction_sets.fit_prediction_sets(p_next, outcome, as_of, eligible)
    return replace(scorer, prediction_sets=sets, rate_spread=spread)


def uncertainty_report(scorer: Scorer, later_rows: pa.Table) -> dict[str, Any]:
    """{"sets": …, "evidence": …}: the coverage of both on later rows. Aggregates only."""
    p, p_next = scorer.score(later_rows)
    return {
        "sets": fit_prediction_sets.sets_report(scorer, later_rows, p_next),
        "evidence": fit_evidence.evidence_report(scorer, later_rows, p),
    }
