"""Trend: is there more or less of it than before?"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import reduce

import narwhals as nw

from features.core.instants import DAY_US
from features.recipes.recipe import Recipe, Reduction, feature

SLOPE_WINDOWS = 6


def _active(since: float | None, until: float = 0) -> Reduction:
    return Reduction("activity", "count", since_days=since, until_days=until)


def _spent(since: int, until: int = 0) -> Reduction:
    return Reduction("transactions", "sum", value="spent_minor", since_days=since, until_days=until)


@feature(
    tables=("activity",),
    unit="ratio",
    words="activity at {value:.1f} times the earlier pace ({window})",
    windows="W",
)
def pace(days: int | None) -> Recipe:
    """Pace of the last window against the pace of four times that window, shrunk to 1.

    Formula: (c_W + ½) / (c_4W / 4 + ½); all time: (c of the last base gap + ½) / (n /
    (tenure in base gaps + 1) + ½). Window: W and all time.
    Null: never. Source: RelBench amazon; catalogue 39.
    """
    if days is None:
        return _long_pace()
    counts = {"near": _active(days), "far": _active(4 * days)}
    return Recipe(counts, lambda r, now: (r.near + 0.5) / (r.far / 4 + 0.5))


def _long_pace() -> Recipe:
    def formula(r, now):
        gap_days = now.definitions.base_gap_us / DAY_US
        return (r.near + 0.5) / (r.all / (now.age_days(r.first) / gap_days + 1) + 0.5)

    near = Reduction("activity", "count", where="in_last_base_gap")
    return Recipe(
        {"near": near, "all": _active(None), "first": Reduction("activity", "min")}, formula
    )


@feature(
    tables=("activity",),
    unit="ratio",
    words="activity changed by {value:+.0%} against the window before ({window})",
    windows="w",
)
def change(days: int) -> Recipe:
    """Change against the window before.

    Formula: (c_W − c_previous W) / (c_previous W + 1). Window: W. Null: never. Source: catalogue 40.
    """
    counts = {"near": _active(days), "before": _active(2 * days, days)}
    return Recipe(counts, lambda r, now: (r.near - r.before) / (r.before + 1))


@feature(
    tables=("activity",),
    unit="sd",
    words="activity {value:+.1f} standard deviations from expected ({window})",
    windows="w",
)
def surprise(days: int) -> Recipe:
    """How far the window's count lies from what the own long rate expects.

    Formula: (c_W − E) / √E, E = W · (n + 1) / (tenure + base gap). Window: W. Null: no activity.
    Source: catalogue 43.
    """

    def formula(r, now):
        span = now.age_days(r.first) + now.definitions.base_gap_us / DAY_US
        expected = (r.all + 1) * days / span
        return (r.near - expected) / expected.sqrt()

    return Recipe(
        {"near": _active(days), "all": _active(None), "first": Reduction("activity", "min")},
        formula,
    )


@feature(
    tables=("transactions",),
    unit="log currency",
    words="spending moved by {value:+.2f} on the log scale ({window})",
    windows="w",
)
def amount_trend(days: int) -> Recipe:
    """Log money of the window less the log money of the window before.

    Formula: log1p(Σ_W) − log1p(Σ_previous W), in currency. Window: W. Null: never. Source: catalogue 32.
    """

    def formula(r, now):
        unit = now.definitions.minor_units
        return (r.near / unit + 1).log() - (r.before / unit + 1).log()

    return Recipe({"near": _spent(days), "before": _spent(2 * days, days)}, formula)


def _slope(values: Sequence[nw.Expr]) -> nw.Expr:
    """OLS slope per window of equally spaced values, newest first: Σ (x − mean x) y / Σ (x − mean x)²."""
    middle = (len(values) - 1) / 2
    rise = [(middle - k) * value for k, value in enumerate(values)]
    return reduce(operator.add, rise) / sum((middle - k) ** 2 for k in range(len(values)))


def _each(days: int, of: Callable[[int, int], Reduction]) -> dict[str, Reduction]:
    """One reduction for each of the last six windows, newest first."""
    return {f"w{k}": of((k + 1) * days, k * days) for k in range(SLOPE_WINDOWS)}


@feature(
    tables=("activity",),
    unit="log a window",
    words="activity moving by {value:+.2f} a window on the log scale ({window})",
    windows="w",
)
def activity_slope(days: int) -> Recipe:
    """Straight line through the log counts of the last six windows.

    Formula: OLS slope of log1p(c_k) over windows k = 5 … 0, per window. Window: 6 · W. Null: never (0 without activity).
    Source: catalogue 41.
    """

    def formula(r, now):
        return _slope([(getattr(r, f"w{k}") + 1).log() for k in range(SLOPE_WINDOWS)])

    return Recipe(_each(days, _active), formula)


@feature(
    tables=("activity",),
    unit="active days",
    words="the change in activity itself changed by {value:+.0f} ({window})",
    windows="w",
)
def acceleration(days: int) -> Recipe:
    """Second difference of windowed counts: below 0 growth slows, or decline quickens.

    Formula: c_0 − 2·c_1 + c_2, c_0 the newest window. Window: 3 · W. Null: never. Source: catalogue 42.
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
    words="spending moving by {value:+.2f} a window on the log scale ({window})",
    windows="w",
)
def amount_slope(days: int) -> Recipe:
    """Straight line through the log money of the last six windows.

    Formula: OLS slope of log1p(Σ amount of purchases above 0, in currency) over windows k = 5 … 0, per window.
    Window: 6 · W. Null: never (0 without money). Source: catalogue 32.
    """

    def formula(r, now):
        return _slope(
            [
                (getattr(r, f"w{k}") / now.definitions.minor_units + 1).log()
                for k in range(SLOPE_WINDOWS)
            ]
        )

    return Recipe(_each(days, _spent), formula)
