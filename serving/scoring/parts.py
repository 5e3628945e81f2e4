"""The parts of a score, as plain data: linear parts, boosters, rates, and their blend.

A linear part adds its columns one after the other (the order of a running sum is defined), so one
row and a thousand rows give the same bits; a matrix product would not. Training uses these same
functions to fit; nothing here knows how a part was fitted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa

from features.recipes.stages import STAGES
from serving.scoring.cannot_churn import CannotChurn
from serving.scoring.cells import CellMargins
from serving.scoring.rates import Rates

BLOCK_ROWS = 512  # their terms fit the processor's cache
EDGE = 1e-6  # a probability of a forest or of a business's own estimator is no nearer to 0 and 1


def design_matrix(rows: pa.Table, columns: tuple[str, ...]) -> np.ndarray:
    """The model's input, float64 (rows, columns + 14).

    The features (NaN where null), then `stage` and `stage_if_inactive` one-hot.
    """
    matrix = np.empty((rows.num_rows, len(columns) + 2 * len(STAGES)))
    if rows.num_rows:
        # In one call: column by column, a single row would cost a hundred look-ups.
        features = rows.select(columns).combine_chunks().to_batches()[0]
        matrix[:, : len(columns)] = features.to_tensor(null_to_nan=True)
    for block, name in enumerate(("stage", "stage_if_inactive")):
        stage = rows[name].to_numpy()
        for position, value in enumerate(STAGES):
            matrix[:, len(columns) + block * len(STAGES) + position] = stage == value
    return matrix


def design_names(columns: tuple[str, ...]) -> tuple[str, ...]:
    """The names of the design matrix's columns, in order."""
    return (*columns, *(f"stage={s}" for s in STAGES), *(f"stage_if_inactive={s}" for s in STAGES))


def signed_log1p(matrix: np.ndarray) -> np.ndarray:
    """sign(x)·log1p(|x|): shortens the long right tail of counts, money and days."""
    return np.sign(matrix) * np.log1p(np.abs(matrix))


@dataclass(frozen=True)
class Linear:
    """Margins of k outputs: intercept + Σ weight·z; where null, z is 0 and `missing` is added.

    z = (signed_log1p(feature) − mean) / scale. mean, scale, low, high: (columns,); weights,
    missing: (k, columns); intercept: (k,). Values are clipped to `low` … `high`, the range seen in
    training. Without `log` the features are taken as they are, and no probability is nearer than
    EDGE to 0 and 1: such a margin can be as large as a value.
    """

    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    missing: np.ndarray
    intercept: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    log: bool = True

    def standardise(self, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(z float64, null bool), each (rows, columns)."""
        null, values = np.isnan(matrix), signed_log1p(matrix) if self.log else matrix
        if self.low is not None:
            values = np.clip(values, self.low, self.high)
        z = (values - self.mean) / self.scale
        return np.where(null, 0.0, z), null

    def margins(self, matrix: np.ndarray) -> np.ndarray:
        """Each row's margins, float64 (rows, k)."""
        result = np.empty((len(matrix), len(self.intercept)))
        for start in range(0, len(matrix), BLOCK_ROWS):
            block = matrix[start : start + BLOCK_ROWS]
            z, null = (values.T.copy() for values in self.standardise(block))
            terms = np.empty((z.shape[0] + 1, z.shape[1]))
            for k in range(len(self.intercept)):
                terms[0] = self.intercept[k]
                terms[1:] = self.weights[k][:, None] * z + self.missing[k][:, None] * null
                result[start : start + BLOCK_ROWS, k] = np.add.accumulate(terms, axis=0)[-1]
        if self.log:
            return result
        most = log_odds(np.array(1 - EDGE))
        return np.clip(result, -most, most)

    def contributions(self, matrix: np.ndarray) -> np.ndarray:
        """Of a single-output part: (rows, columns) whose row sum is margin − intercept."""
        z, null = self.standardise(matrix)
        return self.weights[0] * z + self.missing[0] * null

    def to_mapping(self) -> dict[str, Any]:
        """JSON-ready data for `from_mapping`, without what is as by default."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        arrays = {name: value.tolist() for name, value in values.items() if np.ndim(value)}
        return arrays if self.log else arrays | {"log": False}

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Linear:
        """The inverse of `to_mapping`. ValueError or TypeError for anything else."""
        arrays = {key: np.asarray(value, np.float64) for key, value in mapping.items()}
        log = arrays.pop("log", None)
        return cls(**arrays, log=log is None or bool(log))


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
        """Each row's margins, float64 (rows, k)."""
        if not len(matrix):  # no row, but as many outputs as for one
            return self.margins(np.zeros((1, len(self.names))))[:0]
        # In place: for one row, building XGBoost's own matrix costs more than the trees do. The
        # names were checked when the booster was read.
        margins = self.booster.inplace_predict(
            matrix.astype(np.float32), predict_type="margin", validate_features=False
        )
        return margins.astype(np.float64).reshape(len(matrix), -1)

    def contributions(self, matrix: np.ndarray) -> np.ndarray:
        """Exact TreeSHAP values of a single-output booster, (rows, columns): sum margin − bias."""
        if not len(matrix):
            return np.zeros((0, len(self.names)))
        import xgboost

        rows = xgboost.DMatrix(matrix.astype(np.float32), feature_names=list(self.names), nthread=1)
        return self.booster.predict(rows, pred_contribs=True).astype(np.float64)[:, :-1]


class Forest(Boosted):
    """A forest read from bytes (UBJ): the sum of its trees is a probability, served as log-odds."""

    def margins(self, matrix: np.ndarray) -> np.ndarray:
        """Each row's log-odds, float64 (rows, 1), of a probability at least EDGE from 0 and 1."""
        return log_odds(np.clip(super().margins(matrix), EDGE, 1 - EDGE))

    def contributions(self, matrix: np.ndarray) -> np.ndarray:
        """(rows, columns): contributions to the probability, stretched so that they sum to the
        row's log-odds less those of the mean.
        """
        shares = super().contributions(matrix)
        p = np.clip(super().margins(matrix)[:, 0], EDGE, 1 - EDGE)
        mean = np.clip(p - shares.sum(axis=1), EDGE, 1 - EDGE)
        near = np.abs(p - mean) < EDGE  # there the stretch is the slope of the log-odds
        safe = np.where(near, 1.0, p - mean)
        slope = np.where(near, 1 / (p * (1 - p)), (log_odds(p) - log_odds(mean)) / safe)
        return shares * slope[:, None]


@dataclass(frozen=True)
class Rate:
    """The same margins for every row: a base rate, or the frequencies of the stages."""

    margin: tuple[float, ...]

    def margins(self, matrix: np.ndarray) -> np.ndarray:
        """The margins repeated, float64 (rows, k)."""
        return np.tile(np.asarray(self.margin), (len(matrix), 1))

    def contributions(self, matrix: np.ndarray) -> np.ndarray:
        """Zeros, float64 (rows, columns)."""
        return np.zeros(matrix.shape)


Part = Linear | Boosted | Rate | Rates | CellMargins | CannotChurn


@dataclass(frozen=True)
class Blend:
    """A weighted sum of margins: log-odds for churn, log-probabilities for the next stage.

    Log-probabilities are blended up to a constant per row, which the softmax removes.
    """

    parts: tuple[tuple[float, Part], ...]

    def margins(self, matrix: np.ndarray) -> np.ndarray:
        """The blended margins, float64 (rows, k). ValueError for a blend without parts."""
        total: np.ndarray | None = None
        for weight, part in self.parts:
            margins = part.margins(matrix)
            # Log-probabilities blend only on one scale, so each part is normalised first.
            term = weight * (margins if margins.shape[1] == 1 else log_softmax(margins))
            total = term if total is None else total + term
        if total is None:
            raise ValueError("a blend has at least one part")
        return total

    def contributions(self, matrix: np.ndarray) -> np.ndarray:
        """The weighted contributions of the parts, float64 (rows, columns)."""
        total = np.zeros(matrix.shape)
        for weight, part in self.parts:
            total = total + weight * part.contributions(matrix)
        return total


def log_softmax(margins: np.ndarray) -> np.ndarray:
    """Log-probabilities of each row, (rows, k); the columns are added in order."""
    shifted = margins - margins.max(axis=1, keepdims=True)
    total = np.zeros((len(margins), 1))
    for k in range(margins.shape[1]):
        total[:, 0] += np.exp(shifted[:, k])
    return shifted - np.log(total)


def sigmoid(margin: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(−margin))."""
    return 1.0 / (1.0 + np.exp(-margin))


def log_odds(p: np.ndarray) -> np.ndarray:
    """ln(p / (1 − p))."""
    return np.log(p) - np.log1p(-p)
