"""The rules of evaluation.json: what the search chose, the gate, the movement, the figures."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from features.core.config_schema import Days
from features.recipes.stages import STAGES
from serving.release.file_rules import (
    Count,
    Id,
    Instant,
    Positive,
    Rules,
    Share,
    Text,
    optional_key,
)

Status = Literal["ok", "no_skill", "not_enough_data"]
Fraction = Annotated[float, Field(gt=0, le=1)]


class BoosterSettingsRules(Rules):
    """All of them, or none where the model has no boosters."""

    learning_rate: Fraction = optional_key()
    max_leaves: Annotated[int, Field(ge=2, le=4096)] = optional_key()
    min_child_weight: Annotated[float, Field(ge=0, le=1e9)] = optional_key()
    reg_lambda: Annotated[float, Field(ge=0, le=1e9)] = optional_key()
    subsample: Fraction = optional_key()
    colsample_bytree: Fraction = optional_key()

    @model_validator(mode="after")
    def _check_keys(self) -> BoosterSettingsRules:
        if 0 < len(self.model_fields_set) < len(type(self).model_fields):
            raise ValueError("some settings of the boosters without the others")
        return self


class OwnPartRules(Rules):
    """One of a business's own estimators: plain parameters alone go back to it in the gate."""

    name: Text
    params: dict[str, bool | int | float | Text | None]
    loss: float
    weight: Share
    not_servable: str | None
    file_digest: str
    trials: Count
    trials_wanted: Count


class ModelSpecRules(Rules):
    """What a search chose. The gate fits it again, so nothing else may reach the libraries."""

    strength: Positive
    settings: BoosterSettingsRules
    rounds: Annotated[int, Field(ge=0, le=100_000)]
    weight: Share
    losses: dict[str, float]
    folds: str
    directions: dict[str, Annotated[int, Field(ge=-1, le=1)]]
    model: Text
    columns: list[str]
    trials_done: Count
    trials_wanted: Count
    own: list[OwnPartRules] = optional_key()

    @model_validator(mode="after")
    def _check_boosters(self) -> ModelSpecRules:
        if self.weight > 0 and not (self.rounds and self.settings.model_fields_set):
            raise ValueError("boosters without rounds or settings")
        return self


class RecommendationRules(Rules):
    population: Literal["everyone", "eligible"]
    recommended: Text
    verdict: Text


class DifferenceRules(Rules):
    """Figures of both models; the difference is null where they cannot be compared."""

    challenger: float
    champion: float
    difference: float | None
    low: float | None
    high: float | None


class LossRules(DifferenceRules):
    difference: float
    low: float
    high: float


class CalibrationErrorRules(Rules):
    challenger: Share
    champion: Share
    floor: Share


class PopulationFigureRules(Rules):
    rows: Count
    customers: Count
    log_loss: LossRules | None
    ece: CalibrationErrorRules | None


class PopulationsRules(Rules):
    everyone: PopulationFigureRules
    eligible: PopulationFigureRules


class WorstSliceRules(Rules):
    dimension: str
    name: str
    rows: Count
    compared: Count
    difference: float
    low: float
    high: float


class GateRules(Rules):
    """The comparison with the served release. Its figures come together, or none is there."""

    champion: Id | None
    verdict: Literal["passes", "refused", "not judged"]
    why: list[str]
    own: list[str] = optional_key()
    champion_scored: str = optional_key()
    as_of: list[str] = optional_key()
    population: Literal["everyone", "eligible"] | None = None
    populations: PopulationsRules = optional_key()
    worst_slice: WorstSliceRules | None = None
    same_top_reason: Share | None = None
    next_stage: DifferenceRules = optional_key()

    @model_validator(mode="after")
    def _check_figures(self) -> GateRules:
        figures = {"champion_scored", "as_of", "population", "populations"}
        present = figures & self.model_fields_set
        if present not in (set(), figures) or (present and self.champion is None):
            raise ValueError("figures of a comparison that is not whole")
        if self.verdict == "refused" and not self.why:
            raise ValueError("a refusal without its reason")
        own = self.own if "own" in self.model_fields_set else []
        if own and (self.verdict != "refused" or not set(own) <= set(self.why)):
            raise ValueError("an objection that refuses nothing")
        return self


class LargestMovementRules(Rules):
    """Null where no two dates have the figure."""

    mean_p: Share | None
    stage_shares: Share | None
    eligible: Share | None


class NewestDateRules(Rules):
    """What the newest training date was like; shares by stage, in the order of the stages."""

    as_of: Instant
    mean_p: Share | None
    shares: Annotated[list[Share], Field(min_length=len(STAGES), max_length=len(STAGES))]
    eligible: Count


class MovementRules(Rules):
    """How far neighbouring training dates lie apart: what a run's movement is judged by."""

    dates: Count
    days: Positive | None
    largest: LargestMovementRules
    newest: NewestDateRules = optional_key()


class AmountSpecRules(Rules):
    """What the search of an amount chose."""

    objective: Text
    settings: BoosterSettingsRules
    rounds: Annotated[int, Field(ge=1, le=100_000)]
    weight: Share
    strength: Positive
    quantile_rounds: Annotated[int, Field(ge=1, le=100_000)]
    losses: dict[str, float]
    folds: str


class TargetReportRules(Rules):
    """The section of one target; its figures have the rules of every figure."""

    model_config = ConfigDict(extra="allow")

    status: Status | Literal["leak_suspected"]
    population: Literal["everyone", "eligible"]
    horizon_days: Days
    kind: Literal["label", "amount"] = optional_key()
    why: str = optional_key()
    model: ModelSpecRules | AmountSpecRules = optional_key()
    figures: dict[Literal["everyone", "eligible"], dict[str, Any]] = optional_key()


class EvaluationFile(Rules):
    """evaluation.json: what code reads of it has its type; further figures may stand there.

    A figure that is a share by its name lies from 0 to 1, wherever it stands.
    """

    model_config = ConfigDict(extra="allow")

    status: Status = optional_key()
    horizon_days: Days = optional_key()
    features: Count = optional_key()
    as_of: dict[Literal["train", "evaluate", "refit"], list[str]] = optional_key()
    models: dict[Literal["churn", "next-stage"], ModelSpecRules | Literal["frequencies"]] = (
        optional_key()
    )
    recommendation: dict[Literal["churn", "next_stage"], RecommendationRules | None] = (
        optional_key()
    )
    gate: GateRules = optional_key()
    movement: MovementRules = optional_key()
    churn: dict[Literal["everyone", "eligible"], dict[str, Any]] = optional_key()
    next_stage: dict[Literal["everyone", "eligible"], dict[str, Any]] = optional_key()
    calibration: dict[str, str] = optional_key()
    targets: dict[str, TargetReportRules] = optional_key()
    unused_features: list[str] = optional_key()
    sensitive_left_out: list[str] = optional_key()
    late_activity: Count = optional_key()
    train_rows: Count = optional_key()
    note: str = optional_key()
    notes: list[str] = optional_key()

    @model_validator(mode="before")
    @classmethod
    def _check_figures(cls, value: Any) -> Any:
        check_figures(value)
        return value


SHARES = (
    "accuracy",
    "auroc",
    "auroc_high",
    "auroc_low",
    "average_precision",
    "brier",
    "coverage",
    "ece",
    "false_positive_rate",
    "precision",
    "rate",
    "recall",
    "true_positive_rate",
)
NOT_NEGATIVE = ("log_loss", "base_rate_log_loss", "rows", "customers", "groups", "changed")


def check_figures(value: Any) -> None:
    """ValueError where a figure anywhere in `value` is outside the range that its name says."""
    if isinstance(value, list):
        for inner in value:
            check_figures(inner)
    elif isinstance(value, dict):
        for name, inner in value.items():
            is_figure = isinstance(inner, int | float)
            if is_figure and (name in SHARES or name in NOT_NEGATIVE) and inner < 0:
                raise ValueError("a negative figure")
            if is_figure and name in SHARES and inner > 1:
                raise ValueError("a share above 1")
            check_figures(inner)
