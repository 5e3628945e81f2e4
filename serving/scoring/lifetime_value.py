"""What a customer is worth: the money expected within so many days from as_of on, discounted.

    clv = (1 − p) · clv_if_stays + p · (value of who leaves)

so that `clv_if_stays` is the value given activity (with contracts: cover) through the horizon h*,
and the risk counts once. What was learned is the money within L days, the longest of the horizons
whose outcome has come often enough; a model of time carries it to the days in question.

    without contracts  spending    BG/NBD × Gamma–Gamma, moved by a regression  `spending`
    with contracts     cover       the price of a day × the days that the curve expects  `cover`
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import pyarrow as pa

from features.core.config_schema import MARGIN_COLUMN
from features.core.instants import DAY_US
from features.recipes.definitions import Definitions
from serving.scoring.evidence import GRADES, grades

# A customer is compared with those of about the same P(no activity, or loss of cover, within L).
RISK_EDGES = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9)
YEAR_DAYS = 365.0


@dataclass(frozen=True)
class ValueTerms:
    """The question: money of `days` days, times `margin`, worth less by `annual_discount` a year.

    `margin`: a share; "column" where money is the margin of each row, without a further factor.
    `learned_days`: L. `learned_twice`: whether the outcome of L days was there at two dates of the
    training. `months`: of the year, 1 to 12, that those outcomes touched.
    """

    days: int
    margin: float | Literal["column"]
    annual_discount: float
    learned_days: int
    learned_twice: bool
    months: tuple[int, ...]

    def has_unseen_season(self, as_of: int) -> bool:
        """Whether the days after as_of (µs UTC) touch a month that the history never showed."""
        return not set(months_touched(as_of, self.days)) <= set(self.months)

    @property
    def margin_share(self) -> float:
        """The factor of money; 1 where money is the margin of each row."""
        return 1.0 if self.margin == MARGIN_COLUMN else self.margin

    @property
    def extrapolated(self) -> bool:
        """Whether the days go beyond what the history has shown at least twice."""
        return self.days > self.learned_days or not self.learned_twice

    def discount(self, days: np.ndarray | float) -> np.ndarray:
        """What money after so many days is worth today, as a share."""
        return np.exp(-self.discount_rate * np.asarray(days, dtype=float))

    @property
    def discount_rate(self) -> float:
        """The discount of a day, continuously compounded."""
        return float(np.log1p(self.annual_discount)) / YEAR_DAYS


@dataclass(frozen=True)
class Expected:
    """Money of customers, float64 (rows,) each, NaN where it is not known.

    `learned`: expected within L days, not discounted, all of it margin. `discounted`: within the
    days in question, discounted, in margin; `if_stays`: the same given that the customer stays.
    `least`, `most`: the ends between which `discounted` may lie where it is extrapolated, before
    the spread; None where the spread alone says so.
    """

    learned: np.ndarray
    discounted: np.ndarray
    if_stays: np.ndarray
    least: np.ndarray | None = None
    most: np.ndarray | None = None


class MoneyModel(Protocol):
    """How money is expected: `spending` without contracts, `cover` with contracts."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The feature columns that are read."""

    @property
    def horizon(self) -> int:
        """The horizon of churn, in days."""

    def expect(
        self, rows: pa.Table, p: np.ndarray, within: np.ndarray, terms: ValueTerms
    ) -> Expected:
        """For feature rows with P(churn) p (rows,) and the curve `within` (rows, horizons)."""


@dataclass(frozen=True)
class MoneySpread:
    """How far what came lay from what was expected: `low`, `high`, (risks, grades), as multiples.

    In nine of ten training rows of the same risk and evidence the money lay between. `rows`: how
    many there were.
    """

    low: np.ndarray
    high: np.ndarray
    rows: np.ndarray

    def interval(
        self, expected: Expected, risk: np.ndarray, grade: np.ndarray, terms: ValueTerms
    ) -> tuple[np.ndarray, np.ndarray]:
        """(clv_low, clv_high), float64 (rows,) each, with `discounted` between them.

        `risk`: P(no activity, or loss of cover, within L). Beyond L the multiples are raised to the
        power √(days / L), or applied to `least` and `most`, and that is no interval of 90 % any
        more.
        """
        cell = (risk_groups(risk), grade)
        if expected.least is not None and expected.most is not None:
            return (
                np.minimum(expected.least * self.low[cell], expected.discounted),
                np.maximum(expected.most * np.maximum(self.high[cell], 1.0), expected.discounted),
            )
        power = np.sqrt(max(terms.days / terms.learned_days, 1.0))
        low, high = self.low[cell] ** power, self.high[cell] ** power
        return (
            np.minimum(expected.discounted * low, expected.discounted),
            np.maximum(expected.discounted * high, expected.discounted),
        )


def risk_groups(risk: np.ndarray) -> np.ndarray:
    """The number of the group of similar risk, int (rows,)."""
    return np.searchsorted(RISK_EDGES, np.nan_to_num(risk), side="right")


@dataclass(frozen=True)
class LifetimeValue:
    """The value of a release: its terms, its model of money and its spread.

    `horizon_at`: where L is among the horizons of the curve.
    """

    terms: ValueTerms
    model: MoneyModel
    spread: MoneySpread
    horizon_at: int

    @property
    def columns(self) -> tuple[str, ...]:
        """The feature columns that are read."""
        return self.model.columns

    def risk(self, rows: pa.Table, within: np.ndarray, definitions: Definitions) -> np.ndarray:
        """P(no activity within L), with contracts P(cover lost), (rows,)."""
        event = within[:, self.horizon_at]
        if not definitions.contractual:
            return 1 - event
        return np.where(rows["eligible"].to_numpy(), event, 1 - event)

    def answers(
        self, rows: pa.Table, p: np.ndarray, within: np.ndarray, definitions: Definitions
    ) -> dict[str, np.ndarray]:
        """clv, clv_low, clv_high and clv_if_stays, float64 (rows,) each; NaN where not known.

        `within`: of the curve, (rows, horizons). A row alone has the values it has among others.
        """
        expected = self.model.expect(rows, p, within, self.terms)
        grade = grades(rows, definitions)
        risk = self.risk(rows, within, definitions)
        low, high = self.spread.interval(expected, risk, grade, self.terms)
        return {
            "clv": expected.discounted,
            "clv_low": low,
            "clv_high": high,
            "clv_if_stays": expected.if_stays,
        }


def months_touched(begin: int, days: int) -> tuple[int, ...]:
    """The months of the year, 1 to 12, of the days from `begin` (µs UTC) on, ascending."""
    first = np.datetime64(begin, "us").astype("datetime64[D]")
    last = np.datetime64(begin + days * DAY_US - 1, "us").astype("datetime64[D]")
    count = (last.astype("datetime64[M]") - first.astype("datetime64[M]")).astype(int) + 1
    since = first.astype("datetime64[M]").astype(int)
    return tuple(sorted({int((since + k) % 12) + 1 for k in range(min(count, 12))}))


def spread_shape() -> tuple[int, int]:
    """(groups of risk, grades of evidence)."""
    return len(RISK_EDGES) + 1, len(GRADES)


def days_since(rows: pa.Table, instants: np.ndarray) -> np.ndarray:
    """Days from these instants (µs) until as_of, (rows,)."""
    return (rows["as_of"].to_numpy() - instants) / DAY_US
