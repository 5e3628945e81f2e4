"""The curve of a release folder: curve.json with its rules, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from features.core.config_schema import Days
from features.core.settings import Settings
from serving.release.file_rules import (
    Count,
    Numbers,
    Positive,
    Rules,
    broken_file,
    check_rules,
    check_unique,
)
from serving.release.json_files import read_json, write_json
from serving.scoring.curve import Curve, Hazards
from serving.scoring.curve_inputs import (
    RHYTHM_COLUMNS,
    TERM_COLUMNS,
    count_inputs,
)

FILE = "curve.json"


class ScaleRules(Rules):
    mean: Numbers
    scale: list[Positive]
    low: Numbers
    high: Numbers

    def check_columns(self, columns: int) -> None:
        """ValueError unless there is one number for the risk and one for each column."""
        if {len(getattr(self, name)) for name in type(self).model_fields} != {1 + columns}:
            raise ValueError("another number of values than columns")
        if any(low > high for low, high in zip(self.low, self.high, strict=True)):
            raise ValueError("a range that ends before it begins")


class HazardsRules(Rules):
    columns: list[str]
    with_terms: bool
    scale: ScaleRules
    intercepts: Numbers
    weights: list[Numbers]
    rows: list[Count]

    @model_validator(mode="after")
    def _check_shapes(self) -> HazardsRules:
        check_unique(self.columns)
        if not set(self.columns) <= set(RHYTHM_COLUMNS):
            raise ValueError("a column that the curve does not read")
        self.scale.check_columns(len(self.columns))
        if len({len(self.intercepts), len(self.weights), len(self.rows)}) != 1:
            raise ValueError("another number of intervals")
        inputs = count_inputs(len(self.columns), with_terms=self.with_terms)
        if any(len(each) != inputs for each in self.weights):
            raise ValueError("another number of weights than inputs")
        return self


class CurveFile(Rules):
    """curve.json; null in a release without a curve."""

    horizons: Annotated[list[Days], Field(min_length=1, max_length=13)]
    horizon: Days
    waiting: HazardsRules
    covered: HazardsRules | None
    cancelled: HazardsRules | None

    @model_validator(mode="after")
    def _check_intervals(self) -> CurveFile:
        groups = [self.waiting, *([self.covered] if self.covered else [])]
        if any(len(group.rows) != len(self.horizons) for group in groups):
            raise ValueError("another number of intervals than horizons")
        if self.cancelled and len(self.cancelled.rows) != 1:
            raise ValueError("cancelled has one interval")
        return self


def write_curve(curve: Curve | None, folder: Path) -> None:
    """Write curve.json."""
    write_json(folder / FILE, {"curve": curve and curve.to_mapping()})


def read_curve(
    folder: Path, name: str, settings: Settings, columns: tuple[str, ...]
) -> Curve | None:
    """The inverse of `write_curve`, for the release `name`.

    `columns`: of the scorer, which the rows of every score have. ReleaseRefused where the file
    breaks its rules or contradicts the configuration.
    """
    content = read_json(folder / FILE, name)
    if set(content) != {"curve"}:
        raise broken_file(name, f"{FILE}: other keys")
    if content["curve"] is None:
        return None
    check_rules(CurveFile, content["curve"], file=FILE, name=name)
    curve = Curve.from_mapping(content["curve"])
    expected = (settings.curve_horizons, settings.churn.horizon_days, {settings.contractual})
    with_terms = {part is not None for part in (curve.covered, curve.cancelled)}
    if (curve.horizons, curve.horizon, with_terms) != expected:
        raise broken_file(name, f"{FILE}: a curve that contradicts the configuration")
    parts = [*curve.groups, *([curve.cancelled] if curve.cancelled else [])]
    if not all(_columns_read(part) <= set(columns) for part in parts):
        raise broken_file(name, f"{FILE}: a column that the release does not build")
    return curve


def _columns_read(hazards: Hazards) -> set[str]:
    return {*hazards.columns, *(TERM_COLUMNS if hazards.with_terms else ())}
