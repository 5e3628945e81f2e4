"""Recency: how long ago. Everything here is a difference of instants, in days of 86,400 s."""

from __future__ import annotations

from typing import Any

import narwhals as nw

from features.recipes.recipe import Now, Recipe, Reduction, feature, ratio

_FIRST = Reduction("activity", "min")
_LAST = Reduction("activity", "max")


@feature(tables=("activity",), unit="days", words="last active {value:.0f} days ago", leaving=1)
def recency() -> Recipe:
    """Days since the last activity.

    Formula: as_of − last activity. Window: all time. Null: no activity. Source: RFM (Hughes 1994);
    catalogue 1.
    """
    return Recipe({"last": _LAST}, lambda r, now: now.age_days(r.last))


@feature(tables=("activity",), unit="days", words="customer for {value:.0f} days")
def tenure() -> Recipe:
    """Days since acquisition: the first activity, or the second (`[stages] acquired`).

    Formula: as_of − acquisition. Window: all time. Null: not acquired yet. Source: RFM-T;
    catalogue 4.
    """
    acquired = Reduction("activity", "min", where="is_acquisition")
    return Recipe({"acquired": acquired}, lambda r, now: now.age_days(r.acquired))


@feature(
    tables=("activity",), unit="days", words="{value:.0f} days between first and last activity"
)
def active_life() -> Recipe:
    """Days between the first and the last activity.

    Formula: last − first. Window: all time. Null: no activity. Source: BG/NBD's t_x; catalogue 5.
    """
    return Recipe(
        {"first": _FIRST, "last": _LAST},
        lambda r, now: now.age_days(r.first) - now.age_days(r.last),
    )


@feature(
    tables=("activity",), unit="share", words="inactive for {value:.0%} of the time as a customer"
)
def dormant_share() -> Recipe:
    """Share of the time as a customer that has passed since the last activity.

    Formula: recency / tenure. Window: all time. Null: no activity. Source: catalogue 6.
    """
    return Recipe(
        {"first": _FIRST, "last": _LAST},
        lambda r, now: ratio(now.age_days(r.last), now.age_days(r.first)),
    )


@feature(tables=("interactions",), unit="days", words="last contact {value:.0f} days ago")
def recency_interaction() -> Recipe:
    """Days since the last interaction that the customer began (messages sent to them do not count).

    Formula: as_of − last interaction of a kind other than `sent`. Window: all time. Null: none.
    Source: catalogue 3.
    """
    return Recipe(
        {"last": Reduction("interactions", "max", where="by_customer")},
        lambda r, now: now.age_days(r.last),
    )


@feature(tables=("interactions",), unit="days", words="last visit or use {value:.0f} days ago")
def recency_visit() -> Recipe:
    """Days since the last visit, login or usage.

    Formula: as_of − last of these kinds. Window: all time. Null: none. Source: catalogue 3.
    """
    last = Reduction("interactions", "max", kinds=("visit", "login", "usage"))
    return Recipe({"last": last}, lambda r, now: now.age_days(r.last))


@feature(
    tables=("transactions", "interactions"),
    unit="days",
    words="no purchase or contact for {value:.0f} days",
)
def recency_any() -> Recipe:
    """Days since the last transaction, or the last interaction that the customer began.

    Formula: as_of − max(last transaction, last interaction). Window: all time. Null: neither.
    Source: catalogue 2.
    """
    return Recipe(
        {
            "bought": Reduction("transactions", "max"),
            "met": Reduction("interactions", "max", where="by_customer"),
        },
        lambda r, now: now.age_days(nw.max_horizontal(r.bought, r.met)),
    )


@feature(tables=("transactions",), unit="days", words="last failed payment {value:.0f} days ago")
def recency_failed_payment() -> Recipe:
    """Days since the last payment that failed.

    Formula: as_of − last of kind payment_failed. Window: all time. Null: none. Source: KKBox;
    catalogue 3, 36.
    """
    last = Reduction("transactions", "max", kinds=("payment_failed",))
    return Recipe({"last": last}, lambda r, now: now.age_days(r.last))


@feature(
    tables=("activity",),
    unit="0 or 1",
    words="first activity near the start of the records: {answer}",
)
def history_truncated() -> Recipe:
    """1 where the first activity is so near the start of the records that earlier may be missing.

    Formula: [first activity − earliest activity of the population < population mean gap].
    Window: all time. Null: no activity. Source: catalogue ctx (population); left truncation.
    """

    def formula(r: Any, now: Now) -> nw.Expr:
        # Who first appears within one gap of the start may well have been active before it.
        near = r.first - now.population.earliest_at < now.definitions.population_mean_gap_us
        return nw.when(near).then(nw.lit(1)).otherwise(nw.when(~r.first.is_null()).then(nw.lit(0)))

    return Recipe({"first": _FIRST}, formula)
