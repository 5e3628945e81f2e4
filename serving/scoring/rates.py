"""Rates in place of a model: everyone, segment, eligibility, stage, own past. A part of the blend.

    rate = (left + prior_strength · coarser rate) / (rows + prior_strength)

from everyone to the segment, to those who are eligible (or are not) as this customer is, to the
stage among these, and for the eligible to the customer's own closed windows. A level with few rows
stays near the coarser rate; a level with many rows has its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from features.recipes.stages import STAGES

LEVELS = ("everyone", "segment", "eligibility", "stage", "own_past")


@dataclass(frozen=True)
class Rates:
    """`everyone`: the share that left. The other levels are counts of those who left and of rows.

    `segment` (segments, 2). `eligibility` (2, 2): of those who are not eligible, of those who are.
    `stage` (2 · stages, 2): the stages of the ones, then of the others. `stage_start`: where the
    stage's one-hot columns begin. `segment_columns`: the 0-or-1 column of each segment.
    `eligible_column`: the column that tells who is eligible, a known value of at most
    `eligible_most`; without it all count as not eligible. `own_past_columns`: those of
    past_retention_rate and past_windows, or nothing. `prior_strength`: the weight of the coarser
    rate in rows, for segment, eligibility, stage and own past.
    """

    everyone: float
    segment: np.ndarray
    eligibility: np.ndarray
    stage: np.ndarray
    segment_columns: tuple[int, ...]
    eligible_column: int | None
    eligible_most: float
    stage_start: int
    own_past_columns: tuple[int, ...]
    prior_strength: tuple[float, float, float, float]

    def margins(self, matrix: np.ndarray) -> np.ndarray:
        """Log-odds of the finest rate, float64 (rows, 1)."""
        rate = np.full(len(matrix), self.everyone)
        for counts, strength in zip(self._counts(matrix), self.prior_strength, strict=True):
            # Shrinkage: the coarser rate counts like `strength` further rows.
            rate = (counts[:, 0] + strength * rate) / (counts[:, 1] + strength)
        return (np.log(rate) - np.log1p(-rate))[:, None]

    def finest_level(self, matrix: np.ndarray) -> np.ndarray:
        """Per row the index in LEVELS of the finest level with at least `prior_strength` rows."""
        level = np.zeros(len(matrix), dtype=int)
        levels = zip(self._counts(matrix), self.prior_strength, strict=True)
        for number, (counts, strength) in enumerate(levels, start=1):
            level = np.where(counts[:, 1] >= strength, number, level)
        return level

    def contributions(self, matrix: np.ndarray) -> np.ndarray:
        """Zeros, float64 (rows, columns): a rate has no reasons."""
        return np.zeros(matrix.shape)

    def _counts(self, matrix: np.ndarray) -> tuple[np.ndarray, ...]:
        """(left, rows) of each row's segment, eligibility, stage and own past: (rows, 2) each."""
        one_hot = matrix[:, self.stage_start : self.stage_start + len(STAGES)]
        eligible = self.eligible_rows(matrix)
        stage = self.stage[eligible * len(STAGES) + one_hot.argmax(axis=1)]
        of_eligible = self.eligibility[eligible]
        own_past = self._own_past_counts(matrix)
        if self.eligible_column is not None:
            # Windows from before a customer fell silent say nothing about coming back.
            own_past = np.where(eligible[:, None] == 1, own_past, 0.0)
        return self._segment_counts(matrix), of_eligible, stage, own_past

    def eligible_rows(self, matrix: np.ndarray) -> np.ndarray:
        """1 for each row that is eligible, else 0: int (rows,)."""
        if self.eligible_column is None:
            return np.zeros(len(matrix), dtype=int)
        # A comparison with NaN is false: who has no value is not eligible.
        return (matrix[:, self.eligible_column] <= self.eligible_most).astype(int)

    def _segment_counts(self, matrix: np.ndarray) -> np.ndarray:
        result = np.zeros((len(matrix), 2))
        for column, counts in zip(self.segment_columns, self.segment, strict=True):
            result[matrix[:, column] == 1] = counts
        return result

    def _own_past_counts(self, matrix: np.ndarray) -> np.ndarray:
        """(windows without activity, windows) of each row; null is 0.

        They come from past_windows and past_retention_rate, which is (stayed + 1) / (windows + 2).
        """
        if not self.own_past_columns:
            return np.zeros((len(matrix), 2))
        rate, windows = (np.nan_to_num(matrix[:, column]) for column in self.own_past_columns)
        # Solved for stayed; rounding undoes the float error of the ratio.
        stayed = np.clip(np.round(rate * (windows + 2) - 1), 0, windows)
        return np.stack([windows - stayed, windows], axis=1)

    def to_mapping(self) -> dict[str, Any]:
        """JSON-ready data for `from_mapping`."""
        return {
            "everyone": self.everyone,
            "segment": self.segment.tolist(),
            "eligibility": self.eligibility.tolist(),
            "stage": self.stage.tolist(),
            "segment_columns": list(self.segment_columns),
            "eligible_column": self.eligible_column,
            "eligible_most": self.eligible_most,
            "stage_start": self.stage_start,
            "own_past_columns": list(self.own_past_columns),
            "prior_strength": list(self.prior_strength),
        }

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Rates:
        """The inverse of `to_mapping`. ValueError, KeyError or TypeError for anything else."""
        of_segment, of_eligibility, of_stage, of_own = map(float, mapping["prior_strength"])
        column = mapping["eligible_column"]
        return cls(
            everyone=float(mapping["everyone"]),
            segment=np.asarray(mapping["segment"], dtype=np.float64).reshape(-1, 2),
            eligibility=np.asarray(mapping["eligibility"], dtype=np.float64).reshape(-1, 2),
            stage=np.asarray(mapping["stage"], dtype=np.float64).reshape(-1, 2),
            segment_columns=tuple(map(int, mapping["segment_columns"])),
            eligible_column=None if column is None else int(column),
            eligible_most=float(mapping["eligible_most"]),
            stage_start=int(mapping["stage_start"]),
            own_past_columns=tuple(map(int, mapping["own_past_columns"])),
            prior_strength=(of_segment, of_eligibility, of_stage, of_own),
        )
