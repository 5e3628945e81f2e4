"""Sets of next stages that hold the one that comes, nine times of ten, whichever stage that is.

Class-conditional split conformal prediction (Vovk 2012, "Conditional validity of inductive conformal predictors";
Sadinle, Lei & Wasserman 2019, "Least ambiguous set-valued classifiers with bounded error levels"): a stage is in the
set where 1 − P(next = stage) is at most that stage's threshold. Eligible customers and the others have thresholds of
their own (Mondrian categories): the long gone are easy to tell, and would lend the others a coverage they do not have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import isfinite
from typing import Any

import numpy as np

from features.recipes.stages import STAGES


@dataclass(frozen=True)
class Conformal:
    """`eligible`, `others`: per stage in the order of STAGES, the largest 1 − P(next = stage) that is still in the set.

    `pooled` names the stages that too few rows ended at for a threshold of their own: they have that of all rows
    together, and are not promised to be held as often as the others. `why` says what it was fitted on; neither takes
    part in sets. ValueError for numbers that are no thresholds.
    """

    eligible: tuple[float, ...]
    others: tuple[float, ...]
    level: float
    pooled: tuple[str, ...] = field(default=(), compare=False)
    why: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        inside = all(
            isfinite(x) and 0 <= x <= 1 for x in (*self.eligible, *self.others, self.level)
        )
        whole = len(self.eligible) == len(self.others) == len(STAGES)
        if not inside or not whole or not set(self.pooled) <= set(STAGES):
            raise ValueError("a conformal set has a level and a threshold from 0 to 1 per stage")

    def sets(self, p_next: np.ndarray, eligible: np.ndarray) -> np.ndarray:
        """Which stages are in the set, bool (rows, 7), for P(next stage), (rows, 7), and `eligible`, bool (rows,).

        Never empty: the likeliest is always in it (of equals the first in the order of STAGES). Never a stage that no
        future can reach: those have probability exactly 0.
        """
        held = (1 - p_next <= np.where(eligible[:, None], self.eligible, self.others)) & (
            p_next > 0
        )
        if len(p_next):
            held[np.arange(len(p_next)), p_next.argmax(axis=1)] = True
        return held

    def to_mapping(self) -> dict[str, Any]:
        return asdict(self) | {
            name: list(getattr(self, name)) for name in ("eligible", "others", "pooled")
        }

    @classmethod
    def from_mapping(cls, stated: Mapping[str, Any]) -> Conformal:
        """What `to_mapping` gave. ValueError, KeyError or TypeError for anything else."""
        return cls(
            **{**stated, **{name: tuple(stated[name]) for name in ("eligible", "others", "pooled")}}
        )


def named(held: np.ndarray) -> list[str]:
    """Each row's set as text: its stages joined by `|`, in the order of STAGES; `held` is bool (rows, 7)."""
    return [
        "|".join(stage for stage, inside in zip(STAGES, row, strict=True) if inside)
        for row in held.tolist()
    ]
