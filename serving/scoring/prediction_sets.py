"""Sets of next stages that contain the observed one nine times of ten, for every stage.

Class-conditional split conformal prediction (Vovk 2012, "Conditional validity of inductive
conformal predictors"; Sadinle, Lei & Wasserman 2019, "Least ambiguous set-valued classifiers with
bounded error levels"): a stage is in the set where 1 − P(next = stage) is at most that stage's
threshold. Eligible customers and the others have separate thresholds (Mondrian categories):
customers who left long ago are easy to predict, and pooling would overstate the coverage of the
eligible ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import isfinite
from typing import Any

import numpy as np

from features.recipes.stages import STAGES


@dataclass(frozen=True)
class PredictionSets:
    """`eligible`, `others`: per stage of STAGES, the largest 1 − P(next = stage) inside the set.

    `level`: the coverage aimed at. `pooled`: stages with too few rows for a threshold of their own;
    they have the threshold of all rows, and their coverage is not promised. `note` says what it was
    fitted on; neither changes the sets. ValueError for numbers that are no thresholds.
    """

    eligible: tuple[float, ...]
    others: tuple[float, ...]
    level: float
    pooled: tuple[str, ...] = field(default=(), compare=False)
    note: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        numbers = (*self.eligible, *self.others, self.level)
        is_inside = all(isfinite(x) and 0 <= x <= 1 for x in numbers)
        is_complete = len(self.eligible) == len(self.others) == len(STAGES)
        if not is_inside or not is_complete or not set(self.pooled) <= set(STAGES):
            raise ValueError("prediction sets have a level and a threshold from 0 to 1 per stage")

    def membership(self, p_next: np.ndarray, eligible: np.ndarray) -> np.ndarray:
        """Which stages are in the set, bool (rows, 7).

        `p_next`: P(next stage), (rows, 7); `eligible`: bool (rows,). Never empty: the likeliest
        stage is always in it (of equals the first in the order of STAGES). Never a stage that
        cannot be reached: its probability is exactly 0.
        """
        thresholds = np.where(eligible[:, None], self.eligible, self.others)
        members = (1 - p_next <= thresholds) & (p_next > 0)
        if len(p_next):
            members[np.arange(len(p_next)), p_next.argmax(axis=1)] = True
        return members

    def to_mapping(self) -> dict[str, Any]:
        """JSON-ready data for `from_mapping`."""
        names = ("eligible", "others", "pooled")
        return asdict(self) | {name: list(getattr(self, name)) for name in names}

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> PredictionSets:
        """The inverse of `to_mapping`. ValueError, KeyError or TypeError for anything else."""
        names = ("eligible", "others", "pooled")
        return cls(**{**mapping, **{name: tuple(mapping[name]) for name in names}})


def stage_lists(members: np.ndarray) -> list[list[str]]:
    """Each row's stages in the order of STAGES; `members` is bool (rows, 7)."""
    return [
        [stage for stage, is_member in zip(STAGES, row, strict=True) if is_member]
        for row in members.tolist()
    ]
