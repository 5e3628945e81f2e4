"""Definitions: what a release freezes, the same for every as_of.

The population's mean gap, stage multiples, windows, half-lives, the horizon, and the attributes of
customers that have columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from features.core.instants import DAY_US
from features.core.settings import Settings
from features.recipes.activity_days import ActivityDays, days_of_frame
from features.recipes.attributes import Attribute, learn_attributes
from features.recipes.learned_multiples import learn_multiples
from features.tables.history import Known

# Window lengths people know, in days: a window is the nearest of them to a multiple of the median
# gap.
SNAPS = (7, 14, 30, 60, 90, 180, 365)
MEDIAN_GAPS_PER_WINDOW = (1, 3, 6, 12)
MEAN_GAPS_PER_HALF_LIFE = (1, 3, 6)


@dataclass(frozen=True)
class Definitions:
    """What a release freezes.

    population_mean_gap_us: mean completed gap of all customers, in µs. multiples: of a customer's
    usual gap g, where at_risk, dormant and churned begin. windows_days, half_lives_days,
    horizon_days, eligible_days: in days. minor_units: in one unit of the currency. scales: (kind of
    feedback, lowest, highest score). gaps: how many completed gaps were learned from.
    reached_churned: spells that got as long as churned; reactivated_share: the share of them that
    activity ended, None without any.
    """

    population_mean_gap_us: int
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
    reactivated_share: float | None
    reached_churned: int
    label_latency_days: int = 0
    resolve_within_hours: float = 48.0
    attributes: tuple[Attribute, ...] = ()
    attribute_versions: bool = False
    grace_days: int = 0

    @classmethod
    def from_mapping(cls, mapping: dict[str, Any]) -> Definitions:
        """The definitions as `dataclasses.asdict` and JSON give them back: lists become tuples."""
        values = {**mapping, "scales": tuple(tuple(scale) for scale in mapping["scales"])}
        for name in ("multiples", "windows_days", "half_lives_days"):
            values[name] = tuple(mapping[name])
        values["attributes"] = tuple(
            Attribute.from_mapping(attribute) for attribute in mapping.get("attributes", ())
        )
        return cls(**values)


def learn_definitions(
    known: Known, settings: Settings, *, days: ActivityDays | None = None
) -> Definitions:
    """Learn what a release freezes from what was known at one instant.

    It must not be later than the earliest evaluation date. days: those of `known`, if they were
    read already.
    Without a completed gap the mean gap is the horizon; with fewer than 500 gaps the multiples are
    2, 4, 8.
    """
    attributes, has_versions = learn_attributes(known, settings)
    return Definitions(
        **_learned_from_gaps(days or days_of_frame(known.activity), settings, known.instant),
        **_configured(settings),
        learned_as_of=known.instant,
        attributes=attributes,
        attribute_versions=has_versions,
    )


def _learned_from_gaps(days: ActivityDays, settings: Settings, as_of: int) -> dict[str, Any]:
    gaps, filled = np.empty(days.gaps), 0
    for part in days.parts():
        gaps[filled : filled + part.gaps.size] = part.gaps
        filled += part.gaps.size
    mean_gap = round(gaps.mean()) if gaps.size else settings.churn.horizon_days * DAY_US
    median = float(settings.churn.horizon_days)
    if gaps.size:
        # The gaps may change their order: they are not needed any more, and large.
        median = float(np.median(gaps, overwrite_input=True)) / DAY_US
    count = int(gaps.size)
    del gaps
    learned = learn_multiples(days, mean_gap, as_of=as_of, configured=settings.stages.multiples)
    return {
        "population_mean_gap_us": mean_gap,
        "median_gap_days": median,
        "multiples": learned.multiples,
        "windows_days": _windows(median, settings),
        "half_lives_days": _half_lives(mean_gap),
        "gaps": count,
        "reactivated_share": learned.reactivated_share,
        "reached_churned": learned.reached,
    }


def contradicted_fields(definitions: Definitions, settings: Settings) -> list[str]:
    """The names of fields that these settings, or the learned gaps, would make otherwise."""
    expected = _configured(settings) | {
        "windows_days": _windows(definitions.median_gap_days, settings),
        "half_lives_days": _half_lives(definitions.population_mean_gap_us),
    }
    if settings.stages.multiples:
        expected["multiples"] = tuple(settings.stages.multiples)
    fields = [name for name, value in expected.items() if getattr(definitions, name) != value]
    constant = settings.contract.constant_attributes
    if any(each.constant != (each.name in constant) for each in definitions.attributes):
        fields.append("attributes")
    return fields


def _configured(settings: Settings) -> dict[str, Any]:
    scales = sorted(settings.contract.scales.items())
    return {
        "horizon_days": settings.churn.horizon_days,
        "eligible_days": settings.eligible_days,
        "contractual": settings.contractual,
        "activity_table": settings.activity.table,
        "minor_units": 10**settings.minor_digits,
        "scales": tuple((kind, *scale) for kind, scale in scales),
        "acquired": settings.stages.acquired,
        "label_latency_days": settings.churn.label_latency_days,
        "resolve_within_hours": settings.satisfaction.resolve_within_hours,
        "grace_days": settings.churn.grace_days,
    }


def _half_lives(mean_gap_us: int) -> tuple[float, ...]:
    return tuple(round(count * mean_gap_us / DAY_US, 3) for count in MEAN_GAPS_PER_HALF_LIFE)


def _windows(median_days: float, settings: Settings) -> tuple[int, ...]:
    if settings.features.windows_days:
        return tuple(sorted(set(settings.features.windows_days)))
    wanted = [max(median_days * count, 1e-9) for count in MEDIAN_GAPS_PER_WINDOW]
    # Nearest as a ratio: 30 days are as far from 15 as from 60.
    nearest = {min(SNAPS, key=lambda snap: abs(np.log(snap / days))) for days in wanted}
    return tuple(sorted(nearest))
