"""Which rows cannot churn because their cover cannot end within the outcome window.

Such rows get the lowest score instead of the model's.
"""

from __future__ import annotations

import numpy as np

from serving.scoring.cannot_churn import COLUMNS, KINDS, CannotChurn, kinds

MIN_ROWS = 30  # rows without a churner; with fewer this could be chance


def fit_cannot_churn(
    matrix: np.ndarray, churned: np.ndarray, columns: tuple[str, ...], *, contractual: bool
) -> CannotChurn | None:
    """The kinds of `serving.scoring.cannot_churn` of which no row churned; None without any.

    `matrix`: the design matrix (rows, columns + 14). The kind `nothing` needs no rows, only none
    that contradicts it (a correction of the data can). The kind `cancellation` needs MIN_ROWS.
    None too where churn is not defined by contracts, or where the features are switched off.
    """
    if not contractual or not set(COLUMNS) <= set(columns):
        return None
    can_end, cancelled_beyond = (columns.index(name) for name in COLUMNS)
    kind = kinds(matrix[:, can_end], matrix[:, cancelled_beyond])
    rows, churners = (
        np.bincount(kind, weights=weight, minlength=len(KINDS)) for weight in (None, churned)
    )
    least_rows = {"cancellation": MIN_ROWS, "nothing": 0}
    never = tuple(
        name
        for name, least in least_rows.items()
        if not churners[(k := KINDS.index(name))] and rows[k] >= least
    )
    return CannotChurn((can_end, cancelled_beyond), never) if never else None
