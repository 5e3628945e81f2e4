"""Trend: is there more or less of it than before?"""

from __future__ import annotations

from features.recipe import Recipe, Reduction, feature
from features.settings import DAY_US


def _active(since: float | None, until: float = 0) -> Reduction:
    return Reduction("activity", "count", since_days=since, until_days=until)


@feature(
    tables=("activity",), unit="ratio", words="activity at {value:.1f} times the earlier pace ({window})", windows="W"
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
    return Recipe({"near": near, "all": _active(None), "first": Reduction("activity", "min")}, formula)


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

    return Recipe({"near": _active(days), "all": _active(None), "first": Reduction("activity", "min")}, formula)


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

    def spent(since: int, until: int = 0) -> Reduction:
        return Reduction("transactions", "sum", value="spent_minor", since_days=since, until_days=until)

    def formula(r, now):
        unit = now.definitions.minor_units
        return (r.near / unit + 1).log() - (r.before / unit + 1).log()

    return Recipe({"near": spent(days), "before": spent(2 * days, days)}, formula)
