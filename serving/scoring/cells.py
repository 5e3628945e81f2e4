"""Margins by cell: by stage and number of activities. A part of the blend, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from features.recipes.stages import STAGES


@dataclass(frozen=True)
class Cells:
    """Margins by the stage and, where `column` ≥ 0, by the activities in that column, up to N of them.

    `stage` is where the stage's one-hot columns begin; margin: (stages, N + 1, k). What is null counts as 0.
    """

    stage: int
    column: int
    margin: np.ndarray

    def cells(self, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(index of the stage, activities up to N), int (rows,) each."""
        at = matrix[:, self.stage : self.stage + len(STAGES)].argmax(axis=1)
        if self.column < 0:
            return at, np.zeros(len(matrix), dtype=int)
        many = np.nan_to_num(matrix[:, self.column])
        return at, np.clip(many, 0, self.margin.shape[1] - 1).astype(int)

    def margins(self, matrix: np.ndarray) -> np.ndarray:
        return self.margin[self.cells(matrix)]

    def contributions(self, matrix: np.ndarray) -> np.ndarray:
        """Of nothing but the stage itself: none is told."""
        return np.zeros(matrix.shape)

    def to_mapping(self) -> dict[str, Any]:
        return {"stage": self.stage, "column": self.column, "margin": self.margin.tolist()}

    @classmethod
    def from_mapping(cls, stated: dict[str, Any]) -> Cells:
        return cls(
            int(stated["stage"]),
            int(stated["column"]),
            np.asarray(stated["margin"], dtype=np.float64),
        )
