"""The lifetime value of a release folder: value.json with its rules, and back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from features.core.config_schema import Days
from features.core.settings import Settings
from serving.release.file_rules import (
    Count,
    Numbers,
    Positive,
    Rules,
    broken_file,
    check_rising,
    check_rules,
)
from serving.release.json_files import read_json, write_json
from serving.scoring.cover_money import CoverMoney
from serving.scoring.curve import Curve
from serving.scoring.lifetime_value import (
    LifetimeValue,
    MoneyModel,
    MoneySpread,
    ValueTerms,
    spread_shape,
)
from serving.scoring.spending import PurchaseModels, Spending

FILE = "value.json"
INPUTS = 7
NotNegative = Annotated[float, Field(ge=0)]
Inputs = Annotated[Numbers, Field(min_length=INPUTS, max_length=INPUTS)]


class TermsRules(Rules):
    days: Days
    margin: Annotated[float, Field(gt=0, le=1)] | Literal["column"]
    annual_discount: Annotated[float, Field(ge=0, le=10)]
    learned_days: Days
    learned_twice: bool
    months: Annotated[list[Annotated[int, Field(ge=1, le=12)]], Field(min_length=1, max_length=12)]

    @model_validator(mode="after")
    def _check_months(self) -> TermsRules:
        check_rising(self.months, by=1)
        return self


class PurchaseRules(Rules):
    r: Positive
    alpha: Positive
    a: Positive
    b: Positive
    money_p: Positive
    money_q: Annotated[float, Field(gt=1)]
    money_v: NotNegative
    margin_share: Positive = 1.0  # releases of before the column of margins have none


class SpendingRules(Rules):
    models: PurchaseRules
    horizon: Days
    mean: Inputs
    scale: Annotated[list[Positive], Field(min_length=INPUTS, max_length=INPUTS)]
    low: Inputs
    high: Inputs
    weights: Inputs
    intercept: float
    later_share: NotNegative
    reads_refunds: bool

    @model_validator(mode="after")
    def _check_range(self) -> SpendingRules:
        if any(low > high for low, high in zip(self.low, self.high, strict=True)):
            raise ValueError("a range that ends before it begins")
        return self


class CoverRules(Rules):
    horizons: Annotated[list[Days], Field(min_length=1, max_length=13)]
    horizon: Days
    level: Positive
    level_gone: Positive
    usual_price: NotNegative
    highest_price: NotNegative


class SpreadRules(Rules):
    low: list[list[NotNegative]]
    high: list[list[NotNegative]]
    rows: list[list[Count]]

    @model_validator(mode="after")
    def _check_shape(self) -> SpreadRules:
        for each in (self.low, self.high, self.rows):
            if np.shape(each) != spread_shape():
                raise ValueError("another number of groups")
        if (np.asarray(self.low) > np.asarray(self.high)).any():
            raise ValueError("a range that ends before it begins")
        return self


class ValueFile(Rules):
    """value.json; null in a release without a value."""

    terms: TermsRules
    spending: SpendingRules | None
    cover: CoverRules | None
    spread: SpreadRules

    @model_validator(mode="after")
    def _check_model(self) -> ValueFile:
        if (self.spending is None) == (self.cover is None):
            raise ValueError("no model of money, or two")
        return self


def write_value(value: LifetimeValue | None, folder: Path) -> None:
    """Write value.json."""
    write_json(folder / FILE, {"value": value and _to_mapping(value)})


def _to_mapping(value: LifetimeValue) -> dict[str, Any]:
    model = value.model
    return {
        "terms": {**vars(value.terms), "months": list(value.terms.months)},
        "spending": _spending_mapping(model) if isinstance(model, Spending) else None,
        "cover": _cover_mapping(model) if isinstance(model, CoverMoney) else None,
        "spread": {name: getattr(value.spread, name).tolist() for name in ("low", "high", "rows")},
    }


def _spending_mapping(model: Spending) -> dict[str, Any]:
    arrays = ("mean", "scale", "low", "high", "weights")
    return {
        "models": vars(model.models).copy(),
        "horizon": model.horizon,
        **{name: getattr(model, name).tolist() for name in arrays},
        "intercept": model.intercept,
        "later_share": model.later_share,
        "reads_refunds": model.reads_refunds,
    }


def _cover_mapping(model: CoverMoney) -> dict[str, Any]:
    return {
        "horizons": list(model.horizons),
        "horizon": model.horizon,
        "level": model.level,
        "level_gone": model.level_gone,
        "usual_price": model.usual_price,
        "highest_price": model.highest_price,
    }


def read_value(
    folder: Path,
    name: str,
    settings: Settings,
    columns: tuple[str, ...],
    curve: Curve | None,
) -> LifetimeValue | None:
    """The inverse of `write_value`, for the release `name`.

    `columns`: that the release builds. ReleaseRefused where the file breaks its rules, or
    contradicts the configuration or the curve.
    """
    content = read_json(folder / FILE, name)
    if set(content) != {"value"}:
        raise broken_file(name, f"{FILE}: other keys")
    if content["value"] is None:
        return None
    check_rules(ValueFile, content["value"], file=FILE, name=name)
    value = _from_mapping(content["value"], curve, name)
    section = settings.value
    expected = (section.days, section.margin, section.annual_discount, settings.contractual)
    terms, contractual = value.terms, isinstance(value.model, CoverMoney)
    if (terms.days, terms.margin, terms.annual_discount, contractual) != expected:
        raise broken_file(name, f"{FILE}: a value that contradicts the configuration")
    if not set(value.columns) <= set(columns):
        raise broken_file(name, f"{FILE}: a column that the release does not build")
    return value


def _from_mapping(mapping: Mapping[str, Any], curve: Curve | None, name: str) -> LifetimeValue:
    terms = ValueTerms(**{**mapping["terms"], "months": tuple(mapping["terms"]["months"])})
    model = _read_model(mapping)
    horizons = curve.horizons if curve else ()
    if curve is None or terms.learned_days not in horizons or model.horizon != curve.horizon:
        raise broken_file(name, f"{FILE}: a value that contradicts the curve")
    if isinstance(model, CoverMoney) and model.horizons != horizons:
        raise broken_file(name, f"{FILE}: a value that contradicts the curve")
    spread = mapping["spread"]
    return LifetimeValue(
        terms,
        model,
        MoneySpread(
            np.asarray(spread["low"], float),
            np.asarray(spread["high"], float),
            np.asarray(spread["rows"], int),
        ),
        horizons.index(terms.learned_days),
    )


def _read_model(mapping: Mapping[str, Any]) -> MoneyModel:
    if mapping["cover"]:
        cover = mapping["cover"]
        return CoverMoney(**{**cover, "horizons": tuple(cover["horizons"])})
    spending = dict(mapping["spending"])
    models = PurchaseModels(**spending.pop("models"))
    for key in ("mean", "scale", "low", "high", "weights"):
        spending[key] = np.asarray(spending[key], float)
    return Spending(models=models, **spending)
