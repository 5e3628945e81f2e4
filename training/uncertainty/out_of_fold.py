"""How sure scores are, learned from what fits without the row's customer said of it: one such fit a group, both models."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from features.core.settings import Settings
from serving.scoring.parts import design
from serving.scoring.scorer import Scorer, composed, inactive_index, stage_index
from training.models import churn, next_stage
from training.models.blending import BlendSpec
from training.uncertainty import fit_evidence, fit_prediction_sets


@dataclass(frozen=True)
class OutOfFold:
    """Log-odds of churn (rows,) and margins of q (rows, classes) from fits without the row's customer, NaN where none.

    `stages` is None where q is of frequencies: those rest on everybody alike. `forward`: log-odds of churn at a few
    dates from fits on what had closed before.
    """

    margin: np.ndarray
    forward: np.ndarray
    stages: np.ndarray | None

    def at_one_rate(self, margin: float) -> OutOfFold:
        """The same with one churn rate for everybody."""
        flat = (np.where(np.isnan(each), np.nan, margin) for each in (self.margin, self.forward))
        return OutOfFold(*flat, self.stages)


def of_churn(
    found: BlendSpec, rows: pa.Table, columns: tuple[str, ...], settings: Settings
) -> tuple[np.ndarray, np.ndarray]:
    """`margin` and `forward` of LeftOut."""
    ahead = churn.forward(found, rows, columns, settings, dates=fit_evidence.DATES)
    return churn.left_out(found, rows, columns, settings), ahead


def of_stages(
    found: BlendSpec | None, rows: pa.Table, columns: tuple[str, ...], settings: Settings
) -> np.ndarray | None:
    """`stages` of LeftOut."""
    return None if found is None else next_stage.left_out(found, rows, columns, settings)


def sure(scorer: Scorer, rows: pa.Table, said: OutOfFold, settings: Settings) -> Scorer:
    """The scorer with its sets and spread, fitted on labelled rows; each None where the rows are too few."""
    window = settings.outcome_window_us
    stages = (
        scorer.next_stage.margins(design(rows, scorer.columns))
        if said.stages is None
        else said.stages
    )
    known = ~np.isnan(said.margin) & ~np.isnan(stages).any(axis=1)
    kept, margin = rows.filter(pa.array(known)), said.margin[known]
    p_next = composed(scorer.p_of(margin), scorer.q_of(kept, stages[known]), inactive_index(kept))
    outcome, as_of = stage_index(kept["outcome_stage"].to_numpy()), kept["as_of"].to_numpy()
    spread = fit_evidence.fit(scorer, kept, margin, said.forward[known], window=window)
    sets = fit_prediction_sets.fit(p_next, outcome, as_of, kept["eligible"].to_numpy())
    return replace(scorer, sets=sets, spread=spread)


def account(scorer: Scorer, late: pa.Table) -> dict[str, Any]:
    """{"sets": …, "evidence": …}: how both held on later rows. Aggregates only."""
    p, p_next = scorer.score(late)
    return {
        "sets": fit_prediction_sets.account(scorer, late, p_next),
        "evidence": fit_evidence.account(scorer, late, p),
    }
