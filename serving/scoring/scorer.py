"""A feature row becomes a score. Training's evaluation, the batch job and the service share it.

    P(next = s) = p · [s = s₀] + (1 − p) · q(s | stays)

s₀ is `stage_if_inactive`. p comes from the churn model, calibrated and clipped to
[1/(2n), 1 − 1/(2n)]; q from the next-stage model, before composing exactly 0 for stages that cannot
be reached and at least 1/(n + K) for the others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from features.labels import outcomes
from features.recipes.definitions import Definitions
from features.recipes.stages import STAGES
from features.recipes.state_columns import activity_span
from serving.scoring.calibration import Calibration, clip_to_rows
from serving.scoring.cannot_churn import CannotChurn
from serving.scoring.evidence import RateSpread
from serving.scoring.parts import Blend, Rate, design_matrix, log_softmax
from serving.scoring.prediction_sets import PredictionSets
from serving.scoring.rates import LEVELS, Rates


@dataclass(frozen=True)
class ReasonReference:
    """Per feature column, the typical eligible training row: what reasons compare with.

    `typical`: the mean of signed_log1p(column). `direction`: its correlation with churn per unit, 0
    where the column says nothing by itself. `mean_contribution`: to the log-odds. `usual`: per
    stage (in the order of STAGES) and column the median that a reason names, None where nothing is
    known. `widespread`: per stage and column the (lowest, highest) value of the sentence that is
    true of nearly everyone there, None without one. `last_families`: families whose reasons come
    last. Scores use none of them.
    """

    typical: tuple[float, ...]
    direction: tuple[float, ...]
    mean_contribution: tuple[float, ...]
    usual: tuple[tuple[float | None, ...], ...] = ()
    widespread: tuple[tuple[tuple[float, float] | None, ...], ...] = ()
    last_families: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scorer:
    """All that turns a feature row into a score. `churn_rows`, `stay_rows`: training rows of p, q.

    `prediction_sets`, `rate_spread`: the uncertainty of a score, None where there were too few data
    to measure it. Scores use neither.
    """

    definitions: Definitions
    columns: tuple[str, ...]
    churn: Blend
    calibration: Calibration
    next_stage: Blend
    classes: tuple[str, ...]
    churn_rows: int
    stay_rows: int
    status: str = "ok"
    reason_reference: ReasonReference | None = None
    prediction_sets: PredictionSets | None = None
    rate_spread: RateSpread | None = None

    def margin(self, rows: pa.Table) -> np.ndarray:
        """Uncalibrated log-odds of churn, float64 (rows,)."""
        return self.churn.margins(design_matrix(rows, self.columns))[:, 0]

    def p_churn(self, rows: pa.Table) -> np.ndarray:
        """P(churn in the horizon), float64 (rows,)."""
        return self._p_churn(design_matrix(rows, self.columns))

    def _p_churn(self, matrix: np.ndarray) -> np.ndarray:
        return self.p_from_margin(self.churn.margins(matrix)[:, 0])

    def p_from_margin(self, margin: np.ndarray) -> np.ndarray:
        """P(churn) for uncalibrated log-odds, float64 (rows,)."""
        return clip_to_rows(self.calibration.p(margin), self.churn_rows)

    def q_stay(self, rows: pa.Table) -> np.ndarray:
        """P(stage at the horizon's end | stays), float64 (rows, 7)."""
        return self._q_stay(rows, design_matrix(rows, self.columns))

    def _q_stay(self, rows: pa.Table, matrix: np.ndarray) -> np.ndarray:
        return self.q_from_margins(rows, self.next_stage.margins(matrix))

    def q_from_margins(self, rows: pa.Table, margins: np.ndarray) -> np.ndarray:
        """q for the next-stage margins (rows, classes) of these rows, float64 (rows, 7)."""
        logs = log_softmax(margins)
        raw = np.zeros((rows.num_rows, len(STAGES)))
        for k, name in enumerate(self.classes):
            raw[:, STAGES.index(name)] = np.exp(logs[:, k])
        allowed = reachable_from_rows(rows, self.definitions)
        return apply_floor(raw, allowed, training_rows=self.stay_rows)

    def score(self, rows: pa.Table) -> tuple[np.ndarray, np.ndarray]:
        """(p_churn (rows,), p_next (rows, 7)): P over the stages at as_of + horizon."""
        matrix = design_matrix(rows, self.columns)
        p = self._p_churn(matrix)
        return p, compose(p, self._q_stay(rows, matrix), inactive_index(rows))

    def rate_levels(self, rows: pa.Table) -> list[str | None]:
        """The level of each score that is a rate, one of serving.scoring.rates.LEVELS.

        None where the score comes from a model, or where no cover can end.
        """
        first, *others = (part for _, part in self.churn.parts)
        if not isinstance(first, Rate | Rates):
            return [None] * rows.num_rows
        matrix = design_matrix(rows, self.columns)
        level = np.zeros(rows.num_rows, dtype=int)
        if isinstance(first, Rates):
            level = first.finest_level(matrix)
        at_floor = np.zeros(rows.num_rows, dtype=bool)
        for part in others:
            if isinstance(part, CannotChurn):
                at_floor |= part.row_mask(matrix)
        return [
            None if is_floor else LEVELS[number]
            for number, is_floor in zip(level, at_floor, strict=True)
        ]

    def contributions(self, rows: pa.Table) -> np.ndarray:
        """Contributions to the calibrated log-odds of churn, float64 (rows, columns + 14).

        Exact under the calibrations none and platt; under beta and isotonic by their mean slope.
        """
        return self.calibration.slope * self.churn.contributions(design_matrix(rows, self.columns))


def inactive_index(rows: pa.Table) -> np.ndarray:
    """`stage_if_inactive` as an index in STAGES, int (rows,)."""
    return stage_index(rows["stage_if_inactive"].to_numpy())


def stage_index(names: np.ndarray) -> np.ndarray:
    """Stage names to their index in STAGES."""
    order = np.argsort(STAGES)
    return order[np.searchsorted(np.asarray(STAGES)[order], np.asarray(names, dtype=str))]


def reachable_from_rows(rows: pa.Table, definitions: Definitions) -> np.ndarray:
    """The stages that a stayer can reach, from the row's state columns, bool (rows, 7)."""
    idle = stage_index(rows["stage_idle"].to_numpy()) if definitions.contractual else None
    first_at, last_at = activity_span(rows)
    return outcomes.reachable_stages(
        n=rows["n"].to_numpy(),
        first_at=first_at,
        last_at=last_at,
        as_of=rows["as_of"].to_numpy(),
        definitions=definitions,
        stage_without_activity=idle,
    )


def apply_floor(raw: np.ndarray, allowed: np.ndarray, *, training_rows: int) -> np.ndarray:
    """Probabilities over the allowed stages, (rows, 7): 0 elsewhere, at least 1/(n + K), sum 1."""
    # Laplace: a stage that n training rows never reached is still possible.
    floor = 1.0 / (training_rows + len(STAGES))
    q = np.where(allowed, raw, 0.0)
    total = ordered_sum(q)
    uniform = np.where(allowed, 1.0, 0.0)
    uniform = uniform / ordered_sum(uniform)[:, None]
    # Where the model gives the allowed stages nothing at all, they share equally.
    q = np.where(total[:, None] > 0, q / np.where(total > 0, total, 1.0)[:, None], uniform)
    share = np.minimum(floor * allowed.sum(axis=1), 1.0)[:, None]
    return q * (1 - share) + uniform * share


def compose(p: np.ndarray, q: np.ndarray, inactive: np.ndarray) -> np.ndarray:
    """p · [s = s₀] + (1 − p) · q, float64 (rows, 7); `inactive`: the index of s₀, (rows,)."""
    result = (1 - p)[:, None] * q
    result[np.arange(len(p)), inactive] += p
    return result


def ordered_sum(values: np.ndarray) -> np.ndarray:
    """Row sums, the columns added in order (np.sum adds pairwise, by length)."""
    total = np.zeros(len(values))
    for column in range(values.shape[1]):
        total += values[:, column]
    return total
