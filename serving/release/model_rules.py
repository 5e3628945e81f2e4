"""The rules of models.json: what a part, a blend, a calibration and the uncertainty may hold.

All shapes follow from two numbers: the columns of the design matrix and the outputs of the blend.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isclose
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from features.recipes.stages import STAGES
from serving.release.file_rules import (
    Count,
    Numbers,
    Positive,
    Rules,
    Share,
    Stage,
    check_rising,
    check_unique,
    optional_key,
)
from serving.scoring.evidence import GRADES
from serving.scoring.parts import design_names

Weight = Annotated[float, Field(gt=0, le=1)]
Position = Annotated[int, Field(ge=0)]
OfStages = Field(min_length=len(STAGES), max_length=len(STAGES))
OfGrades = Field(min_length=len(GRADES), max_length=len(GRADES))


@dataclass(frozen=True)
class Shape:
    """`features`: columns of the release; `columns`: of its design matrix; `outputs`: of a blend.

    One class of the next stage has one output or two.
    """

    features: int
    columns: int
    outputs: frozenset[int]


def _check_shape(values: object, *shape: int | None) -> None:
    """ValueError unless nested lists have this shape; None stands for any length but 0."""
    try:
        actual = np.shape(np.asarray(values, dtype=np.float64))
    except ValueError:
        actual = ()
    fits = len(actual) == len(shape) and all(
        length == expected or (expected is None and length)
        for length, expected in zip(actual, shape, strict=True)
    )
    if not fits:
        raise ValueError("another number of values than columns and outputs need")


def _check_outputs(count: int, shape: Shape) -> None:
    if count not in shape.outputs:
        raise ValueError("another number of outputs than classes")


def _check_positions(positions: Sequence[int], limit: int) -> None:
    check_unique(positions)
    if max(positions, default=-1) >= limit:
        raise ValueError("a position beyond the columns")


class LinearRules(Rules):
    kind: Literal["linear"]
    weight: Weight
    mean: Numbers
    scale: list[Positive]
    weights: list[Numbers]
    missing: list[Numbers]
    intercept: Numbers
    low: Numbers = optional_key()
    high: Numbers = optional_key()
    log: Literal[False] = optional_key()

    def check(self, shape: Shape) -> None:
        outputs = len(self.intercept)
        _check_outputs(outputs, shape)
        for values in (self.mean, self.scale):
            _check_shape(values, shape.columns)
        for weights in (self.weights, self.missing):
            _check_shape(weights, outputs, shape.columns)
        limits = {"low", "high"} & self.model_fields_set
        if len(limits) == 1:
            raise ValueError("low and high belong together")
        if limits:
            for values in (self.low, self.high):
                _check_shape(values, shape.columns)
            if np.any(np.asarray(self.low) > np.asarray(self.high)):
                raise ValueError("low above high")


class BoostedRules(Rules):
    kind: Literal["boosted", "forest"]
    weight: Weight
    file: str

    def check(self, shape: Shape) -> None:
        """The booster's outputs are checked where it is read."""


class RateRules(Rules):
    kind: Literal["rate"]
    weight: Weight
    margin: Numbers

    def check(self, shape: Shape) -> None:
        _check_outputs(len(self.margin), shape)


Counts = Annotated[list[Count | float], Field(min_length=2, max_length=2)]


class RatesRules(Rules):
    kind: Literal["rates"]
    weight: Weight
    everyone: Annotated[float, Field(gt=0, lt=1)]
    segment: list[Counts]
    eligibility: Annotated[list[Counts], Field(min_length=2, max_length=2)]
    stage: Annotated[list[Counts], Field(min_length=2 * len(STAGES), max_length=2 * len(STAGES))]
    segment_columns: list[Position]
    eligible_column: Position | None
    eligible_most: float
    stage_start: Position
    own_past_columns: list[Position]
    prior_strength: Annotated[list[Positive], Field(min_length=4, max_length=4)]

    def check(self, shape: Shape) -> None:
        _check_outputs(1, shape)
        for left, rows in [*self.segment, *self.eligibility, *self.stage]:
            if not 0 <= left <= rows:
                raise ValueError("more customers left than there were")
        if self.stage_start != shape.features or len(self.own_past_columns) not in (0, 2):
            raise ValueError("other columns than those of the stages and the own past")
        if len(self.segment_columns) != len(self.segment):
            raise ValueError("another number of segments than columns")
        eligible = [] if self.eligible_column is None else [self.eligible_column]
        for positions in (self.segment_columns, eligible, self.own_past_columns):
            _check_positions(positions, shape.features)


class CellMarginsRules(Rules):
    kind: Literal["cell_margins"]
    weight: Weight
    stage_start: Position
    count_column: Annotated[int, Field(ge=-1)]
    margin: list[list[Numbers]]

    def check(self, shape: Shape) -> None:
        if self.stage_start != shape.features or self.count_column >= shape.features:
            raise ValueError("other columns than those of the stages and the activities")
        outputs = len(self.margin[0][0]) if self.margin and self.margin[0] else 0
        _check_outputs(outputs, shape)
        _check_shape(self.margin, len(STAGES), None, outputs)


class CannotChurnRules(Rules):
    kind: Literal["cannot_churn"]
    weight: Annotated[float, Field(ge=1, le=1)]
    positions: Annotated[list[Position], Field(min_length=2, max_length=2)]
    kinds: Annotated[list[Literal["cancellation", "nothing"]], Field(min_length=1)]

    def check(self, shape: Shape) -> None:
        _check_outputs(1, shape)
        _check_positions(self.positions, shape.features)
        check_unique(self.kinds)


PartRules = Annotated[
    LinearRules | BoostedRules | RateRules | RatesRules | CellMarginsRules | CannotChurnRules,
    Field(discriminator="kind"),
]


class CalibrationRules(Rules):
    """The types alone: that it rises is the rule of `Calibration`."""

    kind: Literal["none", "platt", "beta", "isotonic"]
    low: Positive
    high: Positive
    shift: float
    knots: Numbers
    heights: Numbers
    note: str


Span = Annotated[list[float], Field(min_length=2, max_length=2)]


class ReasonReferenceRules(Rules):
    typical: Numbers
    direction: Numbers
    mean_contribution: Numbers
    usual: list[list[float | None]]
    widespread: list[list[Span | None]]
    last_families: list[str]

    def check(self, shape: Shape) -> None:
        for values in (self.typical, self.direction, self.mean_contribution):
            _check_shape(values, shape.features)
        for rows in (self.usual, self.widespread):
            if rows and len(rows) != len(STAGES):
                raise ValueError("another number of rows than stages")
            if any(len(values) != shape.features for values in rows):
                raise ValueError("another number of values than columns")
        for span in (span for spans in self.widespread for span in spans if span is not None):
            check_rising(span, by=0)
        check_unique(self.last_families)


class PredictionSetsRules(Rules):
    eligible: list[Share] = OfStages
    others: list[Share] = OfStages
    level: Annotated[float, Field(gt=0, lt=1)]
    pooled: list[Stage]
    note: str


class RateSpreadRules(Rules):
    standard_deviations: list[Annotated[float, Field(ge=0)]] = OfGrades
    note: str

    @model_validator(mode="after")
    def _check_order(self) -> RateSpreadRules:
        check_rising(self.standard_deviations[::-1])
        return self


class ModelsFile(Rules):
    """models.json: both blends, and all that belongs to them."""

    churn: Annotated[list[PartRules], Field(min_length=1)]
    next_stage: Annotated[list[PartRules], Field(min_length=1)]
    calibration: CalibrationRules
    classes: Annotated[list[Stage], Field(min_length=1)]
    columns: list[str]
    churn_rows: Count
    stay_rows: Count
    status: Literal["ok", "no_skill", "not_enough_data"]
    reason_reference: ReasonReferenceRules | None
    prediction_sets: PredictionSetsRules | None
    rate_spread: RateSpreadRules | None

    @model_validator(mode="after")
    def _check_shapes(self) -> ModelsFile:
        check_unique(self.columns)
        check_rising([STAGES.index(stage) for stage in self.classes], by=1)
        count = len(self.classes)
        features, columns = len(self.columns), len(design_names(tuple(self.columns)))
        churn = Shape(features, columns, frozenset({1}))
        stages = Shape(features, columns, frozenset({count} if count > 1 else {1, 2}))
        check_blend(self.churn, "churn", churn)
        check_blend(self.next_stage, "next_stage", stages)
        if self.reason_reference:
            self.reason_reference.check(churn)
        return self

    def booster_files(self) -> set[str]:
        """The names of the files that the parts are in."""
        parts = [*self.churn, *self.next_stage]
        return {part.file for part in parts if isinstance(part, BoostedRules)}


def check_blend(parts: Sequence[PartRules], name: str, shape: Shape) -> None:
    """ValueError unless every part fits the shape and their weights are those of a blend.

    `name`: that of the blend, which the files of its boosters begin with.
    """
    for number, part in enumerate(parts):
        part.check(shape)
        if isinstance(part, BoostedRules) and part.file != f"{name}-{number}.ubj":
            raise ValueError("a booster's file is named by its blend and its place")
    blended = [part for part in parts if not isinstance(part, CannotChurnRules)]
    if len(parts) - len(blended) > 1 or not _sum_to_one(part.weight for part in blended):
        raise ValueError("the weights of a blend sum to 1")


def _sum_to_one(weights: Iterable[float]) -> bool:
    return isclose(sum(weights), 1.0, abs_tol=1e-9)
