"""What the hazards of a curve are computed from: p, eight columns of activity, the phase of terms.

The churn model ranks customers by everything that is known; how the same risk spreads over time
depends on the rhythm of the customer, and with contracts on when a term ends. So the log-odds of p
and a few columns are enough (docs/decisions/037).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from serving.scoring.parts import log_odds, signed_log1p

# The columns of the activity table that tell one rhythm from another. A business has those whose
# windows are not longer than its history.
RHYTHM_COLUMNS = (
    "recency",
    "gap_mean",
    "gap_median",
    "gap_cv",
    "recency_percentile",
    "active_days_7d",
    "active_days_30d",
    "active_days_90d",
)
TERM_COLUMNS = ("days_left", "term_days", "cancelled", "auto_renews", "can_end")
LONGEST_DAYS = 400.0  # of a term or its rest, where none is known
MOST_ENDS = 3.0
GONE = ("dormant", "churned")


@dataclass(frozen=True)
class CurveRows:
    """What is known of customers: each float64 (rows,) or (rows, columns).

    `risk`: log-odds of p. `gone`: 1 for the stages dormant and churned. `rhythm`: columns of
    RHYTHM_COLUMNS, NaN where null. `terms`: TERM_COLUMNS, or None without contracts.
    """

    risk: np.ndarray
    gone: np.ndarray
    rhythm: np.ndarray
    terms: np.ndarray | None

    @classmethod
    def from_rows(
        cls, rows: pa.Table, p: np.ndarray, columns: tuple[str, ...], *, with_terms: bool
    ) -> CurveRows:
        """From feature rows and p (rows,); `columns`: those of RHYTHM_COLUMNS that are there."""
        gone = np.isin(rows["stage"].to_numpy(), GONE).astype(float)
        terms = _numbers(rows, TERM_COLUMNS) if with_terms else None
        return cls(log_odds(p), gone, _numbers(rows, columns), terms)

    def take(self, mask: np.ndarray) -> CurveRows:
        """The rows of the mask."""
        terms = None if self.terms is None else self.terms[mask]
        return CurveRows(self.risk[mask], self.gone[mask], self.rhythm[mask], terms)


def _numbers(rows: pa.Table, columns: tuple[str, ...]) -> np.ndarray:
    """float64 (rows, columns); null is NaN."""
    result = np.empty((rows.num_rows, len(columns)))
    for position, name in enumerate(columns):
        values = rows[name].to_numpy().astype(float)
        result[:, position] = values
    return result


@dataclass(frozen=True)
class Scale:
    """Mean and scale of the risk (first) and of the logged columns, and the range seen in training.

    Each (1 + columns,).
    """

    mean: np.ndarray
    scale: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, known: CurveRows) -> Scale:
        """Of training rows. A column that is null everywhere has mean 0 and scale 1."""
        values = np.column_stack([known.risk, signed_log1p(known.rhythm)])
        seen = ~np.isnan(values)
        count = np.maximum(seen.sum(axis=0), 1)
        mean = np.where(seen, values, 0).sum(axis=0) / count
        scale = np.sqrt(np.where(seen, (values - mean) ** 2, 0).sum(axis=0) / count)
        some = seen.any(axis=0)
        low = np.where(some, np.where(seen, values, np.inf).min(axis=0, initial=np.inf), 0)
        high = np.where(some, np.where(seen, values, -np.inf).max(axis=0, initial=-np.inf), 0)
        return cls(mean, np.where(scale > 1e-9, scale, 1.0), low, high)


def count_inputs(columns: int, *, with_terms: bool) -> int:
    """The number of inputs of a hazard that reads so many columns of RHYTHM_COLUMNS."""
    terms = np.zeros((0, len(TERM_COLUMNS))) if with_terms else None
    nobody = CurveRows(np.zeros(0), np.zeros(0), np.zeros((0, columns)), terms)
    inputs = HazardInputs(nobody, Scale(*(np.zeros(1 + columns) for _ in range(4))))
    return len(inputs.of_interval(0, 1))


class HazardInputs:
    """The inputs of the hazards of some customers: (name, float64 (rows,)) one after the other.

    What does not depend on the interval is computed once. Nothing is centred on the rows given, so
    a row alone has the inputs it has among others.
    """

    def __init__(self, known: CurveRows, scale: Scale) -> None:
        self._terms = known.terms
        self._time_invariant = list(_time_invariant_inputs(known, scale))
        self._risk = self._time_invariant[0][1]

    def of_interval(self, begin: int, end: int) -> list[tuple[str, np.ndarray]]:
        """The inputs of the hazard of [begin, end) days."""
        if self._terms is None:
            return self._time_invariant
        return [*self._time_invariant, *_term_inputs(self._terms, self._risk, begin, end)]


def _time_invariant_inputs(known: CurveRows, scale: Scale) -> Iterator[tuple[str, np.ndarray]]:
    risk = (np.clip(known.risk, scale.low[0], scale.high[0]) - scale.mean[0]) / scale.scale[0]
    yield "risk", risk
    yield "risk squared", risk * risk
    yield "gone", known.gone
    yield "gone, risk", known.gone * risk
    for column in range(known.rhythm.shape[1]):
        values = signed_log1p(known.rhythm[:, column])
        null = np.isnan(values)
        at = column + 1
        values = np.clip(values, scale.low[at], scale.high[at])
        yield f"rhythm {column}", np.where(null, 0.0, (values - scale.mean[at]) / scale.scale[at])
        yield f"rhythm {column} null", np.where(null, 0.5, 0.0)


def _term_inputs(
    terms: np.ndarray, risk: np.ndarray, begin: int, end: int
) -> Iterator[tuple[str, np.ndarray]]:
    """Where the interval lies in the term: cover is mostly lost where a term ends."""
    left, length, cancelled, renews, can_end = terms.T
    left = np.where(np.isnan(left), LONGEST_DAYS, np.clip(left, -LONGEST_DAYS, LONGEST_DAYS))
    length = np.where(np.isnan(length), LONGEST_DAYS, np.clip(length, 1.0, LONGEST_DAYS))
    cancelled, renews = (np.where(np.isnan(flag), 0.0, flag) for flag in (cancelled, renews))
    ends_within = ((left >= begin if begin else left < np.inf) & (left < end)).astype(float)
    ended = (left < begin).astype(float) if begin else np.zeros(len(left))
    ends = np.clip(count_ends(left, length, end) - count_ends(left, length, begin), 0, MOST_ENDS)
    fixed = (can_end == 0).astype(float)
    yield "term ends", ends_within
    yield "term ended", ended
    yield "ends of terms", ends
    for name, flag in (("cancelled", cancelled), ("renews", renews)):
        yield name, flag
        yield f"{name}, term ends", flag * ends_within
        yield f"{name}, term ended", flag * ended
    yield "renews, ends of terms", renews * ends
    yield "cannot end", fixed
    for name, flag in (("term ends", ends_within), ("term ended", ended), ("cannot end", fixed)):
        yield f"risk, {name}", risk * flag
    yield "risk, ends of terms", risk * ends
    yield "days left", np.log1p(np.clip(left, 0.0, None))
    yield "term days", np.log1p(length)


def count_ends(left: np.ndarray, length: np.ndarray, day: int) -> np.ndarray:
    """How many ends of terms lie before `day`, if every term is followed by one as long."""
    return np.where(left < day, np.floor((day - left) / length) + 1.0, 0.0)
