"""Trend: whether activity and spending rise or fall."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import narwhals as nw

from features.core.instants import DAY_US
from features.recipes.recipe import Now, Recipe, Reduction, feature

SLOPE_WINDOWS = 6


def _active(since: float | None, until: float = 0) -> Reduction:
    return Reduction("activity", "count", since_days=since, until_days=until)


def _spent(since: int, until: int = 0) -> Reduction:
    return Reduction("transactions", "sum", value="spent_minor", since_days=since, until_days=until)


@feature(
    tables=("activity",),
    unit="ratio",
    words="activity at {value:.1f} times the earlier rate ({window})",
    windows="W",
)
def trend_ratio(days: int | None) -> Recipe:
    """Activity rate of the last window over that of four times the window, shrunk towards 1.

    Formula: (c_W + ½) / (c_4W / 4 + ½); all time: (c of the last population mean gap + ½) / (n /
    (tenure in population mean gaps + 1) + ½). Window: W and all time. Null: never. Source: RelBench
    amazon; catalogue 39.
    """
    if days is None:
        return _long_trend_ratio()
    counts = {"near": _active(days), "far": _active(4 * days)}
    # Half an activity on both sides: a customer without any gets 1 instead of 0 / 0.
    return Recipe(counts, lambda r, now: (r.near + 0.5) / (r.far / 4 + 0.5))


def _long_trend_ratio() -> Recipe:
    def formula(r: Any, now: Now) -> nw.Expr:
        gap_days = now.definitions.population_mean_gap_us / DAY_US
        return (r.near + 0.5) / (r.all / (now.age_days(r.first) / gap_days + 1) + 0.5)

    near = Reduction("activity", "count", where="in_last_mean_gap")
    return Recipe(
        {"near": near, "all": _active(None), "first": Reduction("activity", "min")}, formula
    )


@feature(
    tables=("activity",),
    unit="ratio",
    words="activity changed by {value:+.0%} from the previous {window}",
    windows="w",
)
def count_change(days: int) -> Recipe:
    """Relative change of the activity count from the window before.

    Formula: (c_W − c_previous W) / (c_previous W + 1). Window: W. Null: never.
    Source: catalogue 40.
    """
    counts = {"near": _active(days), "before": _active(2 * days, days)}
    return Recipe(counts, lambda r, now: (r.near - r.before) / (r.before + 1))


@feature(
    tables=("activity",),
    unit="sd",
    words="activity is {value:+.1f} standard deviations from expected in {window}",
    windows="w",
)
def count_zscore(days: int) -> Recipe:
    """Z-score of the window's activity count against the customer's long-run rate.

    Formula: (c_W − E) / √E, E = W · (n + 1) / (tenure + population mean gap). Window: W. Null: no
    activity. Source: catalogue 43.
    """

    def formula(r: Any, now: Now) -> nw.Expr:
        # One more activity and one more gap: a prior of one activity per population mean gap.
        span = now.age_days(r.first) + now.definitions.population_mean_gap_us / DAY_US
        expected = (r.all + 1) * days / span
        # The standard deviation of a Poisson count is the root of its mean.
        return (r.near - expected) / expected.sqrt()

    return Recipe(
        {"near": _active(days), "all": _active(None), "first": Reduction("activity", "min")},
        formula,
    )


@feature(
    tables=("transactions",),
    unit="log currency",
    words="spending changed by {value:+.2f} (log scale) from the previous {window}",
    windows="w",
)
def amount_trend(days: int) -> Recipe:
    """Log spending of the window minus log spending of the window before.

    Formula: log1p(Σ_W) − log1p(Σ_previous W), in currency. Window: W. Null: never.
    Source: catalogue 32.
    """

    def formula(r: Any, now: Now) -> nw.Expr:
        unit = now.definitions.minor_units
        # Plus one currency unit, because the logarithm of 0 is not finite.
        return (r.near / unit + 1).log() - (r.before / unit + 1).log()

    return Recipe({"near": _spent(days), "before": _spent(2 * days, days)}, formula)


def _slope(values: Sequence[nw.Expr]) -> nw.Expr:
    """OLS slope per window of values, newest first: Σ (x − mean x) y / Σ (x − mean x)²."""
    middle = (len(values) - 1) / 2
    # Values come newest first, so the weight falls with k while time rises.
    rise = [(middle - k) * value for k, value in enumerate(values)]
    return reduce(operator.add, rise) / sum((middle - k) ** 2 for k in range(len(values)))


def _each(days: int, of: Callable[[int, int], Reduction]) -> dict[str, Reduction]:
    """One reduction for each of the last six windows, newest first."""
    return {f"w{k}": of((k + 1) * days, k * days) for k in range(SLOPE_WINDOWS)}


@feature(
    tables=("activity",),
    unit="log a window",
    words="activity changes by {value:+.2f} (log scale) every {window}",
    windows="w",
)
def activity_slope(days: int) -> Recipe:
    """Linear trend of the log activity counts of the last six windows.

    Formula: OLS slope of log1p(c_k) over windows k = 5 … 0, per window. Window: 6 · W. Null: never
    (0 without activity). Source: catalogue 41.
    """

    def formula(r: Any, now: Now) -> nw.Expr:
        return _slope([(getattr(r, f"w{k}") + 1).log() for k in range(SLOPE_WINDOWS)])

    return Recipe(_each(days, _active), formula)


@feature(
    tables=("activity",),
    unit="active days",
    words="the change in activity changed by {value:+.0f} ({window})",
    windows="w",
)
def acceleration(days: int) -> Recipe:
    """Second difference of windowed counts: below 0 growth slows down or decline speeds up.

    Formula: c_0 − 2·c_1 + c_2, c_0 the newest window. Window: 3 · W. Null: never.
    Source: catalogue 42.
    """
    counts = {
        "near": _active(days),
        "before": _active(2 * days, days),
        "first": _active(3 * days, 2 * days),
    }
    return Recipe(counts, lambda r, now: r.near - 2 * r.before + r.first)


@feature(
    tables=("transactions",),
    unit="log currency a window",
    words="spending changes by {value:+.2f} (log scale) every {window}",
    windows="w",
)
def amount_slope(days: int) -> Recipe:
    """Linear trend of the log spending of the last six windows.

    Formula: OLS slope of log1p(Σ amount of purchases above 0, in currency) over windows k = 5 … 0,
    per window. Window: 6 · W. Null: never (0 without purchases). Source: catalogue 32.
    """

    def formula(r: Any, now: Now) -> nw.Expr:
        return _slope(
            [
                (getattr(r, f"w{k}") / now.definitions.minor_units + 1).log()
                for k in range(SLOPE_WINDOWS)
            ]
        )

    return Recipe(_each(days, _spent), formula)
