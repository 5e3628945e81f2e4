"""Money with contracts: the price of a day of cover × the days of cover that the curve expects."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from serving.scoring.lifetime_value import Expected, ValueTerms

PRICE = "price_per_day"
SMALLEST = 1e-12


@dataclass(frozen=True)
class CoverMoney:
    """`horizons`: of the curve; `horizon`: h*. `level`, `level_gone`: what came over what the curve
    and the price gave, of who had cover and of who had none. `usual_price`: of a day, for who has
    no cover to have a price for. `highest_price`: what a day costs at most.
    """

    horizons: tuple[int, ...]
    horizon: int
    level: float
    level_gone: float
    usual_price: float
    highest_price: float

    @property
    def columns(self) -> tuple[str, ...]:
        """The feature columns that are read."""
        return (PRICE,)

    def expect(
        self, rows: pa.Table, p: np.ndarray, within: np.ndarray, terms: ValueTerms
    ) -> Expected:
        """The money of customers with contracts; NaN for who has cover without a price of a day.

        Nobody who has cover brings more than its price on every day. Beyond L it is not known who
        renews, so `least` is what comes within L alone and `most` as if nobody left after it.
        """
        covered = rows["eligible"].to_numpy()
        price = rows[PRICE].to_numpy().astype(float)
        price = np.where(price >= 0, np.minimum(price, self.highest_price), np.nan)
        price = np.where(covered, price, self.usual_price)
        level = np.where(covered, self.level, self.level_gone)
        plain = replace(terms, days=terms.learned_days, margin=1.0, annual_discount=0.0)
        learned, _, _ = self._days(within, p, covered, plain)
        days, if_stays, whole = self._days(within, p, covered, terms)

        def money(cover_days: np.ndarray) -> np.ndarray:
            return terms.margin_share * price * np.minimum(level * cover_days, whole)

        expected = Expected(
            price * np.minimum(level * learned, float(terms.learned_days)),
            money(days),
            money(if_stays),
        )
        if terms.days <= terms.learned_days:
            return expected
        within_learned = replace(terms, days=terms.learned_days)
        early, _, early_whole = self._days(within, p, covered, within_learned)
        later = terms.margin_share * price * (whole - early_whole)
        return replace(expected, least=money(early), most=money(early) + later)

    def _days(
        self, within: np.ndarray, p: np.ndarray, covered: np.ndarray, terms: ValueTerms
    ) -> tuple[np.ndarray, np.ndarray, float]:
        """Discounted days with cover (rows,): expected, given that the customer stays; of all days.

        Between two horizons the hazard is constant, and after the last one that of the last
        interval goes on. Who has cover loses it, who has none gets it again.
        """
        rate = terms.discount_rate
        # `before` and `after`: P(the event has not come) at the ends of an interval.
        before, hazard, begin = np.ones(len(p)), np.zeros(len(p)), 0
        waiting, staying = np.zeros(len(p)), np.zeros(len(p))
        stop = sorted({*(d for d in self.horizons if d < terms.days), terms.days})
        at_horizon = np.maximum(np.where(covered, 1 - p, p), SMALLEST)
        for end in stop:
            after = self._survival(within, end, before, hazard, begin)
            length = end - begin
            hazard = np.log(np.maximum(before, SMALLEST) / np.maximum(after, SMALLEST)) / length
            worth = float(terms.discount(begin))
            area = before * worth * _integral(hazard + rate, length)
            waiting = waiting + area
            whole = worth * _integral(np.full(len(p), rate), length)
            if end <= self.horizon:
                # Who has cover and stays keeps it; who has none and comes back gets it on the way.
                came = (whole - area) / np.maximum(1 - at_horizon, SMALLEST)
                staying = staying + np.where(covered, whole, np.minimum(came, whole))
            else:
                staying = staying + np.where(covered, area / at_horizon, whole)
            before, begin = after, end
        everything = _integral(np.array([rate]), terms.days)[0]
        expected = np.where(covered, waiting, everything - waiting)
        return expected, np.maximum(staying, expected), float(everything)

    def _survival(
        self,
        within: np.ndarray,
        end: int,
        before: np.ndarray,
        hazard: np.ndarray,
        begin: int,
    ) -> np.ndarray:
        """S at `end`: the curve's where it has one, else with the hazard of the last interval."""
        onward = before * np.exp(-hazard * (end - begin))
        if end in self.horizons:
            known = 1 - within[:, self.horizons.index(end)]
            return np.where(np.isnan(known), onward, known)
        later = [d for d in self.horizons if d > end]
        if not later:
            return onward
        # Between two horizons: on the way to the next one.
        known = 1 - within[:, self.horizons.index(later[0])]
        share = (end - begin) / (later[0] - begin)
        ratio = np.maximum(known, SMALLEST) / np.maximum(before, SMALLEST)
        return np.where(np.isnan(known), onward, before * np.exp(share * np.log(ratio)))


def _integral(rate: np.ndarray, length: float) -> np.ndarray:
    """∫ exp(−rate · t) dt from 0 to `length`, (rows,)."""
    safe = np.where(rate > 0, rate, 1.0)
    return np.where(rate * length > 1e-9, -np.expm1(-safe * length) / safe, length)
