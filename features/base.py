"""Two kinds of knowledge about the whole business, both from Known and never from anything after it.

Definitions are frozen once per release, the same for every as_of: base gap, stage multiples, windows, half-lives.
The Base may move daily: quantiles of money, the four parameters of BG/NBD.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from features import btyd
from features.history import Known
from features.settings import DAY_US, Settings
from features.stages import Comeback, learn_multiples

SNAPS = (7, 14, 30, 60, 90, 180, 365)
BASE_GAPS_PER_WINDOW = (1, 3, 6, 12)


@dataclass(frozen=True)
class Definitions:
    """What a release freezes. Gaps in µs; windows, half-lives, horizon in days; multiples of g."""

    base_gap_us: int
    median_gap_days: float
    multiples: tuple[float, float, float]
    windows_days: tuple[int, ...]
    half_lives_days: tuple[float, ...]
    horizon_days: int
    eligible_days: int
    contractual: bool
    activity_table: str
    minor_units: int
    scales: tuple[tuple[str, float, float], ...]
    acquired: str
    learned_as_of: int
    gaps: int
    came_back: float | None
    reached_churned: int

    @classmethod
    def from_mapping(cls, stated: dict) -> Definitions:
        frozen = {**stated, "scales": tuple(tuple(scale) for scale in stated["scales"])}
        for name in ("multiples", "windows_days", "half_lives_days"):
            frozen[name] = tuple(stated[name])
        return cls(**frozen)


def define(known: Known, settings: Settings) -> Definitions:
    """Learn what a release freezes from what was known at one instant (before the earliest evaluation as_of).

    Without a completed gap the base gap is the horizon; under 500 gaps the multiples are 2, 4, 8.
    """
    days = known.activity.sort("customer_id", "occurred_at").collect(backend="pyarrow").to_native()
    at, gap = days["occurred_at"].to_numpy(), days["gap"].to_numpy(zero_copy_only=False).astype(np.float64)
    position, last = days["position"].to_numpy(), days["from_end"].to_numpy() == 1
    gaps = gap[position > 1]
    base_gap = round(gaps.mean()) if gaps.size else settings.churn.horizon_days * DAY_US
    median = float(np.median(gaps)) / DAY_US if gaps.size else float(settings.churn.horizon_days)
    comeback = learn_multiples(at, gap, position, last, base_gap, as_of=known.as_of, stated=settings.stages.multiples)
    return Definitions(
        base_gap_us=base_gap, median_gap_days=median, multiples=comeback.multiples,
        windows_days=_windows(median, settings), half_lives_days=tuple(round(k * base_gap / DAY_US, 3) for k in (1, 3, 6)),
        horizon_days=settings.churn.horizon_days, eligible_days=settings.eligible_days, contractual=settings.contractual,
        activity_table=settings.activity.table, minor_units=10**settings.minor_digits,
        scales=tuple((kind, *scale) for kind, scale in sorted(settings.contract.scales.items())),
        acquired=settings.stages.acquired,
        learned_as_of=known.as_of, gaps=int(gaps.size), **_came_back(comeback),
    )  # fmt: skip


def _came_back(comeback: Comeback) -> dict:
    return {"came_back": comeback.share, "reached_churned": comeback.reached}


def _windows(median_days: float, settings: Settings) -> tuple[int, ...]:
    if settings.features.windows_days:
        return tuple(sorted(set(settings.features.windows_days)))
    wanted = [median_days * times for times in BASE_GAPS_PER_WINDOW]
    return tuple(sorted({min(SNAPS, key=lambda snap: abs(np.log(snap / max(days, 1e-9)))) for days in wanted}))


@dataclass(frozen=True)
class Base:
    """What a feature needs from other customers, at one as_of. Money in minor units, BG/NBD in days."""

    as_of: int
    amount_quantiles: tuple[float, ...]
    r: float
    alpha: float
    a: float
    b: float

    @classmethod
    def stored(cls, path: Path) -> Base:
        """The base a release or a run folder holds as `base.parquet`."""
        import pyarrow.parquet as pq

        [row] = pq.read_table(path).to_pylist()
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in row.items()})


def measure(known: Known, definitions: Definitions) -> Base:
    """The base at `known.as_of`, from everybody known then. Total: an empty past gives a neutral base."""
    days = known.activity.sort("customer_id", "occurred_at").collect(backend="pyarrow").to_native()
    at, position = days["occurred_at"].to_numpy(), days["position"].to_numpy()
    model = _purchase_model(at, position, days["from_end"].to_numpy(), known.as_of)
    return Base(known.as_of, _amount_quantiles(known), **model)


def _amount_quantiles(known: Known) -> tuple[float, ...]:
    import narwhals as nw

    if "transactions" not in known.tables:
        return (0.0,) * 19
    bought = known.tables["transactions"].filter(nw.col("kind") == "purchase")
    totals = bought.group_by("customer_id").agg(nw.col("amount").sum().cast(nw.Float64)).select("amount")
    values = totals.collect(backend="pyarrow").to_native()["amount"].to_numpy()
    cuts = np.quantile(values, np.arange(1, 20) / 20) if values.size else np.zeros(19)
    return tuple(float(cut) for cut in cuts)


def _purchase_model(at: np.ndarray, position: np.ndarray, from_end: np.ndarray, as_of: int) -> dict[str, float]:
    if not at.size:
        return {"r": 1.0, "alpha": 1.0, "a": 1.0, "b": 1.0}
    first, last, count = at[position == 1], at[from_end == 1], position[from_end == 1]
    fitted = btyd.fit(repeats=count - 1, last=(last - first) / DAY_US, age=(as_of - first) / DAY_US)
    return {name: float(getattr(fitted, name)) for name in ("r", "alpha", "a", "b")}
