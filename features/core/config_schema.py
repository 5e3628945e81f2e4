"""The sections of a `lifecycle.toml`: every key with its type, bounds, default and meaning. docs/settings.md is made of it."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator

from features.core.contract import NUMBER_LIMIT

MINOR_DIGITS = {
    "JPY": 0,
    "KRW": 0,
    "VND": 0,
    "CLP": 0,
    "ISK": 0,
    "BHD": 3,
    "KWD": 3,
    "OMR": 3,
    "JOD": 3,
    "TND": 3,
}
Days = Annotated[int, Field(ge=1, le=3650)]


class Section(BaseModel):
    """A section: unknown keys are refused, and the text under a key is its meaning."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Business(Section):
    name: str = "my business"
    """As pages and cards name it."""
    archetype: Literal["non-contractual", "contractual", "low-frequency", "one-off"] = (
        "non-contractual"
    )
    """`contractual`: cover can end, and churn is that it did. `one-off`: nobody is expected back, and nothing is scored."""
    zone: str | None = None
    """IANA name of the zone of midnights (UTC where left out) and of naive instants (refused where left out)."""
    currency: str = Field(default="EUR", pattern="^[A-Z]{3}$")
    """Three capitals; decides how many minor digits money has."""

    @field_validator("zone")
    @classmethod
    def _zone_exists(cls, zone: str | None) -> str | None:
        if zone is not None:
            try:
                ZoneInfo(zone)
            except (KeyError, ValueError, OSError) as error:
                raise ValueError(
                    "a zone is an IANA name such as 'Europe/London' or 'UTC'"
                ) from error
        return zone


class Activity(Section):
    table: Literal["transactions", "interactions"] = "transactions"
    """Whose rows are activity."""
    kinds: list[str] = Field(default=["purchase"], min_length=1)
    """The kinds of its rows that count: what a customer does while still a customer."""


class Churn(Section):
    horizon_days: Days = 90
    """Churned: no activity in so many days from `as_of` on; contractual: cover ended or was cancelled in them."""
    eligible_days: Days | None = None
    """Eligible: active in so many days before `as_of`, the horizon where left out. Not used with contracts: covered at `as_of`."""
    label_latency_days: int = Field(default=0, ge=0, le=365)
    """So many days after a window's end its outcome is known; nothing is learned from it before."""
    grace_days: int = Field(default=0, ge=0, le=365)
    """A renewal so many days late is a renewal; `label_latency_days` must cover it. `check` suggests a number."""


class Stages(Section):
    multiples: list[float] | None = Field(default=None, min_length=3, max_length=3)
    """At risk, dormant and churned begin at these multiples of the usual gap; learned from the gaps where left out."""
    acquired: Literal["first_activity", "second_activity"] = "first_activity"
    """Whether tenure and cohorts count from the first activity on or from the second."""

    @field_validator("multiples")
    @classmethod
    def _rising(cls, multiples: list[float] | None) -> list[float] | None:
        if multiples is not None and not (1 <= multiples[0] < multiples[1] < multiples[2] < 1000):
            raise ValueError("multiples rise: 1 <= m1 < m2 < m3 < 1000")
        return multiples


class Contract(Section):
    data_until: str | None = None
    """Up to when the data are complete; the newest instant at which an event was recorded where left out."""
    max_staleness_days: int = Field(default=3, ge=0, le=365)
    """`as_of` may lie so many days after the data's end, and no more."""
    exact_duplicates: Literal["drop", "keep"] = "drop"
    """`drop`: of rows alike in everything one is kept. `keep`: all, but transactions that carry an id."""
    arrives_after_hours: dict[str, float] = {}
    """By table: so many hours after an event its row is known, where the row does not say (`recorded_at`)."""
    scales: dict[str, tuple[float, float]] = {"csat": (1, 5), "nps": (0, 10), "review": (1, 5)}
    """By kind of feedback: lowest and highest score."""
    constant_attributes: list[str] = []
    """Attributes of customers that never change; only these, and those with `valid_from`, are features."""

    @field_validator("scales")
    @classmethod
    def _rising(cls, scales: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
        for low, high in scales.values():
            if not (-NUMBER_LIMIT <= low < high <= NUMBER_LIMIT):
                raise ValueError("a scale is [lowest, highest], and rises")
        return scales


class Features(Section):
    windows_days: list[Days] | None = Field(default=None, min_length=1, max_length=8)
    """The windows features look back through; 1, 3, 6, 12 × the median gap, snapped, where left out."""
    off: list[str] = []
    """Families, features or columns that are not made."""
    own: str | None = Field(default=None, min_length=1)
    """A Python file of your own recipes; it runs as code, and is kept in the release."""


class Satisfaction(Section):
    resolve_within_hours: float = Field(default=48, gt=0, le=8760)
    """The service level of complaints."""


class Training(Section):
    evaluate: list[date] = []
    """Dates kept out of training for the figures; the release is then refitted on them too. The newest complete one where left out."""
    step_days: Days = 30
    """From one training date to the next."""
    history_days: Days | None = None
    """Every training date has so many days of data behind it; as many as the horizon where left out."""
    max_dates: int = Field(default=12, ge=1, le=60)
    """At most so many training dates, the newest ones."""
    trials: int = Field(default=40, ge=1, le=10_000)
    """The search of a model ends after so many trials …"""
    seconds: float = Field(default=120, gt=0, le=86_400)
    """… or so many seconds of searching, both models together. Bound by trials alone, equal data give equal models."""
    seed: int = 7
    """Of everything drawn by chance."""
    churn_model: Literal["blend", "recency", "RFM logistic"] = "blend"
    """`blend` searches; the others are plain logistic regressions of one column or four, for where the ladder recommends them."""


class Engine(Section):
    memory: str = Field(default="4GB", pattern=r"^\d+(MB|GB)$")
    """What the engine may take, like 512MB or 4GB; beyond it, it spills to disk."""
    threads: int = Field(default=2, ge=1, le=256)
    """What the engine may use. No result depends on it."""
