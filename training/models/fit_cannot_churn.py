"""Which rows' cover could not end in the window, and of which of these nobody ever left: the floor is theirs."""

from __future__ import annotations

import numpy as np

from features.core.settings import Settings
from serving.scoring.cannot_churn import COLUMNS, KINDS, CannotChurn, kinds

FEWEST = 30  # rows of which none left; fewer could be chance, where leaving is possible at all


def settled(
    matrix: np.ndarray, churned: np.ndarray, columns: tuple[str, ...], settings: Settings
) -> CannotChurn | None:
    """The kinds of `serving.scoring.cannot_churn` of which no row of the design (rows, columns + 14) left; None where there is none.

    `nothing` needs no rows to be believed, only none that contradict it (a correction may); `cancellation` needs
    FEWEST. None too without contracts as the business's rule of churn, or with the features switched off.
    """
    if not settings.contractual or not set(COLUMNS) <= set(columns):
        return None
    at = tuple(columns.index(name) for name in COLUMNS)
    kind = kinds(matrix[:, at[0]], matrix[:, at[1]])
    rows, left = (
        np.bincount(kind, weights=weight, minlength=len(KINDS)) for weight in (None, churned)
    )
    enough = {"cancellation": FEWEST, "nothing": 0}
    never = tuple(
        name
        for name, least in enough.items()
        if not left[(k := KINDS.index(name))] and rows[k] >= least
    )
    return CannotChurn(at, never) if never else None
