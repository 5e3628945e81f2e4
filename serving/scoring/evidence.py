"""How much is known of a customer's own rhythm, and how far the rate among customers like them may lie from p.

The grade is a rule over two counts: completed gaps (activities less one), and tenure in base gaps.

    none    no completed gap: one activity, nothing of a rhythm of their own
    little  1 or 2 completed gaps, or known for less than one base gap
    some    3 to 7 completed gaps, or known for less than four base gaps
    good    the others

It says what the score rests on, not whether it is right: with `none` the score is what customers like them do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import isfinite
from typing import Any

import numpy as np
import pyarrow as pa

from features.recipes.definitions import Definitions
from serving.scoring.parts import log_odds, sigmoid

GRADES = ("none", "little", "some", "good")
GAPS = (1, 3, 8)  # completed gaps from which it is little, some, good
TENURES = (0.0, 1.0, 4.0)  # base gaps of tenure that the same grades ask for
LEVEL, REACH = (
    0.90,
    1.6448536269514722,
)  # of the interval, and its half-width in standard deviations


def grades(rows: pa.Table, definitions: Definitions) -> np.ndarray:
    """Each row's grade as an index in GRADES, int (rows,), from the state columns n, first_at, as_of."""
    gaps = rows["n"].to_numpy() - 1
    tenure = (rows["as_of"].to_numpy() - rows["first_at"].to_numpy()) / definitions.base_gap_us
    return np.minimum(
        np.searchsorted(GAPS, gaps, side="right"), np.searchsorted(TENURES, tenure, side="right")
    )


@dataclass(frozen=True)
class Spread:
    """`spreads`: per grade, the standard deviation (log-odds) of the rate of a group of like customers around its p.

    Customers are like each other where date, grade, stage and p are. Never smaller for a lesser grade. `why` says what
    it was measured on. ValueError for numbers that are no spreads.
    """

    spreads: tuple[float, ...]
    why: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if len(self.spreads) != len(GRADES) or not all(
            isfinite(x) and x >= 0 for x in self.spreads
        ):
            raise ValueError("a spread is a number from 0 on per grade of evidence")

    def interval(self, p: np.ndarray, grade: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(low, high), float64 (rows,) each, around `p` (rows,), strictly inside 0 and 1, for grades (rows,).

        What it means: take everybody of this grade whose score is like this one. The share of them that leaves lies
        in the interval at nine of ten such groups. It is no interval for one customer, who leaves or stays.
        """
        middle, half = log_odds(p), REACH * np.asarray(self.spreads)[grade]
        # Rounding on the way to log-odds and back may not put p outside.
        return np.minimum(sigmoid(middle - half), p), np.maximum(sigmoid(middle + half), p)

    def to_mapping(self) -> dict[str, Any]:
        return asdict(self) | {"spreads": list(self.spreads)}

    @classmethod
    def from_mapping(cls, stated: Mapping[str, Any]) -> Spread:
        """What `to_mapping` gave. ValueError, KeyError or TypeError for anything else."""
        return cls(**{**stated, "spreads": tuple(stated["spreads"])})
