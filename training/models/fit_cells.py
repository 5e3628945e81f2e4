"""What became of stayers by stage and number of activities: the plainest answer to which stage comes next.

Frequencies, each finer cell backed by the coarser one behind it with the weight of ten rows.
"""

from __future__ import annotations

import numpy as np

from features.recipes.stages import STAGES
from serving.scoring.cells import Cells

ACTIVITIES = "active_days_all"  # the column that counts every activity
MOST, BACKING = 6, 10.0


def fit(matrix: np.ndarray, labels: np.ndarray, *, columns: tuple[str, ...], outputs: int) -> Cells:
    """Log-frequencies of `labels` (0 … outputs − 1) by cell of the design matrix; by stage alone where activities are off."""
    column = columns.index(ACTIVITIES) if ACTIVITIES in columns else -1
    empty = Cells(len(columns), column, np.zeros((len(STAGES), MOST + 1, outputs)))
    stage, many = empty.cells(matrix)
    counts = np.zeros_like(empty.margin)
    np.add.at(counts, (stage, many, labels), 1)
    of_all = (counts.sum(axis=(0, 1)) + 1) / (len(labels) + outputs)
    of_stage = _backed(counts.sum(axis=1), of_all)
    return Cells(len(columns), column, np.log(_backed(counts, of_stage[:, None])))


def _backed(counts: np.ndarray, coarser: np.ndarray) -> np.ndarray:
    return (counts + BACKING * coarser) / (counts.sum(axis=-1, keepdims=True) + BACKING)
