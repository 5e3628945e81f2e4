"""Rhythm: the usual gap between a customer's activities, and whether the current one is longer."""

from __future__ import annotations

import math
from typing import Any

import narwhals as nw

from features.core.instants import DAY_US
from features.recipes import stages
from features.recipes.recipe import LOG_SCALE, Now, Recipe, Reduction, feature, ratio, variance
from features.recipes.rows.gap_pairs import DISTANCES

DAY_MINUTES = 1440

_FIRST = Reduction("activity", "min")
_LAST = Reduction("activity", "max")
_COUNT = Reduction("activity", "count")
_GAPS = Reduction("activity", "count", where="has_gap")
_MINUTES = Reduction("activity", "sum", value="gap_minutes", where="has_gap")
_SQUARES = Reduction("activity", "sum", value="gap_minutes_squared", where="has_gap")
_LAST_GAP = Reduction("activity", "max", value="gap_minutes", where="is_last")
_LONGEST = Reduction("activity", "max", value="gap_minutes", where="has_gap")


@feature(
    tables=("activity",),
    unit="ratio",
    words="{value:.1f} times the usual gap since the last activity",
    leaving=1,
)
def overdue() -> Recipe:
    """Days since the last activity over the customer's usual gap.

    Formula: recency / g, g = (2·population mean gap + Σ own gaps) / (2 + number of own gaps).
    Window: all time. Null: no activity. Source: architecture, stages; catalogue 7.
    """

    def formula(r: Any, now: Now) -> nw.Expr:
        usual = stages.usual_gap(
            first=r.first,
            last=r.last,
            count=r.count,
            population_mean_gap_us=now.definitions.population_mean_gap_us,
        )
        return (now.as_of - r.last) / usual

    return Recipe({"first": _FIRST, "last": _LAST, "count": _COUNT}, formula)


@feature(tables=("activity",), unit="days", words="usually active every {value:.0f} days")
def usual_gap() -> Recipe:
    """g, the customer's usual gap, shrunk towards the population mean gap.

    Formula: (2·population mean gap + Σ own gaps) / (2 + number of own gaps). Window: all time.
    Null: no activity. Source: architecture, stages.
    """
    return Recipe(
        {"first": _FIRST, "last": _LAST, "count": _COUNT},
        lambda r, now: (
            stages.usual_gap(
                first=r.first,
                last=r.last,
                count=r.count,
                population_mean_gap_us=now.definitions.population_mean_gap_us,
            )
            / DAY_US
        ),
    )


@feature(
    tables=("activity",),
    unit="ratio",
    words="inactive for {value:.1f} times the longest gap so far",
    leaving=1,
)
def recency_over_longest_gap() -> Recipe:
    """Days since the last activity over the customer's longest gap.

    Formula: recency / longest own gap. Window: all time. Null: under two activities.
    Source: catalogue 8.
    """
    return Recipe(
        {"last": _LAST, "longest": _LONGEST},
        lambda r, now: ratio(now.age_days(r.last), r.longest / DAY_MINUTES),
    )


@feature(
    tables=("activity",), unit="share", words="inactive for longer than {value:.0%} of earlier gaps"
)
def recency_percentile() -> Recipe:
    """Share of the customer's gaps that were shorter than the current one, shrunk towards one half.

    Formula: (1 + number of gaps < recency) / (2 + number of gaps). Window: all time. Null: no
    activity. Source: catalogue 9.
    """
    # One shorter and one longer gap are added, so that few gaps do not give 0 or 1.
    shorter = Reduction("activity", "count", where="gap_below_recency")
    return Recipe(
        {"shorter": shorter, "gaps": _GAPS, "last": _LAST},
        lambda r, now: nw.when(~r.last.is_null()).then((r.shorter + 1) / (r.gaps + 2)),
    )


@feature(tables=("activity",), unit="days", words="{value:.0f} days between activities on average")
def gap_mean() -> Recipe:
    """Mean gap between the customer's activities.

    Formula: Σ gaps / (n − 1), gaps in whole minutes. Window: all time. Null: under two activities.
    Source: catalogue 17.
    """
    return _mean_gap("has_gap")


@feature(tables=("activity",), unit="days", words="typically {value:.0f} days between activities")
def gap_median() -> Recipe:
    """Median gap between the customer's activities (not additive).

    Formula: median of gaps. Window: all time. Null: under two activities. Source: catalogue 17.
    """
    median = Reduction("activity", "median", value="gap_minutes", where="has_gap")
    return Recipe({"median": median}, lambda r, now: r.median / DAY_MINUTES)


@feature(tables=("activity",), unit="ratio", words="gaps vary by {value:.1f} times their mean")
def gap_cv() -> Recipe:
    """Coefficient of variation of the customer's gaps.

    Formula: sd(gap) / mean(gap). Window: all time. Null: under three activities.
    Source: catalogue 19.
    """

    def formula(r: Any, now: Now) -> nw.Expr:
        return ratio(variance(r.minutes, r.squares, r.gaps).sqrt(), ratio(r.minutes, r.gaps))

    return Recipe({"minutes": _MINUTES, "squares": _SQUARES, "gaps": _GAPS}, formula)


@feature(
    tables=("activity",),
    unit="sd",
    words="the current gap is {value:+.1f} standard deviations from the mean gap",
)
def recency_zscore() -> Recipe:
    """Z-score of the current gap against the customer's earlier gaps.

    Formula: (recency − mean gap) / max(sd gap, 1 day). Window: all time. Null: under three
    activities. Source: catalogue 10.
    """

    def formula(r: Any, now: Now) -> nw.Expr:
        # At least a day: activity is by day, and a perfect rhythm would divide by 0.
        spread = variance(r.minutes, r.squares, r.gaps).sqrt() / DAY_MINUTES
        wait = now.age_days(r.last) - ratio(r.minutes, r.gaps) / DAY_MINUTES
        return wait / nw.when(spread > 1).then(spread).otherwise(
            nw.when(~spread.is_null()).then(nw.lit(1.0))
        )

    return Recipe({"last": _LAST, "minutes": _MINUTES, "squares": _SQUARES, "gaps": _GAPS}, formula)


@feature(
    tables=("activity",),
    unit="nats",
    words="score for an unusually long gap: {value:.1f}",
    leaving=1,
)
def recency_cumulative_hazard() -> Recipe:
    """Cumulative hazard of the current gap under a Weibull with mean g and the population's shape.

    Formula: −log S(recency) = (recency / g · Γ(1 + 1/k))^k; k by maximum likelihood from the
    population's completed gaps and open ones (censored), each over its customer's g, in [1/16, 16],
    and 1 where nobody has a gap. Window: all time. Null: no activity. Source: Platzer & Reutterer
    2016; Lawless 2003, 5.2 (fit); catalogue 11 (population).
    """

    def formula(r: Any, now: Now) -> nw.Expr:
        usual = stages.usual_gap(
            first=r.first,
            last=r.last,
            count=r.count,
            population_mean_gap_us=now.definitions.population_mean_gap_us,
        )
        # Γ(1 + 1/k) makes g the mean of the Weibull.
        shape = now.population.wait_shape
        return ((now.as_of - r.last) / usual * math.gamma(1 + 1 / shape)) ** shape

    return Recipe({"first": _FIRST, "last": _LAST, "count": _COUNT}, formula)


@feature(tables=("activity",), unit="days", words="gaps vary by {value:.0f} days")
def gap_sd() -> Recipe:
    """Standard deviation of the customer's gaps.

    Formula: sd(gap), n − 1 in the denominator. Window: all time. Null: under three activities.
    Source: catalogue 18.
    """
    return Recipe(
        {"minutes": _MINUTES, "squares": _SQUARES, "gaps": _GAPS},
        lambda r, now: variance(r.minutes, r.squares, r.gaps).sqrt() / DAY_MINUTES,
    )


@feature(
    tables=("activity",), unit="days", words="the last gap between activities was {value:.0f} days"
)
def gap_last() -> Recipe:
    """The last completed gap.

    Formula: last − the activity before. Window: last 2 activities. Null: under two activities.
    Source: catalogue 20.
    """
    return Recipe({"last_gap": _LAST_GAP}, lambda r, now: r.last_gap / DAY_MINUTES)


@feature(
    tables=("activity",), unit="ratio", words="the last gap was {value:.1f} times the mean gap"
)
def gap_last_over_mean() -> Recipe:
    """The last completed gap over the mean gap: above 1 the customer slows down.

    Formula: last gap / mean gap. Window: all time. Null: under two activities.
    Source: catalogue 21.
    """
    return Recipe(
        {"last_gap": _LAST_GAP, "minutes": _MINUTES, "gaps": _GAPS},
        lambda r, now: ratio(r.last_gap, ratio(r.minutes, r.gaps)),
    )


@feature(
    tables=("activity",), unit="days", words="the last five gaps are {value:.0f} days on average"
)
def gap_mean_last_five() -> Recipe:
    """Mean of the customer's last five gaps.

    Formula: Σ last 5 gaps / their number. Window: last 6 activities. Null: under two activities.
    Source: catalogue 17.
    """
    return _mean_gap("recent_gap")


@feature(
    tables=("activity",), unit="days", words="the last ten gaps are {value:.0f} days on average"
)
def gap_mean_last_ten() -> Recipe:
    """Mean of the customer's last ten gaps.

    Formula: Σ last 10 gaps / their number. Window: last 11 activities. Null: under two activities.
    Source: catalogue 17.
    """
    return _mean_gap("ten_gaps")


def _mean_gap(where: str) -> Recipe:
    minutes = Reduction("activity", "sum", value="gap_minutes", where=where)
    gaps = Reduction("activity", "count", where=where)
    return Recipe(
        {"minutes": minutes, "gaps": gaps}, lambda r, now: ratio(r.minutes, r.gaps) / DAY_MINUTES
    )


@feature(
    tables=("activity",),
    unit="log a gap",
    words="each gap is {value:+.2f} longer than the one before (log scale)",
)
def gap_slope() -> Recipe:
    """Theil–Sen slope of the last gaps (not additive): above 0 the customer slows down.

    One outlying gap changes it little. Formula: median of (log gap_j − log gap_i) / (j − i) over
    all pairs i < j of the last five gaps. Window: last 6 activities. Null: under three gaps.
    Source: Sen 1968; catalogue 22.
    """
    slope = Reduction("gap_pairs", "median", value="slope_twelfths")
    gaps = Reduction("activity", "count", where="recent_gap")

    def formula(r: Any, now: Now) -> nw.Expr:
        # Two gaps have one slope, which is mostly noise.
        return nw.when(r.gaps >= 3).then(r.slope / (DISTANCES * LOG_SCALE))

    return Recipe({"slope": slope, "gaps": gaps}, formula)


@feature(tables=("activity",), unit="log", words="irregularity of gaps: {value:.2f} (0 is regular)")
def irregularity() -> Recipe:
    """How irregular the gaps are: 0 for perfectly regular ones, larger for more irregular ones.

    Formula: log(mean gap) − mean(log gap), the sufficient statistic of a Gamma's shape. Window: all
    time. Null: under three activities. Source: Platzer & Reutterer 2016 (Pareto/GGG); catalogue 23.
    """
    logs = Reduction("activity", "sum", value="gap_log", where="has_gap")

    def formula(r: Any, now: Now) -> nw.Expr:
        # By Jensen's inequality the difference is 0 or more.
        return nw.when(r.gaps >= 2).then((r.minutes / r.gaps).log() - r.logs / (r.gaps * LOG_SCALE))

    return Recipe({"minutes": _MINUTES, "logs": logs, "gaps": _GAPS}, formula)


@feature(
    tables=("activity",),
    unit="probability",
    words="{value:.0%} probability of no activity, by the purchase model",
    leaving=1,
)
def p_no_activity() -> Recipe:
    """P(no activity in the horizon) by BG/NBD, fitted on the population at as_of.

    Formula: 1 − P(alive)·(1 − ((α+T)/(α+T+h))^(r+x)); P(alive) = 1 where x = 0. Window: all time.
    Null: no activity. Source: Fader, Hardie & Lee 2005, eq. 7–8; catalogue 71.
    """

    def formula(r: Any, now: Now) -> nw.Expr:
        model = now.population
        repeats, last, age = r.count - 1, (r.last - r.first) / DAY_US, now.age_days(r.first)
        quiet = ((model.alpha + age) / (model.alpha + age + now.definitions.horizon_days)) ** (
            model.r + repeats
        )
        # At least one repeat, or the odds below divide by b − 1; where there is none P(alive) is 1.
        some = nw.when(repeats > 0).then(repeats).otherwise(nw.lit(1))
        odds = (
            model.a
            / (model.b + some - 1)
            * ((model.alpha + age) / (model.alpha + last)) ** (model.r + some)
        )
        alive = nw.when(repeats > 0).then(1 / (odds + 1)).otherwise(nw.lit(1.0))
        return 1 - alive * (1 - quiet)

    return Recipe({"first": _FIRST, "last": _LAST, "count": _COUNT}, formula)
