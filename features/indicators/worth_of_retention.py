"""What a retention is worth: 1 / (1 + d − r) periods of a customer's margin.

r is the share that stays a period, d the discount of one; the period is the horizon of churn. The
sum of (r / (1 + d))^t over all periods is (1 + d) times as much (Gupta & Lehmann 2003, "Customers
as assets"). Two of them are compared here, so the factor says nothing.
"""

from __future__ import annotations

from features.core.settings import Settings
from features.indicators.indicator_data import YEAR_DAYS


def period_discount(settings: Settings) -> float:
    """By how much money in a horizon of churn is worth less than money today."""
    days = settings.churn.horizon_days
    return (1 + settings.value.annual_discount) ** (days / YEAR_DAYS) - 1


def periods_worth(retention: float, discount: float) -> float | None:
    """1 / (1 + d − r); None where a customer would be worth more than any sum (r = 1, d = 0)."""
    rest = 1 + discount - retention
    return 1 / rest if rest > 0 else None
