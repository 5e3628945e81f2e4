"""Rates in place of a model: own past, stage, segment, everyone, each standing on the next coarser. A part, as plain data.

    rate = (left + behind · coarser rate) / (rows + behind)

from everyone to the segment, to the stage, to the customer's own closed windows. A level with few rows says what the
coarser one says; a level with many says its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from features.recipes.stages import STAGES

LEVELS = ("everyone", "segment", "stage", "own_past")


@dataclass(frozen=True)
class Rates:
    """`everyone`: the share that left. `segment` (levels, 2), `stage` (stages, 2): how many left, of how many rows.

    `stage_at` is where the stage's one-hot columns begin; `segment_at` the 0-or-1 column of each segment; `own_at` the
    columns past_stay_rate and past_windows, or nothing. `behind`: the rows that stand behind segment, stage, own past.
    """

    everyone: float
    segment: np.ndarray
    stage: np.ndarray
    segment_at: tuple[int, ...]
    stage_at: int
    own_at: tuple[int, ...]
    behind: tuple[float, float, float]

    def margins(self, matrix: np.ndarray) -> np.ndarray:
        """Log-odds of the finest rate, float64 (rows, 1)."""
        rate = np.full(len(matrix), self.everyone)
        for counts, behind in zip(self._counts(matrix), self.behind, strict=True):
            rate = (counts[:, 0] + behind * rate) / (counts[:, 1] + behind)
        return (np.log(rate) - np.log1p(-rate))[:, None]

    def finest(self, matrix: np.ndarray) -> np.ndarray:
        """Per row the index in LEVELS of the finest level whose own rows weigh at least what stands behind it."""
        level = np.zeros(len(matrix), dtype=int)
        for at, (counts, behind) in enumerate(
            zip(self._counts(matrix), self.behind, strict=True), start=1
        ):
            level = np.where(counts[:, 1] >= behind, at, level)
        return level

    def contributions(self, matrix: np.ndarray) -> np.ndarray:
        """Of no column: none is told."""
        return np.zeros(matrix.shape)

    def _counts(self, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(left, rows) of each row's segment, stage and own past, float64 (rows, 2) each."""
        stage = self.stage[matrix[:, self.stage_at : self.stage_at + len(STAGES)].argmax(axis=1)]
        return self._segment(matrix), stage, self._own(matrix)

    def _segment(self, matrix: np.ndarray) -> np.ndarray:
        found = np.zeros((len(matrix), 2))
        for at, counts in zip(self.segment_at, self.segment, strict=True):
            found[matrix[:, at] == 1] = counts
        return found

    def _own(self, matrix: np.ndarray) -> np.ndarray:
        """past_stay_rate is (stayed + 1) / (windows + 2): the windows without activity, and all. Null: none."""
        if not self.own_at:
            return np.zeros((len(matrix), 2))
        stay, windows = (np.nan_to_num(matrix[:, at]) for at in self.own_at)
        stayed = np.clip(np.round(stay * (windows + 2) - 1), 0, windows)
        return np.stack([windows - stayed, windows], axis=1)

    def to_mapping(self) -> dict[str, Any]:
        return {
            "everyone": self.everyone,
            "segment": self.segment.tolist(),
            "stage": self.stage.tolist(),
            "segment_at": list(self.segment_at),
            "stage_at": self.stage_at,
            "own_at": list(self.own_at),
            "behind": list(self.behind),
        }

    @classmethod
    def from_mapping(cls, stated: dict[str, Any]) -> Rates:
        segment, stage = (
            np.asarray(stated[name], dtype=np.float64).reshape(-1, 2)
            for name in ("segment", "stage")
        )
        at = {
            name: tuple(int(value) for value in stated[name]) for name in ("segment_at", "own_at")
        }
        behind = tuple(float(value) for value in stated["behind"])
        return cls(
            float(stated["everyone"]),
            segment,
            stage,
            stage_at=int(stated["stage_at"]),
            behind=behind,
            **at,
        )
