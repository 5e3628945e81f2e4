"""Money in currency units, from exact sums of minor units; refunds and failed payments apart."""

from __future__ import annotations

from typing import Any

import narwhals as nw

from features.recipes.recipe import DECAY_SCALE, Now, Recipe, Reduction, feature, ratio, variance

_BOUGHT = Reduction("transactions", "sum", value="amount_minor", kinds=("purchase",))
_PURCHASES = Reduction("transactions", "count", kinds=("purchase",))
_LAST = Reduction("transactions", "max", value="amount_minor", where="is_last_purchase")


@feature(
    tables=("transactions",), unit="currency", words="{value:,.0f} spent in {window}", windows="W"
)
def amount(days: int | None) -> Recipe:
    """Total amount of purchases.

    Formula: Σ amount. Window: W and all time. Null: never (0). Source: RFM; catalogue 26.
    """
    total = Reduction(
        "transactions", "sum", value="amount_minor", kinds=("purchase",), since_days=days
    )
    return Recipe({"total": total}, lambda r, now: r.total / now.definitions.minor_units)


@feature(tables=("transactions",), unit="currency", words="{value:,.0f} per purchase on average")
def amount_mean() -> Recipe:
    """Mean amount of a purchase.

    Formula: Σ amount / purchases. Window: all time. Null: no purchase. Source: catalogue 27.
    """
    return Recipe(
        {"total": _BOUGHT, "count": _PURCHASES},
        lambda r, now: ratio(r.total, r.count) / now.definitions.minor_units,
    )


@feature(
    tables=("transactions",),
    unit="ratio",
    words="the last purchase was {value:.1f} times the usual amount",
)
def amount_last_over_mean() -> Recipe:
    """The last purchase's amount over the customer's mean amount.

    Formula: last amount (the larger of two at one instant) / mean amount. Window: all time.
    Null: no purchase, or a mean of 0. Source: catalogue 28.
    """
    return Recipe(
        {"last": _LAST, "total": _BOUGHT, "count": _PURCHASES},
        lambda r, now: ratio(r.last, ratio(r.total, r.count)),
    )


@feature(tables=("transactions",), unit="currency", words="the largest purchase was {value:,.0f}")
def amount_max() -> Recipe:
    """Largest amount of a purchase.

    Formula: max amount. Window: all time. Null: no purchase. Source: catalogue 29.
    """
    largest = Reduction("transactions", "max", value="amount_minor", kinds=("purchase",))
    return Recipe({"largest": largest}, lambda r, now: r.largest / now.definitions.minor_units)


@feature(
    tables=("transactions",), unit="ratio", words="amounts vary by {value:.1f} times their mean"
)
def amount_cv() -> Recipe:
    """Coefficient of variation of purchase amounts, rounded to whole currency units.

    Formula: sd(amount) / mean(amount). Window: all time. Null: under two purchases, or a mean of 0.
    Source: catalogue 30.
    """
    # Whole currency units: sums of squared minor units would pass 2^53 and lose digits.
    squares = Reduction("transactions", "sum", value="amount_squared", kinds=("purchase",))
    whole = Reduction("transactions", "sum", value="amount_whole", kinds=("purchase",))

    def formula(r: Any, now: Now) -> nw.Expr:
        return ratio(variance(r.whole, r.squares, r.count).sqrt(), ratio(r.whole, r.count))

    return Recipe({"whole": whole, "squares": squares, "count": _PURCHASES}, formula)


@feature(
    tables=("transactions",),
    unit="purchases, weighted",
    words="{value:.1f} purchases, recent ones weighted more",
    windows="H",
)
def purchases_ewm(days: float) -> Recipe:
    """Exponentially weighted number of purchases: the weight halves with every half-life.

    Formula: Σ 0.5^(age / h). Window: all time, h = 1, 3, 6 population mean gaps. Null: never (0).
    Source: catalogue 15, 31.
    """
    weighted = Reduction("transactions", "decay", kinds=("purchase",), half_life_days=days)
    return Recipe({"weighted": weighted}, lambda r, now: r.weighted / DECAY_SCALE)


@feature(
    tables=("transactions",),
    unit="currency, weighted",
    words="{value:,.0f} spent, recent purchases weighted more",
    windows="H",
)
def amount_ewm(days: float) -> Recipe:
    """Exponentially weighted amount of purchases: the weight halves with every half-life.

    Formula: Σ amount · 0.5^(age / h). Window: all time, h = 1, 3, 6 population mean gaps.
    Null: never (0). Source: catalogue 31.
    """
    weighted = Reduction(
        "transactions", "decay", value="amount_minor", kinds=("purchase",), half_life_days=days
    )
    return Recipe(
        {"weighted": weighted},
        lambda r, now: r.weighted / DECAY_SCALE / now.definitions.minor_units,
    )


@feature(
    tables=("transactions",), unit="share", words="discounts were {value:.0%} of the gross amount"
)
def discount_share() -> Recipe:
    """Discounts over the gross amount of purchases.

    Formula: Σ discount / (Σ amount + Σ discount). Window: all time. Null: a gross amount of 0.
    Source: catalogue 33.
    """
    off = Reduction("transactions", "sum", value="discount_minor", kinds=("purchase",))
    return Recipe({"off": off, "total": _BOUGHT}, lambda r, now: ratio(r.off, r.off + r.total))


@feature(tables=("transactions",), unit="share", words="{value:.0%} of purchases were refunded")
def refund_share() -> Recipe:
    """Refunds over purchases, shrunk towards 0.

    Formula: refunds / (purchases + 1). Window: all time. Null: never (0). Source: catalogue 34.
    """
    refunds = Reduction("transactions", "count", kinds=("refund",))
    return Recipe(
        {"refunds": refunds, "count": _PURCHASES}, lambda r, now: r.refunds / (r.count + 1)
    )


@feature(tables=("transactions",), unit="days", words="last refund {value:.0f} days ago")
def recency_refund() -> Recipe:
    """Days since the last refund.

    Formula: as_of − last refund. Window: all time. Null: none. Source: catalogue 35.
    """
    return Recipe(
        {"last": Reduction("transactions", "max", kinds=("refund",))},
        lambda r, now: now.age_days(r.last),
    )


@feature(
    tables=("transactions",),
    unit="payments",
    words="{value:.0f} failed payments in {window}",
    windows="W",
)
def failed_payments(days: int | None) -> Recipe:
    """Number of failed payments.

    Formula: count of kind payment_failed. Window: W and all time. Null: never (0). Source: KKBox;
    catalogue 36.
    """
    failed = Reduction("transactions", "count", kinds=("payment_failed",), since_days=days)
    return Recipe({"failed": failed}, lambda r, now: r.failed)


@feature(
    tables=("transactions",), unit="changes", words="changed the payment method {value:.0f} times"
)
def payment_method_changes() -> Recipe:
    """How often a purchase used another payment method than the one before (known methods only).

    Formula: Σ [method ≠ method of the purchase before]; at one instant the order is that of the
    methods' names. Window: all time. Null: no purchase with a known method. Source: KKBox;
    catalogue 37.
    """
    known, changes = (
        Reduction("payments", "count"),
        Reduction("payments", "count", where="method_changed"),
    )
    return Recipe(
        {"known": known, "changes": changes}, lambda r, now: nw.when(r.known > 0).then(r.changes)
    )


@feature(
    tables=("transactions",),
    unit="share",
    words="total spending is above that of {value:.0%} of customers",
)
def amount_percentile() -> Recipe:
    """Percentile of the customer's total amount among customers with a purchase, in steps of 5 %.

    Formula: share of the population's 19 quantiles of Σ amount that are at or below the customer's.
    Window: all time. Null: never. Source: catalogue 38 (population).
    """

    def formula(r: Any, now: Now) -> nw.Expr:
        steps = [
            nw.when(r.total >= cut).then(nw.lit(1)).otherwise(nw.lit(0))
            for cut in now.population.amount_quantiles
        ]
        return nw.sum_horizontal(*steps) / 20

    return Recipe({"total": _BOUGHT}, formula)


@feature(
    tables=("transactions",),
    unit="share",
    words="total spending is above that of {value:.0%} of customers acquired around the same time",
)
def amount_percentile_cohort() -> Recipe:
    """Percentile of the customer's total amount within their acquisition cohort, in steps of 5 %.

    Formula: share of the cohort's 19 quantiles of Σ amount that are at or below the customer's;
    cohorts are the quartiles of acquisition (as in `tenure`) of the customers known at as_of.
    Window: all time. Null: not acquired yet. Source: catalogue 38 (population).
    """

    def formula(r: Any, now: Now) -> nw.Expr:
        # All cohorts' quantiles lie one after the other in one tuple.
        cuts, every = now.population.cohort_cuts, now.population.cohort_quantiles
        size, shares = len(every) // (len(cuts) + 1), []
        for start in range(0, len(every), size):
            steps = [(r.total >= cut).cast(nw.Int64) for cut in every[start : start + size]]
            shares.append(nw.sum_horizontal(*steps) / (size + 1))
        # From the latest cohort back, so that the earliest cut that fits decides.
        share = shares[-1]
        for cut, earlier in zip(reversed(cuts), reversed(shares[:-1]), strict=True):
            share = nw.when(r.acquired <= cut).then(earlier).otherwise(share)
        return nw.when(~r.acquired.is_null()).then(share)

    acquired = Reduction("activity", "min", where="is_acquisition")
    return Recipe({"total": _BOUGHT, "acquired": acquired}, formula)
