"""Warnings of a row whose values are unlike those that the models have learned from.

They are counts of columns and names of attributes, never a value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from features.recipes.attributes import Attribute
from serving.scoring.parts import Linear, design_matrix, signed_log1p
from serving.scoring.scorer import Scorer

SELDOM_NULL = 0.01  # many columns are null for many customers, and learned as such
OUTSIDE, IMPUTED, UNSEEN = "outside_training_range:", "imputed:", "unseen_category:"


def unusual_warnings(
    scorer: Scorer, rows: pa.Table, null_shares: Mapping[str, float]
) -> list[list[str]]:
    """Per row the warnings of its values.

    outside_training_range:<n>_columns: values below or above all of the training rows (a linear
    term then stays at the end of its range). imputed:<n>_columns: of an eligible customer, values
    that are missing and that nearly every eligible customer of the training had.
    unseen_category:<attribute>: a text that is none of the levels that the release has learned.
    `null_shares`: by column the share of the training's eligible customers without a value.
    """
    # The columns after the features say the stage alone.
    matrix = design_matrix(rows, scorer.columns)[:, : len(scorer.columns)]
    outside, imputed = (
        _count_outside(scorer, matrix),
        _count_imputed(scorer, null_shares, rows, matrix),
    )
    result: list[list[str]] = []
    for beyond, missing in zip(outside.tolist(), imputed.tolist(), strict=True):
        marks = [f"{OUTSIDE}{beyond}_columns"] if beyond else []
        result.append([*marks, *([f"{IMPUTED}{missing}_columns"] if missing else [])])
    for name, unseen in _unseen_levels(scorer.definitions.attributes, scorer.columns, matrix):
        for row in np.flatnonzero(unseen):
            result[row].append(f"{UNSEEN}{name}")
    return result


def _count_outside(scorer: Scorer, matrix: np.ndarray) -> np.ndarray:
    """Columns outside the range of the training rows, int (rows,); 0 where no part knows it."""
    outside = np.zeros(matrix.shape, dtype=bool)
    values = signed_log1p(matrix)
    for _, part in scorer.churn.parts:
        if isinstance(part, Linear) and part.low is not None and part.high is not None:
            # A null compares as neither.
            low, high = part.low[: matrix.shape[1]], part.high[: matrix.shape[1]]
            outside |= (values < low) | (values > high)
    return outside.sum(axis=1)


def _count_imputed(
    scorer: Scorer, null_shares: Mapping[str, float], rows: pa.Table, matrix: np.ndarray
) -> np.ndarray:
    """Columns that are null though they were seldom null in the training, int (rows,)."""
    shares = np.array([null_shares.get(name, 1.0) for name in scorer.columns])
    count = np.isnan(matrix[:, shares <= SELDOM_NULL]).sum(axis=1)
    # The shares are of eligible customers: who left long ago has null in many of these columns.
    return np.where(rows["eligible"].to_numpy(zero_copy_only=False).astype(bool), count, 0)


def _unseen_levels(
    attributes: Sequence[Attribute], columns: Sequence[str], matrix: np.ndarray
) -> list[tuple[str, np.ndarray]]:
    """(attribute, rows with a known text that is no level of it), for those with all columns."""
    places = {name: at for at, name in enumerate(columns)}
    result = []
    for one in attributes:
        names = [column for level, column in one.columns if level]
        # A sub-release, or a training that left a column out, cannot tell.
        if names and all(name in places for name in names):
            levels = matrix[:, [places[name] for name in names]]
            result.append((one.name, (levels == 0).all(axis=1)))
    return result
