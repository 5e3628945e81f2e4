"""The parts a score is made of, as plain data: linear parts, boosters, rates, calibration.

A linear part adds its columns one after the other (a running sum is defined to), so one row and a thousand rows give
the same bits; a matrix product would not. Training fits through these same functions; nothing here knows how a part was found.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa

from features.recipes.stages import STAGES
from serving.scoring.cannot_churn import CannotChurn
from serving.scoring.cells import Cells
from serving.scoring.rates import Rates

BLOCK = 512  # rows whose terms fit the processor's cache


def design(rows: pa.Table, columns: tuple[str, ...]) -> np.ndarray:
    """The model's matrix, float64 (rows, columns + 14): features (NaN where null), then stage and s₀ one-hot."""
    out = np.empty((rows.num_rows, len(columns) + 2 * len(STAGES)))
    if rows.num_rows:
        # At once: one column after the other, a single row costs a hundred look-ups.
        features = rows.select(columns).combine_chunks().to_batches()[0]
        out[:, : len(columns)] = features.to_tensor(null_to_nan=True)
    for block, name in enumerate(("stage", "stage_if_inactive")):
        stage = rows[name].to_numpy()
        for at, value in enumerate(STAGES):
            out[:, len(columns) + block * len(STAGES) + at] = stage == value
    return out


def design_names(columns: tuple[str, ...]) -> tuple[str, ...]:
    return (*columns, *(f"stage={s}" for s in STAGES), *(f"stage_if_inactive={s}" for s in STAGES))


def logged(matrix: np.ndarray) -> np.ndarray:
    """sign(x)·log1p(|x|): counts, money and days all lose their long right tail."""
    return np.sign(matrix) * np.log1p(np.abs(matrix))


@dataclass(frozen=True)
class Linear:
    """Margins of k outputs: intercept + Σ weight·z, z = (log feature − mean) / spread, 0 and `missing` where null.

    mean, spread, low, high: (columns,); weights, missing: (k, columns); intercept: (k,). Beyond `low` and `high`, what
    it was fitted on, a straight line knows nothing: values there count as the nearest one it has seen.
    """

    mean: np.ndarray
    spread: np.ndarray
    weights: np.ndarray
    missing: np.ndarray
    intercept: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None

    def standard(self, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(z, null) of shape (rows, columns)."""
        null, values = np.isnan(matrix), logged(matrix)
        if self.low is not None:
            values = np.clip(values, self.low, self.high)
        z = (values - self.mean) / self.spread
        return np.where(null, 0.0, z), null

    def margins(self, matrix: np.ndarray) -> np.ndarray:
        out = np.empty((len(matrix), len(self.intercept)))
        for start in range(0, len(matrix), BLOCK):
            z, null = (part.T.copy() for part in self.standard(matrix[start : start + BLOCK]))
            terms = np.empty((z.shape[0] + 1, z.shape[1]))
            for k in range(len(self.intercept)):
                terms[0] = self.intercept[k]
                terms[1:] = self.weights[k][:, None] * z + self.missing[k][:, None] * null
                out[start : start + BLOCK, k] = np.add.accumulate(terms, axis=0)[-1]
        return out

    def contributions(self, matrix: np.ndarray) -> np.ndarray:
        """Of a single-output part: (rows, columns) that sum to margin − intercept."""
        z, null = self.standard(matrix)
        return self.weights[0] * z + self.missing[0] * null

    def to_mapping(self) -> dict[str, Any]:
        return {
            one.name: value.tolist()
            for one in fields(self)
            if (value := getattr(self, one.name)) is not None
        }

    @classmethod
    def from_mapping(cls, stated: dict[str, Any]) -> Linear:
        return cls(**{name: np.asarray(value, dtype=np.float64) for name, value in stated.items()})


class Boosted:
    """An XGBoost booster read from bytes (UBJ); margins before the link, float64."""

    def __init__(self, raw: bytes, names: tuple[str, ...]) -> None:
        import xgboost

        self.raw, self.names = raw, names
        self.booster = xgboost.Booster(params={"nthread": 1})
        self.booster.load_model(bytearray(raw))
        if tuple(self.booster.feature_names or ()) != names:
            raise ValueError("the booster's columns are not the release's columns, in order")

    def margins(self, matrix: np.ndarray) -> np.ndarray:
        if not len(matrix):  # of nobody, but as wide as of anybody
            return self.margins(np.zeros((1, len(self.names))))[:0]
        # In place: on one row, making XGBoost's own matrix costs more than the trees. Names were checked at loading.
        found = self.booster.inplace_predict(
            matrix.astype(np.float32), predict_type="margin", validate_features=False
        )
        return found.astype(np.float64).reshape(len(matrix), -1)

    def contributions(self, matrix: np.ndarray) -> np.ndarray:
        """Exact TreeSHAP values of a single-output booster: (rows, columns), summing to margin − bias."""
        if not len(matrix):
            return np.zeros((0, len(self.names)))
        import xgboost

        rows = xgboost.DMatrix(matrix.astype(np.float32), feature_names=list(self.names), nthread=1)
        return self.booster.predict(rows, pred_contribs=True).astype(np.float64)[:, :-1]


@dataclass(frozen=True)
class Rate:
    """The same margins for everybody: a base rate, or the stages' frequencies."""

    margin: tuple[float, ...]

    def margins(self, matrix: np.ndarray) -> np.ndarray:
        return np.tile(np.asarray(self.margin), (len(matrix), 1))

    def contributions(self, matrix: np.ndarray) -> np.ndarray:
        return np.zeros(matrix.shape)


Part = Linear | Boosted | Rate | Rates | Cells | CannotChurn


@dataclass(frozen=True)
class Blend:
    """A weighted sum of margins: of log-odds for churn, of log-probabilities (up to a constant) for stages."""

    parts: tuple[tuple[float, Part], ...]

    def margins(self, matrix: np.ndarray) -> np.ndarray:
        total = None
        for weight, part in self.parts:
            mine = part.margins(matrix)
            # Log-probabilities blend only on one scale: each part is normalised first.
            mine = weight * (mine if mine.shape[1] == 1 else log_softmax(mine))
            total = mine if total is None else total + mine
        return total

    def contributions(self, matrix: np.ndarray) -> np.ndarray:
        total = np.zeros(matrix.shape)
        for weight, part in self.parts:
            total = total + weight * part.contributions(matrix)
        return total


def log_softmax(margins: np.ndarray) -> np.ndarray:
    """Row-wise, the columns added in order."""
    top = margins.max(axis=1, keepdims=True)
    shifted = margins - top
    total = np.zeros((len(margins), 1))
    for at in range(margins.shape[1]):
        total[:, 0] += np.exp(shifted[:, at])
    return shifted - np.log(total)


def sigmoid(margin: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-margin))


def log_odds(p: np.ndarray) -> np.ndarray:
    return np.log(p) - np.log1p(-p)
