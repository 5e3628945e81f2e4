"""Definitions: what a release freezes, the same for every as_of.

Base gap, stage multiples, windows, half-lives, the horizon, and the attributes of customers that have columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from features.core.instants import DAY_US
from features.core.settings import Settings
from features.recipes.attributes import Attribute, learn_attributes
from features.recipes.stages import Comeback, learn_multiples
from features.tables.history import Known

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
    label_latency_days: int = 0
    resolve_within_hours: float = 48.0
    attributes: tuple[Attribute, ...] = ()
    attribute_versions: bool = False
    grace_days: int = 0

    @classmethod
    def from_mapping(cls, stated: dict) -> Definitions:
        frozen = {**stated, "scales": tuple(tuple(scale) for scale in stated["scales"])}
        for name in ("multiples", "windows_days", "half_lives_days"):
            frozen[name] = tuple(stated[name])
        frozen["attributes"] = tuple(
            Attribute.from_mapping(one) for one in stated.get("attributes", ())
        )
        return cls(**frozen)


def learn_definitions(known: Known, settings: Settings) -> Definitions:
    """Learn what a release freezes from what was known at one instant (before the earliest evaluation as_of).

    Without a completed gap the base gap is the horizon; under 500 gaps the multiples are 2, 4, 8.
    """
    days = known.activity.sort("customer_id", "occurred_at").collect(backend="pyarrow").to_native()
    at, gap = (
        days["occurred_at"].to_numpy(),
        days["gap"].to_numpy(zero_copy_only=False).astype(np.float64),
    )
    position, last = days["position"].to_numpy(), days["from_end"].to_numpy() == 1
    gaps = gap[position > 1]
    base_gap = round(gaps.mean()) if gaps.size else settings.churn.horizon_days * DAY_US
    median = float(np.median(gaps)) / DAY_US if gaps.size else float(settings.churn.horizon_days)
    attributes, versions = learn_attributes(known, settings)
    comeback = learn_multiples(
        at, gap, position, last, base_gap, as_of=known.as_of, stated=settings.stages.multiples
    )
    return Definitions(
        base_gap_us=base_gap,
        median_gap_days=median,
        multiples=comeback.multiples,
        windows_days=_windows(median, settings),
        half_lives_days=tuple(round(k * base_gap / DAY_US, 3) for k in (1, 3, 6)),
        horizon_days=settings.churn.horizon_days,
        eligible_days=settings.eligible_days,
        contractual=settings.contractual,
        activity_table=settings.activity.table,
        minor_units=10**settings.minor_digits,
        scales=tuple((kind, *scale) for kind, scale in sorted(settings.contract.scales.items())),
        acquired=settings.stages.acquired,
        learned_as_of=known.as_of,
        gaps=int(gaps.size),
        **_came_back(comeback),
        label_latency_days=settings.churn.label_latency_days,
        resolve_within_hours=settings.satisfaction.resolve_within_hours,
        attributes=attributes,
        attribute_versions=versions,
        grace_days=settings.churn.grace_days,
    )


def _came_back(comeback: Comeback) -> dict:
    return {"came_back": comeback.share, "reached_churned": comeback.reached}


def _windows(median_days: float, settings: Settings) -> tuple[int, ...]:
    if settings.features.windows_days:
        return tuple(sorted(set(settings.features.windows_days)))
    wanted = [median_days * times for times in BASE_GAPS_PER_WINDOW]
    return tuple(
        sorted(
            {min(SNAPS, key=lambda snap: abs(np.log(snap / max(days, 1e-9)))) for days in wanted}
        )
    )
