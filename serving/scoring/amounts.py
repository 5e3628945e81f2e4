"""The model of one amount of the business: from a feature row to its mean and three quantiles.

The mean is a blend of boosters, brought to the units of the amount by a link and corrected by one
number, so that predictions sum to what came. The quantiles are a booster with three outputs on
log amounts, moved by one number each, so that they cover as they say, and sorted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from serving.scoring.parts import Blend, Part, design_matrix, signed_log1p

QUANTILES = (0.1, 0.5, 0.9)
LINKS = ("identity", "log", "signed_log")
# Beyond it exp() is not finite; no amount that a contract can hold is so large.
LARGEST_EXPONENT = 60.0


@dataclass(frozen=True)
class AmountScale:
    """Units and bounds of an amount, as seen in training.

    `unit`: amounts are divided by it, above 0. `low`, `high`: the least and the largest amount (0
    is between them where somebody had none). `least`: the least distance of an amount from 0 but 0
    itself; what is predicted nearer to 0 is 0.
    """

    unit: float
    low: float
    high: float
    least: float

    def to_logs(self, amounts: np.ndarray) -> np.ndarray:
        """sign · log1p(|amount| / unit)."""
        return signed_log1p(amounts / self.unit)

    def from_logs(self, logs: np.ndarray) -> np.ndarray:
        """The inverse of `to_logs`, within `low` … `high`; 0 where nearer to 0 than `least`."""
        sizes = np.expm1(np.minimum(np.abs(logs), LARGEST_EXPONENT))
        amounts = np.clip(np.sign(logs) * sizes * self.unit, self.low, self.high)
        return np.where(np.abs(amounts) < self.least, 0.0, amounts)


def to_amounts(margin: np.ndarray, link: str, scale: AmountScale) -> np.ndarray:
    """Amounts (rows,) of margins under one of LINKS, within what training has seen."""
    sizes = np.minimum(np.abs(margin), LARGEST_EXPONENT)
    if link == "identity":
        units = margin
    elif link == "log":
        units = np.exp(np.clip(margin, -LARGEST_EXPONENT, LARGEST_EXPONENT))
    else:
        units = np.sign(margin) * np.expm1(sizes)
    return np.clip(units * scale.unit, scale.low, scale.high)


@dataclass(frozen=True)
class MeanModel:
    """`blend`: margins. `link`: from a margin to an amount in units. Then · `factor` + `shift`.

    One of the two is neutral: amounts that are never negative are corrected by a factor, others
    by a shift.
    """

    blend: Blend
    link: str
    factor: float = 1.0
    shift: float = 0.0

    def uncorrected(self, matrix: np.ndarray, scale: AmountScale) -> np.ndarray:
        """The amounts (rows,) before the correction of the level."""
        return to_amounts(self.blend.margins(matrix)[:, 0], self.link, scale)

    def corrected(self, amounts: np.ndarray, scale: AmountScale) -> np.ndarray:
        """`uncorrected` amounts (rows,) at the right level, never below 0 where no amount was."""
        amounts = amounts * self.factor + self.shift
        return np.maximum(amounts, 0.0) if scale.low >= 0 else amounts

    def expected(self, matrix: np.ndarray, scale: AmountScale) -> np.ndarray:
        """The mean (rows,)."""
        return self.corrected(self.uncorrected(matrix, scale), scale)


@dataclass(frozen=True)
class QuantileModel:
    """`part`: margins of three outputs, log amounts. `moves` are added to them, then sorted."""

    part: Part
    moves: tuple[float, float, float]

    def logs(self, matrix: np.ndarray) -> np.ndarray:
        """Log amounts before they are moved, rising in each row; float64 (rows, 3)."""
        return np.sort(self.part.margins(matrix), axis=1)

    def quantiles(self, matrix: np.ndarray, scale: AmountScale) -> np.ndarray:
        """The amounts at QUANTILES, rising in each row; float64 (rows, 3)."""
        return scale.from_logs(np.sort(self.logs(matrix) + np.asarray(self.moves), axis=1))


@dataclass(frozen=True)
class AmountModel:
    """`name` and `population` are those of the configuration; `rows`: training rows.

    `mean`, `quantile` and `scale` are None, and there are no `columns`, where there is nothing to
    answer with (not_enough_data, leak_suspected). With status no_skill they are those of the
    population.
    """

    name: str
    population: str
    status: str
    columns: tuple[str, ...]
    mean: MeanModel | None
    quantile: QuantileModel | None
    scale: AmountScale | None
    rows: int

    @property
    def score_columns(self) -> tuple[str, ...]:
        """`<name>_expected`, `<name>_q10`, `<name>_q50`, `<name>_q90`."""
        return (
            f"{self.name}_expected",
            *(f"{self.name}_q{round(level * 100)}" for level in QUANTILES),
        )

    @property
    def has_model(self) -> bool:
        """Whether there is anything to answer with."""
        return self.mean is not None

    def answers_of_all(self, rows: pa.Table) -> dict[str, np.ndarray]:
        """The columns for every row, whoever it is of; float64 (rows,), NaN without a model."""
        values = np.full((rows.num_rows, 1 + len(QUANTILES)), np.nan)
        if self.mean and self.quantile and self.scale:
            matrix = design_matrix(rows, self.columns)
            values[:, 0] = self.mean.expected(matrix, self.scale)
            values[:, 1:] = self.quantile.quantiles(matrix, self.scale)
        return dict(zip(self.score_columns, values.T, strict=True))

    def answers(self, rows: pa.Table) -> dict[str, np.ndarray]:
        """`answers_of_all`, NaN outside the population."""
        values = self.answers_of_all(rows)
        if self.population == "everyone":
            return values
        eligible = rows["eligible"].to_numpy()
        return {name: np.where(eligible, each, np.nan) for name, each in values.items()}

    def expected(self, rows: pa.Table) -> np.ndarray:
        """The mean of every row, float64 (rows,)."""
        return self.answers_of_all(rows)[self.score_columns[0]]

    def contributions(self, rows: pa.Table) -> np.ndarray:
        """Contributions to the mean's margin, (rows, columns + 14); zeros without a model."""
        matrix = design_matrix(rows, self.columns)
        return self.mean.blend.contributions(matrix) if self.mean else np.zeros(matrix.shape)
