"""The curve of a customer: P(activity within h days), or P(cover lost within h days), for many h.

A discrete hazard for each interval of the grid gives the shape Ŝ(h), the probability that nothing
happens within h days. At the horizon h* the churn model decides, so the curve goes through its p:

    h < h*    P(event within h) = a · (1 − Ŝ(h)) / (1 − Ŝ(h*))
    h = h*    P(event within h) = a, written and not computed
    h > h*    P(event within h) = 1 − (1 − a) · Ŝ(h) / Ŝ(h*)

a = p for who has cover (the event is its loss), else a = 1 − p (it is activity, or cover again).
Of a loss within h*, one more regression says how probable it is that it was cancelled.

Hazards: Cox 1972; Allison 1982, "Discrete-Time Methods for the Analysis of Event Histories".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from serving.scoring.curve_inputs import CurveRows, HazardInputs, Scale
from serving.scoring.parts import sigmoid

HALF, SMALLEST = 0.5, 1e-300
LIMIT = 500.0  # of log-odds; beyond it exp would overflow


@dataclass(frozen=True)
class Hazards:
    """The hazards of one group of customers: how probable the event is in each interval.

    weights: (intervals, inputs); intercepts, rows: (intervals,). `rows`: training rows that were
    still waiting, at least 1; 0 where too few rows have an outcome that is known by then: that
    interval and all later ones have no answer.
    """

    columns: tuple[str, ...]
    with_terms: bool
    scale: Scale
    intercepts: np.ndarray
    weights: np.ndarray
    rows: np.ndarray

    @property
    def known(self) -> int:
        """The number of intervals, from the first on, that have an answer."""
        return int((np.cumprod(self.rows > 0)).sum())

    def survival(self, known: CurveRows, horizons: tuple[int, ...]) -> np.ndarray:
        """Ŝ: P(no event within each horizon), float64 (rows, horizons); NaN where not known."""
        count, inputs = len(known.risk), HazardInputs(known, self.scale)
        result = np.full((count, len(horizons)), np.nan)
        waiting = np.ones(count)
        for at in range(self.known):
            begin = horizons[at - 1] if at else 0
            margin = self._margin(inputs.of_interval(begin, horizons[at]), at, count)
            edge = 1 / (2 * self.rows[at])
            waiting = waiting * (1 - np.clip(sigmoid(margin), edge, 1 - edge))
            result[:, at] = waiting
        return result

    def _margin(self, inputs: list[tuple[str, np.ndarray]], at: int, count: int) -> np.ndarray:
        """Log-odds of the event in the interval, if there was none before; float64 (rows,)."""
        margin = np.full(count, self.intercepts[at])
        for weight, (_, values) in zip(self.weights[at], inputs, strict=True):
            margin = margin + weight * values
        return np.clip(margin, -LIMIT, LIMIT)


@dataclass(frozen=True)
class Curve:
    """The hazards of a release. `horizons`: days, ascending, `horizon` (h*) among them.

    `waiting`: of who waits for activity (with contracts: for cover again, without any). `covered`:
    of who has cover that can be lost; None without contracts. `cancelled`: one interval, [0, h*),
    and in it the probability that a loss was cancelled; None as `covered` is.
    """

    horizons: tuple[int, ...]
    horizon: int
    waiting: Hazards
    covered: Hazards | None = None
    cancelled: Hazards | None = None

    @property
    def groups(self) -> tuple[Hazards, ...]:
        return (self.waiting, self.covered) if self.covered else (self.waiting,)

    def known_horizons(self, group: Hazards) -> tuple[int, ...]:
        """The horizons that the customers of a group have an answer for."""
        known = self.horizons[: group.known]
        # Without a shape at h* there is none to bend.
        return known if self.horizon in known else ()

    def event_within(self, rows: pa.Table, p: np.ndarray) -> np.ndarray:
        """P(event within each horizon), float64 (rows, horizons), never falling with the days.

        `rows`: feature rows; p: their P(churn) (rows,). The event is activity, or, with contracts,
        the loss of cover for who has it and cover again for the others. NaN beyond what the history
        could teach, and where p is NaN.
        """
        result = np.full((len(p), len(self.horizons)), np.nan)
        covered = has_cover(rows) if self.covered else np.zeros(len(p), dtype=bool)
        for group, mask in ((self.waiting, ~covered), (self.covered, covered)):
            if group is not None and mask.any():
                known = CurveRows.from_rows(rows, p, group.columns, with_terms=group.with_terms)
                shape = group.survival(known.take(mask), self.horizons)
                stays, leaves = 1 - p[mask], p[mask]
                event, nothing = (leaves, stays) if group is self.covered else (stays, leaves)
                result[mask] = self._through(shape, event, nothing)
        return result

    def cancels(self, rows: pa.Table, p: np.ndarray) -> np.ndarray:
        """P(cover is lost within h* and was cancelled), float64 (rows,), never above p.

        The rest of p leaves without a word: a term lapses, or a payment fails. NaN for who has no
        cover, where p is NaN, and where too few have left for the share to be known.
        """
        result = np.full(len(p), np.nan)
        mask = has_cover(rows)
        if self.cancelled is not None and mask.any():
            part = self.cancelled
            known = CurveRows.from_rows(rows, p, part.columns, with_terms=part.with_terms)
            share = 1 - part.survival(known.take(mask), (self.horizon,))[:, 0]
            result[mask] = p[mask] * share
        return result

    def _through(self, shape: np.ndarray, event: np.ndarray, nothing: np.ndarray) -> np.ndarray:
        """The shape Ŝ (rows, horizons) as a curve through `event` = 1 − `nothing` at h*."""
        at = self.horizons.index(self.horizon)
        result = np.full(shape.shape, np.nan)
        result[:, at] = event
        if np.isnan(shape[:, at]).all():
            return result
        # The last bit of a quotient must not make the curve fall.
        for k in range(at - 1, -1, -1):
            share = (1 - shape[:, k]) / (1 - shape[:, at])
            result[:, k] = np.minimum(event * share, result[:, k + 1])
        for k in range(at + 1, len(self.horizons)):
            later = 1 - nothing * (shape[:, k] / shape[:, at])
            result[:, k] = np.maximum(later, result[:, k - 1])
        return result

    def expected_days(self, within: np.ndarray) -> np.ndarray:
        """The day until which the event is as probable as not, float64 (rows,).

        `within`: of `event_within`. Between two horizons the hazard is constant, so log S is
        linear. NaN where S stays above one half up to the last known horizon.
        """
        result = np.full(len(within), np.nan)
        before, since = np.ones(len(within)), 0.0
        for days, share in zip(self.horizons, within.T, strict=True):
            after = 1 - share
            crosses = np.isnan(result) & (before > HALF) & (after <= HALF)
            start, end = before[crosses], np.maximum(after[crosses], SMALLEST)
            result[crosses] = since + (days - since) * np.log(start / HALF) / np.log(start / end)
            if not np.isnan(after).all():
                before, since = after, float(days)
        return result

    def to_mapping(self) -> dict[str, Any]:
        """JSON-ready data for `from_mapping`."""
        return {
            "horizons": list(self.horizons),
            "horizon": self.horizon,
            "waiting": _hazards_mapping(self.waiting),
            "covered": self.covered and _hazards_mapping(self.covered),
            "cancelled": self.cancelled and _hazards_mapping(self.cancelled),
        }

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Curve:
        """The inverse of `to_mapping`."""
        covered, cancelled = mapping["covered"], mapping["cancelled"]
        return cls(
            tuple(mapping["horizons"]),
            mapping["horizon"],
            _read_hazards(mapping["waiting"]),
            covered and _read_hazards(covered),
            cancelled and _read_hazards(cancelled),
        )


def has_cover(rows: pa.Table) -> np.ndarray:
    """Who has cover that can be lost, with contracts: bool (rows,).

    Not by the stage: someone who is active without any known term has no rule about cover.
    """
    return rows["eligible"].to_numpy()


def _hazards_mapping(hazards: Hazards) -> dict[str, Any]:
    scale = hazards.scale
    return {
        "columns": list(hazards.columns),
        "with_terms": hazards.with_terms,
        "scale": {name: getattr(scale, name).tolist() for name in ("mean", "scale", "low", "high")},
        "intercepts": hazards.intercepts.tolist(),
        "weights": hazards.weights.tolist(),
        "rows": hazards.rows.tolist(),
    }


def _read_hazards(mapping: Mapping[str, Any]) -> Hazards:
    scale = Scale(**{name: np.asarray(value, float) for name, value in mapping["scale"].items()})
    return Hazards(
        tuple(mapping["columns"]),
        mapping["with_terms"],
        scale,
        np.asarray(mapping["intercepts"], float),
        np.asarray(mapping["weights"], float),
        np.asarray(mapping["rows"], int),
    )
