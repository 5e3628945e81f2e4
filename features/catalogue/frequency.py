"""Frequency: how often a customer is active, in windows and exponentially weighted."""

from __future__ import annotations

from typing import Any

import narwhals as nw

from features.core.instants import DAY_US
from features.recipes.recipe import DECAY_SCALE, Now, Recipe, Reduction, feature, ratio


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
    """Number of purchases; several on one day each count.

    Formula: count of kind purchase. Window: W and all time. Null: never (0). Source: RFM;
    catalogue 12.
    """
    count = Reduction("transactions", "count", kinds=("purchase",), since_days=days)
    return Recipe({"count": count}, lambda r, now: r.count)


@feature(
    tables=("activity",),
    unit="active days, weighted",
    words="{value:.1f} active days, recent ones weighted more",
    windows="H",
)
def activity_ewm(days: float) -> Recipe:
    """Exponentially weighted number of active days: the weight halves with every half-life.

    Formula: Σ 0.5^(age / h). Window: all time, h = 1, 3, 6 population mean gaps. Null: never (0).
    Source: catalogue 15.
    """
    return Recipe(
        {"weighted": Reduction("activity", "decay", half_life_days=days)},
        lambda r, now: r.weighted / DECAY_SCALE,
    )


@feature(tables=("activity",), unit="days", words="activities are {value:.0f} days old on average")
def mean_activity_age() -> Recipe:
    """Mean age of the activities.

    Formula: mean(as_of − occurred_at). Window: all time. Null: no activity. Source: RelBench
    rel-hm; catalogue 16.
    """

    def formula(r: Any, now: Now) -> nw.Expr:
        return now.minutes / 1440 - ratio(r.minutes, r.count) / 1440

    minutes = Reduction("activity", "sum", value="occurred_minutes")
    return Recipe({"minutes": minutes, "count": Reduction("activity", "count")}, formula)


@feature(tables=("activity",), unit="share", words="active in {value:.0%} of the last 12 periods")
def active_period_share() -> Recipe:
    """Share of the last 12 periods, each one population mean gap long, with activity.

    Formula: periods with activity / 12. Window: 12 population mean gaps. Null: never (0).
    Source: catalogue 14.
    """
    periods = Reduction("activity", "distinct", value="period", where="in_periods")
    return Recipe({"periods": periods}, lambda r, now: r.periods / 12)


@feature(
    tables=("activity",), unit="per day", words="{value:.2f} active days per day as a customer"
)
def activity_rate() -> Recipe:
    """Active days per day as a customer, who counts as at least one population mean gap old.

    Formula: n / max(tenure, population mean gap). Window: all time. Null: no activity. Source: own
    past rate (RelBench).
    """

    def formula(r: Any, now: Now) -> nw.Expr:
        # Without the floor a customer of one day would be active every day.
        floor = now.definitions.population_mean_gap_us / DAY_US
        age = now.age_days(r.first)
        return r.count / nw.when(age > floor).then(age).otherwise(
            nw.when(~age.is_null()).then(nw.lit(floor))
        )

    return Recipe(
        {"first": Reduction("activity", "min"), "count": Reduction("activity", "count")}, formula
    )
