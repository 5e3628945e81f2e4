"""Predictions for rows that a fit has not seen, and the uncertainty that they show.

Rows are unseen in two ways (`training.splits`): later in time, and another customer. The sets and
the spreads are fitted forward in time, as in use, where a date lies an outcome window after
another; elsewhere from fits without the row's customer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from serving.scoring.evidence import RateSpread
from serving.scoring.parts import design_matrix
from serving.scoring.prediction_sets import PredictionSets
from serving.scoring.scorer import Scorer, compose, inactive_index, stage_index
from training.models import churn, next_stage
from training.models.blend_spec import BlendSpec
from training.parallel import run_in_parallel
from training.uncertainty import fit_evidence, fit_prediction_sets


@dataclass(frozen=True)
class UnseenPredictions:
    """Predictions for rows that the fit had not seen; NaN where no such fit was possible.

    `margin`: log-odds of churn (rows,), from fits without the row's customer. `forward`: log-odds
    of churn (rows,) at a few dates, from fits on rows whose outcomes were complete by then.
    `stages`: margins of q (rows, classes), at the dates of `forward`, without the row's customer
    where there is no such date; None where q comes from frequencies, which rest on everybody alike.
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
        labelled: pa.Table,
        max_dates: int,
        outcome_window_us: int,
        seed: int,
        contractual: bool,
    ) -> UnseenPredictions:
        """Fit both models a few times, each without a group of customers or without later dates.

        `labelled`: all labelled rows, of `rows` and of older dates. Fits forward in time learn on
        the newest `max_dates` of its dates that were complete.
        """
        assert churn_spec is not None
        forward_in_time: dict[str, int] = {
            "dates": fit_evidence.MAX_FORWARD_DATES,
            "max_dates": max_dates,
            "outcome_window_us": outcome_window_us,
            "seed": seed,
        }
        mine = pc.is_in(labelled["as_of"], value_set=rows["as_of"].unique()).to_numpy()

        def predict_churn() -> tuple[np.ndarray, np.ndarray]:
            forward = churn.forward_margins(churn_spec, labelled, columns, **forward_in_time)
            margin = churn.out_of_fold_margins(
                churn_spec, rows, columns, seed=seed, contractual=contractual
            )
            return margin, forward[mine]

        def predict_stages() -> np.ndarray | None:
            if stage_spec is None:
                return None
            classes = next_stage.classes_of(next_stage.stayers(rows))
            ahead = next_stage.forward_margins(
                stage_spec, labelled, columns, classes=classes, **forward_in_time
            )
            if not np.isnan(ahead[mine]).all():
                return ahead[mine]
            return next_stage.out_of_fold_margins(stage_spec, rows, columns, seed=seed)

        (margin, forward), stages = run_in_parallel(predict_churn, predict_stages)
        return cls(margin, forward, stages)

    def with_rates(self, margin: np.ndarray) -> UnseenPredictions:
        """The same with rates in place of a model's churn: `margin` (rows,), in log-odds."""
        margins, forward = (
            np.where(np.isnan(each), np.nan, margin) for each in (self.margin, self.forward)
        )
        return UnseenPredictions(margins, forward, self.stages)


def fit_uncertainty(
    scorer: Scorer, rows: pa.Table, predicted: UnseenPredictions, *, outcome_window_us: int
) -> Scorer:
    """The scorer with prediction sets and rate spread; each None where the rows are too few."""
    spread = _fit_spread(scorer, rows, predicted, outcome_window_us)
    return replace(scorer, prediction_sets=_fit_sets(scorer, rows, predicted), rate_spread=spread)


def _fit_spread(
    scorer: Scorer, rows: pa.Table, predicted: UnseenPredictions, outcome_window_us: int
) -> RateSpread | None:
    known = ~np.isnan(predicted.margin)
    return fit_evidence.fit_evidence(
        scorer,
        rows.filter(pa.array(known)),
        predicted.margin[known],
        predicted.forward[known],
        window=outcome_window_us,
    )


def _fit_sets(
    scorer: Scorer, rows: pa.Table, predicted: UnseenPredictions
) -> PredictionSets | None:
    """The sets from predictions forward in time, where there are any, of both models alike."""
    stages = predicted.stages
    if stages is None:
        stages = scorer.next_stage.margins(design_matrix(rows, scorer.columns))
    forward = ~np.isnan(predicted.forward) & ~np.isnan(stages).any(axis=1)
    margin = predicted.forward if forward.any() else predicted.margin
    known = ~np.isnan(margin) & ~np.isnan(stages).any(axis=1)
    rows, p = rows.filter(pa.array(known)), scorer.p_from_margin(margin[known])
    p_next = compose(p, scorer.q_from_margins(rows, stages[known]), inactive_index(rows))
    return fit_prediction_sets.fit_prediction_sets(
        p_next,
        stage_index(rows["outcome_stage"].to_numpy()),
        rows["as_of"].to_numpy(),
        rows["eligible"].to_numpy(),
        forward=bool(forward.any()),
    )


def uncertainty_report(scorer: Scorer, later_rows: pa.Table) -> dict[str, Any]:
    """{"sets": …, "evidence": …}: the coverage of both on later rows. Aggregates only."""
    p, p_next = scorer.score(later_rows)
    return {
        "sets": fit_prediction_sets.sets_report(scorer, later_rows, p_next),
        "evidence": fit_evidence.evidence_report(scorer, later_rows, p),
    }
