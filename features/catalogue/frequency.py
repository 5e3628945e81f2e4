"""Frequency: how often, in windows, faded, and as a mean age."""

from __future__ import annotations

import narwhals as nw

from features.core.instants import DAY_US
from features.recipes.recipe import DECAY_SCALE, Recipe, Reduction, feature, ratio


@feature(
    tables=("activity",),
    unit="active days",
    words="{value:.0f} active days in {window}",
    windows="W",
)
def active_days(days: int | None) -> Recipe:
    """Local days with activity.

    Formula: count. Window: W and all time. Null: never (0). Source: RFM; catalogue 12–13.
    """
    return Recipe(
        {"count": Reduction("activity", "count", since_days=days)}, lambda r, now: r.count
    )


@feature(
    tables=("transactions",),
    unit="purchases",
    words="{value:.0f} purchases in {window}",
    windows="W",
)
def purchases(days: int | None) -> Recipe:
    """Purchases, each counted, also several on one day.

    Formula: count of kind purchase. Window: W and all time. Null: never (0). Source: RFM; catalogue 12.
    """
    count = Reduction("transactions", "count", kinds=("purchase",), since_days=days)
    return Recipe({"count": count}, lambda r, now: r.count)


@feature(
    tables=("activity",),
    unit="active days, faded",
    words="a faded activity count of {value:.1f}",
    windows="H",
)
def activity_faded(days: float) -> Recipe:
    """Activity, each day counting half after every half-life.

    Formula: Σ 0.5^(age / h). Window: all time, h = 1, 3, 6 base gaps. Null: never (0). Source: catalogue 15.
    """
    return Recipe(
        {"faded": Reduction("activity", "decay", half_life_days=days)},
        lambda r, now: r.faded / DECAY_SCALE,
    )


@feature(tables=("activity",), unit="days", words="activity {value:.0f} days old on average")
def mean_age() -> Recipe:
    """Mean age of the activities.

    Formula: mean(as_of − occurred_at). Window: all time. Null: no activity. Source: RelBench rel-hm; catalogue 16.
    """

    def formula(r, now):
        return now.minutes / 1440 - ratio(r.minutes, r.count) / 1440

    minutes = Reduction("activity", "sum", value="occurred_minutes")
    return Recipe({"minutes": minutes, "count": Reduction("activity", "count")}, formula)


@feature(
    tables=("activity",), unit="share", words="active in {value:.0%} of the last 12 usual gaps"
)
def active_periods() -> Recipe:
    """Share of the last 12 windows of one base gap with activity.

    Formula: windows with activity / 12. Window: 12 base gaps. Null: never (0). Source: catalogue 14.
    """
    periods = Reduction("activity", "distinct", value="period", where="in_periods")
    return Recipe({"periods": periods}, lambda r, now: r.periods / 12)


@feature(tables=("activity",), unit="per day", words="active on {value:.2f} days a day")
def activity_rate() -> Recipe:
    """Active days per day as a customer, the customer counted as one base gap old at least.

    Formula: n / max(tenure, base gap). Window: all time. Null: no activity. Source: own past rate (RelBench).
    """

    def formula(r, now):
        floor = now.definitions.base_gap_us / DAY_US
        age = now.age_days(r.first)
        return r.count / nw.when(age > floor).then(age).otherwise(
            nw.when(~age.is_null()).then(nw.lit(floor))
        )

    return Recipe(
        {"first": Reduction("activity", "min"), "count": Reduction("activity", "count")}, formula
    )
