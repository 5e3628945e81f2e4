"""Money, in whole currency units out of exact minor units; refunds and failed payments are kept apart."""

from __future__ import annotations

import narwhals as nw

from features.recipes.recipe import DECAY_SCALE, Recipe, Reduction, feature, ratio, variance

_BOUGHT = Reduction("transactions", "sum", value="amount_minor", kinds=("purchase",))
_PURCHASES = Reduction("transactions", "count", kinds=("purchase",))
_LAST = Reduction("transactions", "max", value="amount_minor", where="is_last_purchase")


@feature(
    tables=("transactions",), unit="currency", words="{value:,.0f} spent in {window}", windows="W"
)
def amount(days: int | None) -> Recipe:
    """Money of purchases.

    Formula: Σ amount. Window: W and all time. Null: never (0). Source: RFM; catalogue 26.
    """
    total = Reduction(
        "transactions", "sum", value="amount_minor", kinds=("purchase",), since_days=days
    )
    return Recipe({"total": total}, lambda r, now: r.total / now.definitions.minor_units)


@feature(tables=("transactions",), unit="currency", words="{value:,.0f} a purchase")
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
    """The last purchase over the own mean.

    Formula: last amount (the larger of two at one instant) / mean amount. Window: all time. Null: no purchase, or a mean of 0. Source: catalogue 28.
    """
    return Recipe(
        {"last": _LAST, "total": _BOUGHT, "count": _PURCHASES},
        lambda r, now: ratio(r.last, ratio(r.total, r.count)),
    )


@feature(tables=("transactions",), unit="currency", words="the largest purchase was {value:,.0f}")
def amount_max() -> Recipe:
    """Largest purchase.

    Formula: max amount. Window: all time. Null: no purchase. Source: catalogue 29.
    """
    largest = Reduction("transactions", "max", value="amount_minor", kinds=("purchase",))
    return Recipe({"largest": largest}, lambda r, now: r.largest / now.definitions.minor_units)


@feature(
    tables=("transactions",), unit="ratio", words="amounts that vary {value:.1f} times their mean"
)
def amount_cv() -> Recipe:
    """Coefficient of variation of purchase amounts, rounded to whole currency units.

    Formula: sd(amount) / mean(amount). Window: all time. Null: under two purchases, or a mean of 0.
    Source: catalogue 30.
    """
    squares = Reduction("transactions", "sum", value="amount_squared", kinds=("purchase",))
    whole = Reduction("transactions", "sum", value="amount_whole", kinds=("purchase",))

    def formula(r, now):
        return ratio(variance(r.whole, r.squares, r.count).sqrt(), ratio(r.whole, r.count))

    return Recipe({"whole": whole, "squares": squares, "count": _PURCHASES}, formula)


@feature(
    tables=("transactions",),
    unit="purchases, faded",
    words="a faded purchase count of {value:.1f}",
    windows="H",
)
def purchases_faded(days: float) -> Recipe:
    """Purchases, each counting half after every half-life.

    Formula: Σ 0.5^(age / h). Window: all time, h = 1, 3, 6 base gaps. Null: never (0). Source: catalogue 15, 31.
    """
    faded = Reduction("transactions", "decay", kinds=("purchase",), half_life_days=days)
    return Recipe({"faded": faded}, lambda r, now: r.faded / DECAY_SCALE)


@feature(
    tables=("transactions",),
    unit="currency, faded",
    words="a faded amount of {value:,.0f}",
    windows="H",
)
def amount_faded(days: float) -> Recipe:
    """Money of purchases, each counting half after every half-life.

    Formula: Σ amount · 0.5^(age / h). Window: all time, h = 1, 3, 6 base gaps. Null: never (0). Source: catalogue 31.
    """
    faded = Reduction(
        "transactions", "decay", value="amount_minor", kinds=("purchase",), half_life_days=days
    )
    return Recipe(
        {"faded": faded}, lambda r, now: r.faded / DECAY_SCALE / now.definitions.minor_units
    )


@feature(
    tables=("transactions",), unit="share", words="{value:.0%} of the money came with a discount"
)
def discount_share() -> Recipe:
    """Discounts over gross money of purchases.

    Formula: Σ discount / (Σ amount + Σ discount). Window: all time. Null: no money. Source: catalogue 33.
    """
    off = Reduction("transactions", "sum", value="discount_minor", kinds=("purchase",))
    return Recipe({"off": off, "total": _BOUGHT}, lambda r, now: ratio(r.off, r.off + r.total))


@feature(
    tables=("transactions",), unit="share", words="{value:.0%} of the purchases were given back"
)
def refund_share() -> Recipe:
    """Refunds over purchases, shrunk.

    Formula: refunds / (purchases + 1). Window: all time. Null: never (0). Source: catalogue 34.
    """
    refunds = Reduction("transactions", "count", kinds=("refund",))
    return Recipe(
        {"refunds": refunds, "count": _PURCHASES}, lambda r, now: r.refunds / (r.count + 1)
    )


@feature(tables=("transactions",), unit="days", words="the last refund was {value:.0f} days ago")
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
    """Failed payments.

    Formula: count of kind payment_failed. Window: W and all time. Null: never (0). Source: KKBox; catalogue 36.
    """
    failed = Reduction("transactions", "count", kinds=("payment_failed",), since_days=days)
    return Recipe({"failed": failed}, lambda r, now: r.failed)


@feature(tables=("transactions",), unit="changes", words="paid by another method {value:.0f} times")
def method_changes() -> Recipe:
    """How often a purchase was paid otherwise than the one before, among purchases whose method is known.

    Formula: Σ [method ≠ method of the purchase before]; at one instant the order is that of the methods' names.
    Window: all time. Null: no purchase with a known method. Source: KKBox; catalogue 37.
    """
    told, changes = (
        Reduction("payments", "count"),
        Reduction("payments", "count", where="method_changed"),
    )
    return Recipe(
        {"told": told, "changes": changes}, lambda r, now: nw.when(r.told > 0).then(r.changes)
    )


@feature(
    tables=("transactions",),
    unit="share",
    words="total spending above that of {value:.0%} of the customers",
)
def amount_percentile() -> Recipe:
    """Where the customer's total amount stands among all customers with a purchase known at as_of, in steps of 5 %.

    Formula: share of the base's 19 quantiles of Σ amount at or below the own. Window: all time. Null: never.
    Source: catalogue 38 (base).
    """

    def formula(r, now):
        steps = [
            nw.when(r.total >= cut).then(nw.lit(1)).otherwise(nw.lit(0))
            for cut in now.base.amount_quantiles
        ]
        return nw.sum_horizontal(*steps) / 20

    return Recipe({"total": _BOUGHT}, formula)


@feature(
    tables=("transactions",),
    unit="share",
    words="total spending above that of {value:.0%} of those who came at the same time",
)
def amount_percentile_cohort() -> Recipe:
    """Where the customer's total amount stands among those of the same quarter by acquisition, in steps of 5 %.

    Formula: share of the cohort's 19 quantiles of Σ amount at or below the own; cohorts are the quarters of the
    customers known at as_of, by acquisition as in `tenure`. Window: all time. Null: not acquired yet.
    Source: catalogue 38 (base).
    """

    def formula(r, now):
        cuts, every = now.base.cohort_cuts, now.base.cohort_quantiles
        size, shares = len(every) // (len(cuts) + 1), []
        for start in range(0, len(every), size):
            steps = [(r.total >= cut).cast(nw.Int64) for cut in every[start : start + size]]
            shares.append(nw.sum_horizontal(*steps) / (size + 1))
        share = shares[-1]
        for cut, earlier in zip(reversed(cuts), reversed(shares[:-1]), strict=True):
            share = nw.when(r.acquired <= cut).then(earlier).otherwise(share)
        return nw.when(~r.acquired.is_null()).then(share)

    acquired = Reduction("activity", "min", where="is_acquisition")
    return Recipe({"total": _BOUGHT, "acquired": acquired}, formula)
