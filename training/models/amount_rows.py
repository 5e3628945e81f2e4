"""Rows of one amount of the business: what may be learned of them, and how it is measured."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.labels.targets import label_column
from serving.scoring.amounts import AmountScale, MeanModel
from serving.scoring.parts import design_matrix, design_names
from training.models.boosters import LabelledRows
from training.splits import FORWARD_FOLDS, GROUPS, Folds, customer_groups, forward_splits

MIN_ROWS, MIN_CUSTOMERS = 30, 10  # with an amount other than 0
SELECTED = ["customer_id", "as_of", "eligible"]
POWER = 1.5  # of the Tweedie variance: between a count (1) and a gamma (2)
# A correction of the level beyond these is one of too few rows.
LEAST_FACTOR, MOST_FACTOR = 0.2, 5.0


@dataclass(frozen=True)
class AmountRows:
    """Rows of one amount: the design matrix (rows, columns + 14) and the amounts (rows,).

    `rows` has customer_id, as_of and eligible.
    """

    rows: pa.Table
    columns: tuple[str, ...]
    amounts: np.ndarray
    matrix: np.ndarray

    def take(self, part: np.ndarray) -> AmountRows:
        """Some of the rows, by number or by mask."""
        places = np.flatnonzero(part) if part.dtype == bool else part
        rows = self.rows.take(pa.array(places, pa.int64()))
        return replace(self, rows=rows, amounts=self.amounts[places], matrix=self.matrix[places])


def amount_rows(
    examples: pa.Table, name: str, population: str, columns: tuple[str, ...]
) -> AmountRows:
    """The examples of the population with the amounts of the target `name`."""
    rows = examples.filter(examples["eligible"]) if population == "eligible" else examples
    amounts = rows[label_column(name)].to_numpy()
    matrix = design_matrix(rows, columns)
    return AmountRows(rows.select(SELECTED), columns, amounts, matrix)


def shortage(data: AmountRows, *, outcome_window_us: int) -> str | None:
    """What there is too little of to learn from these rows; None where there is enough."""
    mask = data.amounts != 0
    count = int(mask.sum())
    customers = pc.count_distinct(data.rows["customer_id"].filter(pa.array(mask))).as_py()
    if count < MIN_ROWS or customers < MIN_CUSTOMERS:
        return (
            f"{count:,} of {len(mask):,} training rows ({customers:,} customers) have an amount "
            f"other than 0; a model needs {MIN_ROWS} rows of at least {MIN_CUSTOMERS} customers"
        )
    constant = is_constant(data.amounts)
    if not constant and not amount_folds(data, outcome_window_us=outcome_window_us).pairs:
        return "no fold of the training rows has amounts that differ, to fit on"
    return None


def is_constant(amounts: np.ndarray) -> bool:
    """Whether all amounts are equal, so that nothing can be learned of their differences."""
    return not len(amounts) or bool(np.ptp(amounts) <= 1e-9 * np.abs(amounts).max())


def mean_losses(amounts: np.ndarray, expected: np.ndarray, *, floor: float) -> np.ndarray:
    """A loss that the mean minimises, (rows,): Tweedie deviance, or squared error.

    `floor`: the least prediction of the deviance, above 0; 0 where some amounts are negative, whose
    loss is squared error.
    """
    if floor <= 0:
        return (amounts - expected) ** 2
    mu, rest = np.maximum(expected, floor), 2 - POWER
    best = amounts**rest * (1 / (POWER - 1) + 1 / rest)
    return 2 * (amounts * mu ** (1 - POWER) / (POWER - 1) + mu**rest / rest - best)


def loss_floor(amounts: np.ndarray) -> float:
    """The `floor` of `mean_losses` of these amounts: a thousandth of their mean."""
    return 0.0 if (amounts < 0).any() else 1e-3 * float(amounts.mean())


def scale_of(amounts: np.ndarray) -> AmountScale:
    """Units and bounds of these amounts, of which one at least is not 0."""
    sizes = np.abs(amounts)
    return AmountScale(
        unit=float(sizes.mean()),
        low=float(amounts.min()),
        high=float(amounts.max()),
        least=float(sizes[sizes > 0].min()),
    )


def amount_folds(data: AmountRows, *, outcome_window_us: int) -> Folds:
    """Up to FORWARD_FOLDS folds forward in time; groups of customers where there are none.

    Rows to fit on must have amounts that differ, and some that are not 0.
    """
    at = data.rows["as_of"].to_numpy()
    splits = forward_splits(
        at, dates=FORWARD_FOLDS, max_dates=len(at), outcome_window_us=outcome_window_us
    )
    pairs = tuple((np.flatnonzero(fit), np.flatnonzero(check)) for fit, check in splits)
    pairs = tuple(pair for pair in pairs if not is_constant(data.amounts[pair[0]]))
    if pairs:
        return Folds(pairs, "forward in time")
    group = customer_groups(data.rows)
    every = ((np.flatnonzero(group != g), np.flatnonzero(group == g)) for g in range(GROUPS))
    usable = tuple(
        (fit, check) for fit, check in every if len(check) and not is_constant(data.amounts[fit])
    )
    return Folds(usable, "grouped by customer")


def learnable(data: AmountRows, link: str, scale: AmountScale) -> LabelledRows:
    """The rows as boosters learn on them: amounts in units, or in logs."""
    labels = scale.to_logs(data.amounts) if link == "signed_log" else data.amounts / scale.unit
    return LabelledRows(data.matrix, labels, names=design_names(data.columns), outputs=1)


def correct_level(
    model: MeanModel, uncorrected: np.ndarray, amounts: np.ndarray, scale: AmountScale
) -> MeanModel:
    """The model whose predictions sum to the amounts, where `uncorrected` (rows,) are its own."""
    if scale.low < 0:
        return replace(model, shift=float(amounts.mean() - uncorrected.mean()))
    total, predicted = float(amounts.sum()), float(np.maximum(uncorrected, 0).sum())
    if total <= 0 or predicted <= 0:
        return model
    return replace(model, factor=float(np.clip(total / predicted, LEAST_FACTOR, MOST_FACTOR)))
