"""Margins by stage and number of activities. A part of the blend, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from features.recipes.stages import STAGES


@dataclass(frozen=True)
class CellMargins:
    """Margins by stage and, where `count_column` ≥ 0, by the number of activities, up to N.

    `stage_start`: where the stage's one-hot columns begin. `count_column`: the column with the
    number of activities, null counting as 0. `margin`: float64 (stages, N + 1, k).
    """

    stage_start: int
    count_column: int
    margin: np.ndarray

    def cell_indices(self, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(index of the stage, activities up to N), int (rows,) each."""
        stage = matrix[:, self.stage_start : self.stage_start + len(STAGES)].argmax(axis=1)
        if self.count_column < 0:
            return stage, np.zeros(len(matrix), dtype=int)
        count = np.nan_to_num(matrix[:, self.count_column])
        return stage, np.clip(count, 0, self.margin.shape[1] - 1).astype(int)

    def margins(self, matrix: np.ndarray) -> np.ndarray:
        """Each row's margins, float64 (rows, k)."""
        return self.margin[self.cell_indices(matrix)]

    def contributions(self, matrix: np.ndarray) -> np.ndarray:
        """Zeros, float64 (rows, columns): the stage is no feature that a reason could name."""
        return np.zeros(matrix.shape)

    def to_mapping(self) -> dict[str, Any]:
        """JSON-ready data for `from_mapping`."""
        return {
            "stage_start": self.stage_start,
            "count_column": self.count_column,
            "margin": self.margin.tolist(),
        }

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> CellMargins:
        """The inverse of `to_mapping`. ValueError, KeyError or TypeError for anything else."""
        margin = np.asarray(mapping["margin"], dtype=np.float64)
        return cls(int(mapping["stage_start"]), int(mapping["count_column"]), margin)
