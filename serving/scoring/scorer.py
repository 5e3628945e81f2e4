"""A feature row becomes a score: both models, one future. The same code in training's evaluation, batch and online.

    P(next = s) = p · [s = s₀] + (1 − p) · q(s | stays)

p is the churn model's, calibrated and kept in [1/(2n), 1 − 1/(2n)]; q the next-stage model's, exactly 0 for stages no
future can reach and at least 1/(n + K) for the others, before composing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from features.labels.outcomes import reachable
from features.recipes.definitions import Definitions
from features.recipes.stages import STAGES
from serving.scoring.calibration import Calibration
from serving.scoring.cannot_churn import CannotChurn
from serving.scoring.evidence import Spread
from serving.scoring.parts import Blend, Rate, design, log_softmax
from serving.scoring.prediction_sets import Conformal
from serving.scoring.rates import LEVELS, Rates


@dataclass(frozen=True)
class ReasonReference:
    """Per feature column, what is typical of the eligible training rows: what reasons are told against.

    `typical` is the mean of the logged column, `direction` its correlation with churn per unit (0 where it says
    nothing by itself), `moved` the mean contribution to the log-odds. Scores use none of them.
    """

    typical: tuple[float, ...]
    direction: tuple[float, ...]
    moved: tuple[float, ...]


@dataclass(frozen=True)
class Scorer:
    """Everything between a feature row and a score. `churn_rows`, `stay_rows`: training rows behind p and q.

    `sets`, `spread`: what is said of how sure a score is; None where the data were too few to say. Scores use neither.
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
    bearings: ReasonReference | None = None
    sets: Conformal | None = None
    spread: Spread | None = None

    def margin(self, rows: pa.Table) -> np.ndarray:
        """Uncalibrated log-odds of churn, float64 (rows,)."""
        return self.churn.margins(design(rows, self.columns))[:, 0]

    def p_churn(self, rows: pa.Table) -> np.ndarray:
        """P(churn in the horizon), float64 (rows,)."""
        return self._p_churn(design(rows, self.columns))

    def _p_churn(self, matrix: np.ndarray) -> np.ndarray:
        return self.p_of(self.churn.margins(matrix)[:, 0])

    def p_of(self, margin: np.ndarray) -> np.ndarray:
        """P(churn) for uncalibrated log-odds, float64 (rows,)."""
        p = self.calibration.p(margin)
        edge = 1.0 / (2 * max(self.churn_rows, 1))
        return np.clip(p, edge, 1 - edge)

    def q_stay(self, rows: pa.Table) -> np.ndarray:
        """P(stage at the horizon's end | stays), float64 (rows, 7)."""
        return self._q_stay(rows, design(rows, self.columns))

    def _q_stay(self, rows: pa.Table, matrix: np.ndarray) -> np.ndarray:
        return self.q_of(rows, self.next_stage.margins(matrix))

    def q_of(self, rows: pa.Table, margins: np.ndarray) -> np.ndarray:
        """q for the next-stage margins (rows, classes) of these rows, float64 (rows, 7)."""
        logs = log_softmax(margins)
        raw = np.zeros((rows.num_rows, len(STAGES)))
        for at, name in enumerate(self.classes):
            raw[:, STAGES.index(name)] = np.exp(logs[:, at])
        return floored(raw, reachable_of(rows, self.definitions), rows_behind=self.stay_rows)

    def score(self, rows: pa.Table) -> tuple[np.ndarray, np.ndarray]:
        """(p_churn (rows,), p_next (rows, 7)): one distribution over the stages at as_of + horizon."""
        matrix = design(rows, self.columns)
        p = self._p_churn(matrix)
        return p, composed(p, self._q_stay(rows, matrix), inactive_index(rows))

    def rate_of(self, rows: pa.Table) -> list[str | None]:
        """Whose rate each score is, one of serving.scoring.rates.LEVELS; None where it is a model's, or no cover can end."""
        parts = [part for _, part in self.churn.parts]
        if not isinstance(parts[0], Rate | Rates):
            return [None] * rows.num_rows
        matrix = design(rows, self.columns)
        level = (
            parts[0].finest(matrix)
            if isinstance(parts[0], Rates)
            else np.zeros(rows.num_rows, dtype=int)
        )
        settled = [part.rows(matrix) for part in parts[1:] if isinstance(part, CannotChurn)]
        floor = settled[0] if settled else np.zeros(rows.num_rows, dtype=bool)
        return [None if never else LEVELS[at] for at, never in zip(level, floor, strict=True)]

    def contributions(self, rows: pa.Table) -> np.ndarray:
        """How much each design column moves the calibrated log-odds of churn, float64 (rows, columns + 14).

        Exact under calibrations none and platt; under the bent kinds by their mean slope.
        """
        return self.calibration.slope * self.churn.contributions(design(rows, self.columns))


def inactive_index(rows: pa.Table) -> np.ndarray:
    return stage_index(rows["stage_if_inactive"].to_numpy())


def stage_index(names: np.ndarray) -> np.ndarray:
    """Stage names to their index in STAGES."""
    order = np.argsort(STAGES)
    return order[np.searchsorted(np.asarray(STAGES)[order], np.asarray(names, dtype=str))]


def reachable_of(rows: pa.Table, definitions: Definitions) -> np.ndarray:
    """bool (rows, 7): the stages some future of a stayer can reach, from the row's state columns."""
    idle = stage_index(rows["stage_idle"].to_numpy()) if definitions.contractual else None
    return reachable(
        n=rows["n"].to_numpy(),
        first_at=rows["first_at"].to_numpy(),
        last_at=rows["last_at"].to_numpy(),
        as_of=rows["as_of"].to_numpy(),
        definitions=definitions,
        stage_without_activity=idle,
    )


def floored(raw: np.ndarray, allowed: np.ndarray, *, rows_behind: int) -> np.ndarray:
    """Probabilities over the allowed stages: 0 elsewhere, at least 1/(n + K) on each allowed one, summing to 1."""
    floor = 1.0 / (rows_behind + len(STAGES))
    kept = np.where(allowed, raw, 0.0)
    total = ordered_sum(kept)
    spread = np.where(allowed, 1.0, 0.0)
    spread = spread / ordered_sum(spread)[:, None]
    # Where the model gives the allowed stages nothing at all, they share alike.
    kept = np.where(total[:, None] > 0, kept / np.where(total > 0, total, 1.0)[:, None], spread)
    share = np.minimum(floor * allowed.sum(axis=1), 1.0)[:, None]
    return kept * (1 - share) + spread * share


def composed(p: np.ndarray, q: np.ndarray, inactive: np.ndarray) -> np.ndarray:
    """p · [s = s₀] + (1 − p) · q."""
    out = (1 - p)[:, None] * q
    out[np.arange(len(p)), inactive] += p
    return out


def ordered_sum(values: np.ndarray) -> np.ndarray:
    """Row sums, the columns added in order (np.sum adds pairwise, by length)."""
    total = np.zeros(len(values))
    for at in range(values.shape[1]):
        total += values[:, at]
    return total
