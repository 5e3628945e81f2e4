"""The models of the business's targets: from a feature row to P(label is 1), or to an amount."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from serving.scoring.amounts import AmountModel
from serving.scoring.calibration import Calibration, clip_to_rows
from serving.scoring.parts import Blend, design_matrix

OK, NO_SKILL, NOT_ENOUGH_DATA = "ok", "no_skill", "not_enough_data"
LEAK = "leak_suspected"
WITHOUT_MODEL = (NOT_ENOUGH_DATA, LEAK)


@dataclass(frozen=True)
class TargetModel:
    """`name` and `population` are those of the configuration; `rows`: training rows.

    `blend` is None, and there are no `columns`, with a status of WITHOUT_MODEL: there is nothing to
    answer with. With status no_skill it is a rate.
    """

    name: str
    population: str
    status: str
    columns: tuple[str, ...]
    blend: Blend | None
    calibration: Calibration
    rows: int

    def p_of_all(self, rows: pa.Table) -> np.ndarray:
        """P(label is 1) of every row, whoever it is of; float64 (rows,), NaN without a model."""
        if self.blend is None:
            return np.full(rows.num_rows, np.nan)
        margin = self.blend.margins(design_matrix(rows, self.columns))[:, 0]
        return clip_to_rows(self.calibration.p(margin), self.rows)

    def p(self, rows: pa.Table) -> np.ndarray:
        """P(label is 1), float64 (rows,); NaN outside the population and without a model."""
        p = self.p_of_all(rows)
        if self.population == "eligible":
            return np.where(rows["eligible"].to_numpy(), p, np.nan)
        return p

    @property
    def score_columns(self) -> tuple[str, ...]:
        """`p_<name>`."""
        return (score_column(self.name),)

    @property
    def has_model(self) -> bool:
        """Whether there is anything to answer with."""
        return self.blend is not None

    def answers_of_all(self, rows: pa.Table) -> dict[str, np.ndarray]:
        """`p_of_all` by its column."""
        return {score_column(self.name): self.p_of_all(rows)}

    def answers(self, rows: pa.Table) -> dict[str, np.ndarray]:
        """`p` by its column."""
        return {score_column(self.name): self.p(rows)}

    def contributions(self, rows: pa.Table) -> np.ndarray:
        """Contributions to the log-odds, float64 (rows, columns + 14); zeros without a model."""
        matrix = design_matrix(rows, self.columns)
        if self.blend is None:
            return np.zeros(matrix.shape)
        return self.calibration.slope * self.blend.contributions(matrix)


Target = TargetModel | AmountModel


def score_column(name: str) -> str:
    """The column of a label in scores and answers."""
    return f"p_{name}"


def score_columns(targets: Sequence[Target]) -> tuple[str, ...]:
    """The columns of these targets, in their order."""
    return tuple(column for target in targets for column in target.score_columns)


@dataclass(frozen=True)
class TargetAnswers:
    """`values`: by score column, float64 (rows,), NaN where there is no answer.

    `warnings`: what every row says of the targets, such as `p_upgrade:no_skill`.
    """

    values: dict[str, np.ndarray]
    warnings: tuple[str, ...]


def answer_targets(targets: Sequence[Target], rows: pa.Table) -> TargetAnswers:
    """The answers of all targets for feature rows."""
    return TargetAnswers(
        {name: values for each in targets for name, values in each.answers(rows).items()},
        tuple(
            f"{target.score_columns[0]}:{target.status}"
            for target in targets
            if target.status != OK
        ),
    )
