"""The rules of the manifest, the stages, the features and the population."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from features.core.config_schema import Days
from features.core.settings import TABLES
from features.recipes.recipe import SCORE_SCALE
from features.recipes.stages import STAGES
from serving.release.file_rules import (
    Count,
    Id,
    Instant,
    Numbers,
    Positive,
    Rules,
    Share,
    Text,
    check_rising,
    check_unique,
    optional_key,
)


def _check_table(table: str) -> str:
    if table not in TABLES:
        raise ValueError("not one of the contract's tables")
    return table


Table = Annotated[str, AfterValidator(_check_table)]
QUANTILES, COHORTS = 19, 4
MONEY = 1e19  # the sums of all money fit 64 bits
ROUNDING = 1e-6


def _check_time(text: str) -> None:
    try:
        has_offset = datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        has_offset = False
    if not has_offset:
        raise ValueError("no instant with its offset")


class FileHashRules(Rules):
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    size: Count


class ManifestFile(Rules):
    format: int
    id: Id
    files: dict[str, FileHashRules]
    creation_time: str = optional_key(alias="made_at")
    versions: dict[str, str] = optional_key()

    @model_validator(mode="after")
    def _check_creation(self) -> ManifestFile:
        if "creation_time" in self.model_fields_set:
            _check_time(self.creation_time)
        return self


class AttributeRules(Rules):
    name: Text
    type: Literal["text", "flag", "number", "money"]
    constant: bool
    columns: Annotated[
        list[Annotated[list[str], Field(min_length=2, max_length=2)]], Field(min_length=1)
    ]
    sensitive: bool


class StagesFile(Rules):
    """stages.json: the fields of `Definitions`, and the names of the stages."""

    stages: list[str]
    population_mean_gap_us: Annotated[int, Field(gt=0, le=2**53)]
    median_gap_days: Annotated[float, Field(ge=0, le=1e6)]
    multiples: Annotated[list[Positive], Field(min_length=3, max_length=3)]
    windows_days: Annotated[list[Days], Field(min_length=1, max_length=8)]
    half_lives_days: Annotated[
        list[Annotated[float, Field(ge=0)]], Field(min_length=3, max_length=3)
    ]
    horizon_days: Days
    eligible_days: Days
    contractual: bool
    activity_table: Literal["transactions", "interactions"]
    minor_units: Annotated[int, Field(ge=1, le=1000)]
    scales: list[tuple[str, float, float]]
    acquired: Literal["first_activity", "second_activity"]
    learned_as_of: Instant
    gaps: Count
    reactivated_share: Share | None
    reached_churned: Count
    label_latency_days: Annotated[int, Field(ge=0, le=365)]
    resolve_within_hours: Annotated[float, Field(gt=0, le=8760)]
    attributes: list[AttributeRules]
    attribute_versions: bool
    grace_days: Annotated[int, Field(ge=0, le=365)]

    @model_validator(mode="before")
    @classmethod
    def _read_scales(cls, value: Any) -> Any:
        # JSON has no tuples.
        if isinstance(value, dict) and isinstance(value.get("scales"), list):
            rows = [tuple(row) if isinstance(row, list) else row for row in value["scales"]]
            return value | {"scales": rows}
        return value

    @model_validator(mode="after")
    def _check_orders(self) -> StagesFile:
        if tuple(self.stages) != STAGES:
            raise ValueError("other stages than this version's")
        check_rising(self.multiples)
        check_rising(self.half_lives_days)
        check_rising(self.windows_days, by=1)
        check_unique([kind for kind, _, _ in self.scales])
        check_unique([attribute.name for attribute in self.attributes])
        if any(low >= high for _, low, high in self.scales):
            raise ValueError("a scale whose lowest score is not below its highest")
        if (self.reactivated_share is None) != (self.reached_churned == 0):
            raise ValueError("a share of reactivations belongs to customers that reached churned")
        return self


class SeenFile(Rules):
    """seen.json: what the release has seen of the future, instants in µs UTC."""

    outcomes_until: Instant
    population_as_of: Instant
    purpose: Literal["serve", "backfill"]

    @model_validator(mode="after")
    def _check_order(self) -> SeenFile:
        if self.outcomes_until <= self.population_as_of:
            raise ValueError("outcomes that end before the population statistics")
        return self


class ColumnRules(Rules):
    name: Text
    family: Text
    unit: str
    window: str


class FeaturesFile(Rules):
    """features.json. The rules of `config` are those of a lifecycle.toml."""

    columns: Annotated[list[ColumnRules], Field(min_length=1)]
    tables: Annotated[list[Table], Field(min_length=1)]
    config: dict[str, Any]
    without: list[Annotated[list[Table], Field(min_length=1)]]
    silent: list[Table]

    @model_validator(mode="after")
    def _check_tables(self) -> FeaturesFile:
        check_unique([*self.tables, *self.silent])
        check_unique([tuple(lacks) for lacks in self.without])
        for lacks in self.without:
            check_unique(lacks)
            if lacks != sorted(lacks) or not set(lacks) < set(self.tables):
                raise ValueError("a sub-release lacks some of the tables, in order")
        # What is missing is at most all that may be missing, and one of them lacks that.
        if self.without and sorted({t for each in self.without for t in each}) not in self.without:
            raise ValueError("no sub-release lacks all the tables that may be missing")
        return self


class PopulationRow(Rules):
    """The row of population.parquet: the fields of `PopulationStats`."""

    as_of: Instant
    amount_quantiles: Annotated[Numbers, Field(min_length=QUANTILES, max_length=QUANTILES)]
    r: Annotated[float, Field(gt=0, le=1e9)]
    alpha: Annotated[float, Field(gt=0, le=1e9)]
    a: Annotated[float, Field(gt=0, le=1e9)]
    b: Annotated[float, Field(gt=0, le=1e9)]
    wait_shape: Annotated[float, Field(gt=0, le=1e6)]
    money_p: Annotated[float, Field(gt=0, le=1e6)]
    money_q: Annotated[float, Field(gt=1, le=1e6)]
    money_v: Annotated[float, Field(ge=0, le=1e21)]
    cohort_cuts: Annotated[list[Instant], Field(min_length=COHORTS - 1, max_length=COHORTS - 1)]
    cohort_quantiles: Annotated[
        Numbers, Field(min_length=QUANTILES * COHORTS, max_length=QUANTILES * COHORTS)
    ]
    earliest_at: Instant
    items: list[str]
    item_means: list[Annotated[int, Field(ge=0, le=SCORE_SCALE)]]

    @model_validator(mode="after")
    def _check_orders(self) -> PopulationRow:
        quantiles = [self.amount_quantiles]
        starts = range(0, QUANTILES * COHORTS, QUANTILES)
        quantiles += [self.cohort_quantiles[start : start + QUANTILES] for start in starts]
        for values in quantiles:
            if max(map(abs, values)) > MONEY:
                raise ValueError("money beyond 64 bits")
            check_rising(values, by=-ROUNDING * max(1.0, *map(abs, values)))
        check_rising([*self.cohort_cuts, self.as_of])
        check_unique(self.items)
        if len(self.items) != len(self.item_means) or self.earliest_at > self.as_of:
            raise ValueError("items without a mean, or activity after as_of")
        return self
