"""The model.json of an amount among a release's targets, with its boosters, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from serving.release.blend_files import read_blend, write_blend
from serving.release.file_rules import (
    Count,
    Positive,
    Rules,
    Text,
    broken_file,
    check_unique,
)
from serving.release.model_rules import PartRules, Shape, check_blend
from serving.scoring.amounts import QUANTILES, AmountModel, AmountScale, MeanModel, QuantileModel
from serving.scoring.parts import Blend, Part, design_names

MEAN, QUANTILE = "mean", "quantiles"
NEITHER = ("not_enough_data", "leak_suspected")


class ScaleRules(Rules):
    unit: Positive
    low: float
    high: float
    least: Annotated[float, Field(ge=0)]

    @model_validator(mode="after")
    def _check_order(self) -> ScaleRules:
        if self.low > self.high:
            raise ValueError("low above high")
        return self


class MeanRules(Rules):
    blend: Annotated[list[PartRules], Field(min_length=1)]
    link: Literal["identity", "log", "signed_log"]
    factor: Positive
    shift: float


class QuantileRules(Rules):
    part: Annotated[list[PartRules], Field(min_length=1, max_length=1)]
    moves: Annotated[list[float], Field(min_length=len(QUANTILES), max_length=len(QUANTILES))]


class AmountFile(Rules):
    """Without enough data, or with a leak, there is no mean, no quantile and no scale."""

    name: Text
    population: Literal["eligible", "everyone"]
    status: Literal["ok", "no_skill", "not_enough_data", "leak_suspected"]
    columns: list[str]
    mean: MeanRules | None
    quantile: QuantileRules | None
    scale: ScaleRules | None
    rows: Count

    @model_validator(mode="after")
    def _check_shapes(self) -> AmountFile:
        check_unique(self.columns)
        nothing = self.status in NEITHER
        if any((each is None) != nothing for each in (self.mean, self.quantile, self.scale)):
            raise ValueError("a model with a status that has none, or the reverse")
        if nothing and self.columns:
            raise ValueError("columns without a model")
        if self.mean and self.quantile:
            features = len(self.columns)
            columns = len(design_names(tuple(self.columns)))
            check_blend(self.mean.blend, MEAN, Shape(features, columns, frozenset({1})))
            three = Shape(features, columns, frozenset({len(QUANTILES)}))
            check_blend(self.quantile.part, QUANTILE, three)
        return self

    def parts(self) -> list[PartRules]:
        """All parts, some of which are in files of their own; none without a model."""
        if self.mean is None or self.quantile is None:
            return []
        return [*self.mean.blend, *self.quantile.part]


def write_amount(model: AmountModel, place: Path) -> dict[str, Any]:
    """The JSON-ready content of model.json; boosters are written beside it."""
    mean, quantile = model.mean, model.quantile
    return {
        "name": model.name,
        "population": model.population,
        "status": model.status,
        "columns": list(model.columns),
        "mean": mean
        and {
            "blend": write_blend(mean.blend, MEAN, place),
            "link": mean.link,
            "factor": mean.factor,
            "shift": mean.shift,
        },
        "quantile": quantile
        and {
            "part": write_blend(Blend(((1.0, quantile.part),)), QUANTILE, place),
            "moves": list(quantile.moves),
        },
        "scale": model.scale and asdict(model.scale),
        "rows": model.rows,
    }


def read_amount(model: Mapping[str, Any], place: Path, name: str) -> AmountModel:
    """The inverse of `write_amount`, of a content that follows AmountFile.

    ReleaseRefused where a booster has other outputs. `name`: of the release.
    """
    columns = tuple(model["columns"])
    mean, quantile, scale = model["mean"], model["quantile"], model["scale"]
    if mean is not None:
        names = design_names(columns)
        blend = read_blend(mean["blend"], place, names)
        for _, part in blend.parts:
            _check_outputs(part, 1, len(names), name)
        mean = MeanModel(blend, mean["link"], mean["factor"], mean["shift"])
        [(_, part)] = read_blend(quantile["part"], place, names).parts
        _check_outputs(part, len(QUANTILES), len(names), name)
        low, middle, high = quantile["moves"]
        quantile = QuantileModel(part, (low, middle, high))
        scale = AmountScale(**scale)
    of = (model["name"], model["population"], model["status"])
    return AmountModel(*of, columns, mean, quantile, scale, model["rows"])


def _check_outputs(part: Part, outputs: int, columns: int, name: str) -> None:
    margins = part.margins(np.zeros((1, columns)))
    if margins.shape != (1, outputs) or not np.isfinite(margins).all():
        raise broken_file(name, "an amount's booster with other outputs")
