"""A linear classifier, with the imputer and the scaler before it, as a part of a score."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from serving.scoring.parts import Linear
from training.models.estimators.not_servable import NotServable


@dataclass(frozen=True)
class Preparation:
    """What a pipeline does with each column before its classifier: z = (x − mean) / scale.

    `fill`: what stands for a null, in units of z; NaN where nothing does. Each (columns,).
    """

    mean: np.ndarray
    scale: np.ndarray
    fill: np.ndarray

    @property
    def scales(self) -> bool:
        return bool((self.mean != 0).any() or (self.scale != 1).any())


def no_preparation(columns: int) -> Preparation:
    return Preparation(np.zeros(columns), np.ones(columns), np.full(columns, np.nan))


def after_step(before: Preparation, step: Any) -> Preparation:
    """The preparation with one more step of a pipeline. NotServable for an unknown step."""
    if step in (None, "passthrough"):
        return before
    kind = type(step).__name__
    if kind == "SimpleImputer":
        if step.add_indicator or len(step.statistics_) != len(before.mean):
            raise NotServable("its imputer adds or drops columns")
        filled = np.where(np.isnan(before.fill), step.statistics_, before.fill)
        return replace(before, fill=filled)
    if kind == "StandardScaler":
        # Without centring scikit-learn computes the means all the same.
        mean = step.mean_ if step.with_mean else np.zeros(len(before.mean))
        scale = step.scale_ if step.scale_ is not None else np.ones(len(before.mean))
        return Preparation(
            before.mean + before.scale * mean, before.scale * scale, (before.fill - mean) / scale
        )
    raise NotServable(f"its step {kind} cannot be exported; SimpleImputer and StandardScaler can")


def linear_part(model: Any, prepared: Preparation) -> Linear:
    """The margins of a fitted linear classifier of two classes on prepared columns."""
    weights = np.asarray(model.coef_, dtype=np.float64).reshape(1, -1)
    return Linear(
        prepared.mean,
        prepared.scale,
        weights,
        weights * np.nan_to_num(prepared.fill),
        np.asarray(model.intercept_, dtype=np.float64).reshape(1),
        log=False,
    )
