"""Cover that cannot end in the window: where nobody could ever be seen leaving, p is the floor and no model's guess.

Of rows with cover (docs/decisions/022), by the features `can_end` and `cancelled_beyond`:

    lapse         the cover known of ends within the horizon: the model
    cancellation  only a cancellation could end it: the model, unless no training row of this kind ever left
    nothing       what carries it is already cancelled, so nothing is left to end: the floor

Non-contractual businesses have no such part, and neither have those that switched these features off.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

KINDS = ("lapse", "cancellation", "nothing")  # lapse: also whoever has no cover
COLUMNS = ("can_end", "cancelled_beyond")
MIN_LOG_ODDS = (
    -1000.0
)  # log-odds that every calibration takes below the floor, whatever the model added


def kinds(can_end: np.ndarray, cancelled_beyond: np.ndarray) -> np.ndarray:
    """How each row's cover can end, as an index in KINDS, int (rows,); NaN (no cover) is lapse."""
    return np.where(can_end == 0, np.where(cancelled_beyond == 1, 2, 1), 0)


@dataclass(frozen=True)
class CannotChurn:
    """A part of the blend: NEVER for rows of the kinds in `never`, 0 for the others; `at`: where COLUMNS are.

    It contributes to no reason: its rows are told what the model says of them.
    """

    at: tuple[int, int]
    never: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.at) != 2 or not set(self.never) <= set(KINDS[1:]):
            raise ValueError("never leaving is of rows whose cover cannot end")

    def rows(self, matrix: np.ndarray) -> np.ndarray:
        """Which rows of the design are settled, bool (rows,)."""
        numbers = [KINDS.index(name) for name in self.never]
        return np.isin(kinds(matrix[:, self.at[0]], matrix[:, self.at[1]]), numbers)

    def margins(self, matrix: np.ndarray) -> np.ndarray:
        return np.where(self.rows(matrix), MIN_LOG_ODDS, 0.0)[:, None]

    def contributions(self, matrix: np.ndarray) -> np.ndarray:
        return np.zeros(matrix.shape)

    def to_mapping(self) -> dict[str, Any]:
        return {"at": list(self.at), "never": list(self.never)}

    @classmethod
    def from_mapping(cls, stated: dict[str, Any]) -> CannotChurn:
        return cls(tuple(stated["at"]), tuple(stated["never"]))
