"""Money without contracts: how often a customer buys, and how much each time.

BG/NBD (Fader, Hardie & Lee 2005) gives the active days of a customer who stays, Gamma–Gamma (Fader
& Hardie 2013) the money of one. Their product is the starting point of a regression with a log
link: seven numbers of the customer move it, and with few data they move it little.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from features.recipes import btyd
from features.recipes.state_columns import activity_span
from serving.scoring.lifetime_value import Expected, ValueTerms, days_since
from serving.scoring.parts import log_odds

AMOUNT = "amount_all"  # all that was paid in purchases
REFUNDS = "refund_share"  # refunds over purchases and one; read where it is computed
SMALLEST = 1e-9  # of an expectation, so that its log is finite
STEPS = (30, 90, 180, 365, 730, 1825)  # days between which money is discounted alike


@dataclass(frozen=True)
class PurchaseModels:
    """The parameters of BG/NBD (days) and of Gamma–Gamma (units of the currency).

    margin_share: what is left of the money of a day, in parts of it; 1 where money is what was
    paid.
    """

    r: float
    alpha: float
    a: float
    b: float
    money_p: float
    money_q: float
    money_v: float
    margin_share: float = 1.0


class Purchases:
    """What the purchase models say of customers, each float64 (rows,)."""

    def __init__(
        self, rows: pa.Table, models: PurchaseModels, horizon: int, *, reads_refunds: bool
    ) -> None:
        first, last = activity_span(rows)
        self.count = np.maximum(rows["n"].to_numpy(), 1).astype(float)
        self.age = np.maximum(days_since(rows, first), 0.0)
        self.recency = np.maximum(days_since(rows, last), 0.0)
        self.horizon, self._models = float(horizon), models
        self.refunds = np.zeros(len(self.count))
        if reads_refunds:
            self.refunds = np.clip(_numbers(rows, REFUNDS), 0.0, 1.0)
        self._spent = np.maximum(_numbers(rows, AMOUNT), 0.0)

    @cached_property
    def per_day(self) -> np.ndarray:
        """Money of one active day, drawn to that of everybody (eq. 5 of Fader & Hardie 2013)."""
        of = self._models
        shrunk = (self._spent + of.money_v) * of.money_p
        return of.margin_share * shrunk / (self.count * of.money_p + (of.money_q - 1))

    @cached_property
    def _model(self) -> btyd.BgNbd:
        of = self._models
        return btyd.BgNbd(of.r, of.alpha, of.a, of.b, 0.0, True, 1)

    @cached_property
    def _none(self) -> np.ndarray:
        """P(no activity within the horizon)."""
        return btyd.p_no_activity(self._model, **self._known(0.0), horizon=self.horizon)

    def _known(self, later: float) -> dict[str, np.ndarray]:
        """What the model reads, as it will stand `later` days from as_of without activity."""
        last = np.where(self.count > 1, self.age - self.recency, 0.0)
        age = np.maximum(self.age, last) + later
        return {"repeats": self.count - 1, "last": last, "age": age}

    def days_expected(self, until: float) -> np.ndarray:
        """Active days within `until` days."""
        return btyd.expected_activity(self._model, **self._known(0.0), horizon=until)

    def days_if_left(self, until: float) -> np.ndarray:
        """Active days within `until` days of who has none within the horizon."""
        if until <= self.horizon:
            return np.zeros(len(self.count))
        rest = until - self.horizon
        return btyd.expected_activity(self._model, **self._known(self.horizon), horizon=rest)

    def days_if_stays(self, until: float) -> np.ndarray:
        """Active days within `until` days of who has one within the horizon."""
        every, stays = self.days_expected(until), np.maximum(1 - self._none, SMALLEST)
        return np.maximum((every - self._none * self.days_if_left(until)) / stays, SMALLEST)


def _numbers(rows: pa.Table, name: str) -> np.ndarray:
    """A column as float64 (rows,), 0 where it is null."""
    return np.nan_to_num(rows[name].to_numpy().astype(float))


def spending_inputs(purchases: Purchases, p: np.ndarray, stays: np.ndarray) -> np.ndarray:
    """The seven inputs of the regression, float64 (rows, 7). `stays`: days_if_stays within L."""
    return np.column_stack(
        [
            log_odds(p),
            np.log(purchases.count),
            np.log1p(purchases.age),
            np.log1p(purchases.recency),
            np.log(np.maximum(purchases.per_day, SMALLEST)),
            np.log(stays),
            purchases.refunds,
        ]
    )


@dataclass(frozen=True)
class Spending:
    """The regression on the purchase models. mean, scale, low, high, weights: (7,).

    `horizon`: h* of churn. `later_share`: the money of who was not active within h* and came back
    within L, over what the purchase models give; 1 where L is h*.
    """

    models: PurchaseModels
    horizon: int
    mean: np.ndarray
    scale: np.ndarray
    low: np.ndarray
    high: np.ndarray
    weights: np.ndarray
    intercept: float
    later_share: float
    reads_refunds: bool

    @property
    def columns(self) -> tuple[str, ...]:
        """The feature columns that are read."""
        return (AMOUNT, REFUNDS) if self.reads_refunds else (AMOUNT,)

    def purchases(self, rows: pa.Table) -> Purchases:
        """What the purchase models say of these rows."""
        return Purchases(rows, self.models, self.horizon, reads_refunds=self.reads_refunds)

    def expect(
        self, rows: pa.Table, p: np.ndarray, within: np.ndarray, terms: ValueTerms
    ) -> Expected:
        """The money of customers without contracts. `within` is not read: p holds the risk."""
        purchases = self.purchases(rows)
        learned_days = float(terms.learned_days)
        stays = purchases.days_if_stays(learned_days)
        if_stays = self.money_if_stays(purchases, p, stays)
        left = self._left(purchases.days_if_left(learned_days), stays)
        discounted_stays, discounted_left = _discounted_days(purchases, terms)
        ratio = terms.margin_share * discounted_stays / stays
        discounted_if_stays = if_stays * ratio
        discounted = discounted_if_stays * (
            (1 - p) + p * self._left(discounted_left, discounted_stays)
        )
        return Expected(if_stays * ((1 - p) + p * left), discounted, discounted_if_stays)

    def money_if_stays(self, purchases: Purchases, p: np.ndarray, stays: np.ndarray) -> np.ndarray:
        """Money within L of who stays, (rows,). `stays`: `days_if_stays` within L."""
        values = np.clip(spending_inputs(purchases, p, stays), self.low, self.high)
        move = np.full(len(p), self.intercept)
        for column in range(values.shape[1]):
            z = (values[:, column] - self.mean[column]) / self.scale[column]
            move = move + self.weights[column] * z
        return stays * purchases.per_day * np.exp(move)

    def _left(self, days_if_left: np.ndarray, days_if_stays: np.ndarray) -> np.ndarray:
        """The money of who leaves as a share of that of who stays; never above it."""
        return np.minimum(self.later_share * days_if_left / days_if_stays, 1.0)


def _discounted_days(purchases: Purchases, terms: ValueTerms) -> tuple[np.ndarray, np.ndarray]:
    """Active days within the days in question, discounted: of who stays, and of who leaves."""
    if terms.annual_discount == 0:
        days = float(terms.days)
        return purchases.days_if_stays(days), purchases.days_if_left(days)
    ends = sorted({days for days in STEPS if days < terms.days} | {terms.days})
    totals = [np.zeros(len(purchases.count)), np.zeros(len(purchases.count))]
    before = [np.zeros(len(purchases.count)), np.zeros(len(purchases.count))]
    begin = 0
    for end in ends:
        worth = terms.discount((begin + end) / 2)
        now = [purchases.days_if_stays(float(end)), purchases.days_if_left(float(end))]
        for k in (0, 1):
            totals[k] = totals[k] + worth * np.maximum(now[k] - before[k], 0.0)
            before[k] = now[k]
        begin = end
    return np.maximum(totals[0], SMALLEST), totals[1]
