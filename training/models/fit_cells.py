"""Frequencies of stayers' next stage by stage and number of activities.

Each cell is smoothed towards the coarser one (the stage, then everybody) with the weight of ten
rows.
"""

from __future__ import annotations

import numpy as np

from features.recipes.stages import STAGES
from serving.scoring.cells import CellMargins

ACTIVITIES = "active_days_all"  # the column that counts every activity
MAX_ACTIVITIES, PRIOR_ROWS = 6, 10.0


def fit_cells(
    matrix: np.ndarray, labels: np.ndarray, *, columns: tuple[str, ...], outputs: int
) -> CellMargins:
    """Log-frequencies of `labels` (0 … outputs − 1) by cell of the design matrix.

    By stage alone where the activity column is not modelled.
    """
    column = columns.index(ACTIVITIES) if ACTIVITIES in columns else -1
    empty = CellMargins(len(columns), column, np.zeros((len(STAGES), MAX_ACTIVITIES + 1, outputs)))
    stage, activities = empty.cell_indices(matrix)
    counts = np.zeros_like(empty.margin)
    np.add.at(counts, (stage, activities, labels), 1)
    overall = (counts.sum(axis=(0, 1)) + 1) / (len(labels) + outputs)
    by_stage = _smooth(counts.sum(axis=1), overall)
    return CellMargins(len(columns), column, np.log(_smooth(counts, by_stage[:, None])))


def _smooth(counts: np.ndarray, coarser: np.ndarray) -> np.ndarray:
    """Frequencies along the last axis, with PRIOR_ROWS rows of the coarser frequencies added."""
    total = counts.sum(axis=-1, keepdims=True) + PRIOR_ROWS
    return (counts + PRIOR_ROWS * coarser) / total
