"""Cover that cannot end in the window: nobody can be observed leaving, so p is the floor.

Kinds of rows with cover (docs/decisions/022), by the features `can_end` and `cancelled_beyond`:

    lapse         the known cover ends within the horizon: the model decides
    cancellation  only a cancellation could end it: the model decides, unless no training row of
                  this kind ever left
    nothing       the cover is already cancelled for a later date, nothing can end: the floor

Non-contractual businesses have no such part; nor have those that switched these features off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

KINDS = ("lapse", "cancellation", "nothing")  # rows without cover count as lapse
COLUMNS = ("can_end", "cancelled_beyond")
# So low that every calibration gives p below the floor, whatever the other parts add.
MIN_LOG_ODDS = -1000.0


def kinds(can_end: np.ndarray, cancelled_beyond: np.ndarray) -> np.ndarray:
    """How each row's cover can end, as an index in KINDS, int (rows,); NaN (no cover) is lapse."""
    return np.where(can_end == 0, np.where(cancelled_beyond == 1, 2, 1), 0)


@dataclass(frozen=True)
class CannotChurn:
    """A part of the blend: MIN_LOG_ODDS for rows of `kinds`, 0 for the others.

    `positions`: where COLUMNS are in the design matrix. It contributes to no reason: the reasons of
    its rows are those of the model.
    """

    positions: tuple[int, int]
    kinds: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.positions) != 2 or not set(self.kinds) <= set(KINDS[1:]):
            raise ValueError(f"the kinds that cannot churn are some of {KINDS[1:]}")

    def row_mask(self, matrix: np.ndarray) -> np.ndarray:
        """The rows of the design matrix that cannot churn, bool (rows,)."""
        numbers = [KINDS.index(name) for name in self.kinds]
        can_end, cancelled_beyond = (matrix[:, position] for position in self.positions)
        return np.isin(kinds(can_end, cancelled_beyond), numbers)

    def margins(self, matrix: np.ndarray) -> np.ndarray:
        """MIN_LOG_ODDS or 0, float64 (rows, 1)."""
        return np.where(self.row_mask(matrix), MIN_LOG_ODDS, 0.0)[:, None]

    def contributions(self, matrix: np.ndarray) -> np.ndarray:
        """Zeros, float64 (rows, columns)."""
        return np.zeros(matrix.shape)

    def to_mapping(self) -> dict[str, Any]:
        """JSON-ready data for `from_mapping`."""
        return {"positions": list(self.positions), "kinds": list(self.kinds)}

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> CannotChurn:
        """The inverse of `to_mapping`. ValueError or KeyError for anything else."""
        can_end, cancelled_beyond = mapping["positions"]
        return cls((can_end, cancelled_beyond), tuple(mapping["kinds"]))
