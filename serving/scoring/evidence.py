"""How much is known about a customer, and how far the rate of similar customers may lie from p.

The grade is a rule over two counts: completed gaps (activities less one), and tenure in units of
the population mean gap.

    none    no completed gap: at most one activity
    little  1 or 2 completed gaps, or known for less than one population mean gap
    some    3 to 7 completed gaps, or known for less than four population mean gaps
    good    the others

The grade says what the score rests on, not whether it is right: with `none` the score is the rate
of similar customers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import isfinite
from typing import Any

import numpy as np
import pyarrow as pa

from features.recipes.definitions import Definitions
from features.recipes.state_columns import tenure_us
from serving.scoring.parts import log_odds, sigmoid

GRADES = ("none", "little", "some", "good")
MIN_GAPS = (1, 3, 8)  # completed gaps from which the grade is little, some, good
MIN_TENURES = (0.0, 1.0, 4.0)  # tenure in population mean gaps for the same grades
LEVEL = 0.90  # of the interval
HALF_WIDTH_SD = 1.6448536269514722  # half the interval, in standard deviations: the normal's 95 %


def grades(rows: pa.Table, definitions: Definitions) -> np.ndarray:
    """Each row's index in GRADES, int (rows,), from the state columns n, first_at, as_of (µs)."""
    gaps = rows["n"].to_numpy() - 1
    tenure = tenure_us(rows) / definitions.population_mean_gap_us
    return np.minimum(
        np.searchsorted(MIN_GAPS, gaps, side="right"),
        np.searchsorted(MIN_TENURES, tenure, side="right"),
    )


@dataclass(frozen=True)
class RateSpread:
    """How far the observed rate of a group of similar customers lies from the group's p.

    `standard_deviations`: per grade, in log-odds, never smaller for a lesser grade. Customers are
    similar where date, grade, stage and p are. `note` says what it was measured on. ValueError for
    numbers that are no standard deviations.
    """

    standard_deviations: tuple[float, ...]
    note: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if len(self.standard_deviations) != len(GRADES) or not all(
            isfinite(x) and x >= 0 for x in self.standard_deviations
        ):
            raise ValueError("a rate spread has one number of at least 0 per grade of evidence")

    def interval(self, p: np.ndarray, grade: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(low, high), float64 (rows,) each, around `p` (rows,), inside (0, 1); `grade` (rows,).

        Take all customers of this grade whose score is similar: in nine of ten such groups the
        share that leaves lies in the interval. It is no interval for one customer, who leaves or
        stays.
        """
        middle = log_odds(p)
        half = HALF_WIDTH_SD * np.asarray(self.standard_deviations)[grade]
        # Rounding on the way to log-odds and back may not put p outside.
        return np.minimum(sigmoid(middle - half), p), np.maximum(sigmoid(middle + half), p)

    def to_mapping(self) -> dict[str, Any]:
        """JSON-ready data for `from_mapping`."""
        return asdict(self) | {"standard_deviations": list(self.standard_deviations)}

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> RateSpread:
        """The inverse of `to_mapping`. ValueError, KeyError or TypeError for anything else."""
        deviations = tuple(mapping["standard_deviations"])
        return cls(**{**mapping, "standard_deviations": deviations})
