"""Calibration: from the blend's log-odds to the log-odds of the score. Monotone, applied last.

    none      margin
    platt     shift + low · margin                                     (low = high)
    beta      shift + low · ln p − high · ln(1 − p), p = sigmoid(margin)
    isotonic  shift + piecewise linear through (knots, heights), slope low below and high above

Beta is Kull, Silva Filho & Flach 2017. Every kind is strictly increasing: the order of customers
never changes, and two customers are tied only where their log-odds round to the same number. Each
value depends on its own margin alone, so one row and a thousand rows give the same bits.
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
LOG_ODDS_LIMIT = 500.0  # beyond it exp would overflow


@dataclass(frozen=True)
class Calibration:
    """One of KINDS with its numbers. `low`, `high`: the slopes at small and at large p, above 0.

    `note` says how the kind was chosen; it takes no part in scores or equality. ValueError for
    numbers whose map would not be strictly increasing.
    """

    kind: str = "none"
    low: float = 1.0
    high: float = 1.0
    shift: float = 0.0
    knots: tuple[float, ...] = ()
    heights: tuple[float, ...] = ()
    note: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        numbers = (self.low, self.high, self.shift, *self.knots, *self.heights)
        is_increasing = min(self.low, self.high) > 0 and all(
            a < b for points in (self.knots, self.heights) for a, b in pairwise(points)
        )
        has_knots = bool(self.knots) == (self.kind == "isotonic")
        # Only beta and isotonic have two slopes.
        slopes_fit = self.kind in ("beta", "isotonic") or self.low == self.high
        if (
            self.kind not in KINDS
            or not (all(map(isfinite, numbers)) and is_increasing)
            or not (has_knots and len(self.knots) == len(self.heights) and slopes_fit)
        ):
            raise ValueError(
                "a calibration is one of none, platt, beta, isotonic, and is strictly increasing"
            )

    def log_odds(self, margin: np.ndarray) -> np.ndarray:
        """Calibrated log-odds, float64 (rows,), for the blend's `margin` (rows,)."""
        if self.kind == "isotonic":
            return self.shift + self._interpolate(margin)
        if self.kind == "beta":
            return (
                self.shift
                - self.low * np.logaddexp(0.0, -margin)
                + self.high * np.logaddexp(0.0, margin)
            )
        return self.low * margin + self.shift

    def p(self, margin: np.ndarray) -> np.ndarray:
        """Calibrated probabilities, float64 (rows,)."""
        return sigmoid(np.clip(self.log_odds(margin), -LOG_ODDS_LIMIT, LOG_ODDS_LIMIT))

    @property
    def slope(self) -> float:
        """Mean slope of the calibrated log-odds over the margin: one positive number for all rows.

        Contributions are scaled by it. A slope per customer would mix scales where the typical
        contribution is subtracted, and could flip the sign of a reason; one number keeps all
        signs and the order.
        """
        if len(self.knots) > 1:
            return (self.heights[-1] - self.heights[0]) / (self.knots[-1] - self.knots[0])
        return (self.low + self.high) / 2

    def _interpolate(self, margin: np.ndarray) -> np.ndarray:
        knots, heights = np.asarray(self.knots), np.asarray(self.heights)
        piece = np.searchsorted(knots, margin, side="right")
        slopes = np.concatenate([[self.low], np.diff(heights) / np.diff(knots), [self.high]])
        start = np.maximum(piece - 1, 0)
        # Rounding may carry the end of a piece past the next knot; the ceiling keeps the order.
        return np.minimum(
            heights[start] + slopes[piece] * (margin - knots[start]),
            np.append(heights, np.inf)[piece],
        )

    def to_mapping(self) -> dict[str, Any]:
        """JSON-ready data for `from_mapping`."""
        return asdict(self) | {"knots": list(self.knots), "heights": list(self.heights)}

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Calibration:
        """The inverse of `to_mapping`. ValueError or TypeError for anything else."""
        knots, heights = tuple(mapping["knots"]), tuple(mapping["heights"])
        return cls(**{**mapping, "knots": knots, "heights": heights})


def clip_to_rows(p: np.ndarray, rows: int) -> np.ndarray:
    """p (rows,) no nearer to 0 or 1 than half a row of the `rows` that it was learned from.

    n rows cannot show a rate nearer than that.
    """
    edge = 1.0 / (2 * max(rows, 1))
    return np.clip(p, edge, 1 - edge)
