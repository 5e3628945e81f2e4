"""Calibration: from the blend's log-odds to the log-odds that are said. Monotone, applied last, plain numbers.

    none      margin
    platt     shift + low · margin                                     (low = high)
    beta      shift + low · ln p − high · ln(1 − p), p = sigmoid(margin)
    isotonic  shift + the straight lines through (knots, heights), of slope low below them and high above

Beta is Kull, Silva Filho & Flach 2017. Every kind rises strictly: no two customers change places, and two that differ
are tied only where their log-odds round to the same number. Each value comes from its own margin alone, so one row
and a thousand rows give the same bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from math import isfinite
from typing import Any

import numpy as np

from serving.scoring.parts import sigmoid

KINDS = ("none", "platt", "beta", "isotonic")  # the simplest first
FAR = 500.0  # log-odds beyond which exp would overflow


@dataclass(frozen=True)
class Calibration:
    """One of KINDS with its numbers. `low` and `high` are the slopes at small and at large p, both above 0.

    `why` says in words how the kind was chosen; it takes no part in scores or equality. ValueError for numbers that
    would not rise.
    """

    kind: str = "none"
    low: float = 1.0
    high: float = 1.0
    shift: float = 0.0
    knots: tuple[float, ...] = ()
    heights: tuple[float, ...] = ()
    why: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        finite = all(
            isfinite(x) for x in (self.low, self.high, self.shift, *self.knots, *self.heights)
        )
        rising = all(a < b for line in (self.knots, self.heights) for a, b in pairwise(line))
        shaped = len(self.knots) == len(self.heights) and bool(self.knots) == (
            self.kind == "isotonic"
        )
        bent = self.kind in ("beta", "isotonic") or self.low == self.high
        if (
            self.kind not in KINDS
            or not (finite and rising and shaped and bent)
            or min(self.low, self.high) <= 0
        ):
            raise ValueError("a calibration is one of none, platt, beta, isotonic, and rises")

    def log_odds(self, margin: np.ndarray) -> np.ndarray:
        """Calibrated log-odds, float64 (rows,), for the blend's `margin` (rows,)."""
        if self.kind == "isotonic":
            return self.shift + self._along(margin)
        if self.kind == "beta":
            return (
                self.shift
                - self.low * np.logaddexp(0.0, -margin)
                + self.high * np.logaddexp(0.0, margin)
            )
        return self.low * margin + self.shift

    def p(self, margin: np.ndarray) -> np.ndarray:
        """Calibrated probabilities, float64 (rows,)."""
        return sigmoid(np.clip(self.log_odds(margin), -FAR, FAR))

    @property
    def slope(self) -> float:
        """How much log-odds move with the margin, over the whole map: one positive number for everybody.

        Contributions are told in calibrated log-odds by it. A slope of each customer's own would mix scales where
        what is typical is subtracted, and could turn a reason round; one number keeps every sign and order.
        """
        if len(self.knots) > 1:
            return (self.heights[-1] - self.heights[0]) / (self.knots[-1] - self.knots[0])
        return (self.low + self.high) / 2

    def _along(self, margin: np.ndarray) -> np.ndarray:
        knots, heights = np.asarray(self.knots), np.asarray(self.heights)
        at = np.searchsorted(knots, margin, side="right")
        rise = np.concatenate([[self.low], np.diff(heights) / np.diff(knots), [self.high]])
        begin = np.maximum(at - 1, 0)
        # Rounding may carry the end of a line past the next knot; the ceiling keeps the order.
        return np.minimum(
            heights[begin] + rise[at] * (margin - knots[begin]), np.append(heights, np.inf)[at]
        )

    def to_mapping(self) -> dict[str, Any]:
        return asdict(self) | {"knots": list(self.knots), "heights": list(self.heights)}

    @classmethod
    def from_mapping(cls, stated: Mapping[str, Any]) -> Calibration:
        """What `to_mapping` gave. ValueError or TypeError for anything else."""
        return cls(
            **{**stated, "knots": tuple(stated["knots"]), "heights": tuple(stated["heights"])}
        )
