"""A file of predictions made elsewhere: a probability of churn for each customer and instant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from features.core.errors import BadSetting, ColumnMissing, WrongType
from features.core.settings import Settings
from features.engine.pairs_file import read_for_pairs
from features.recipes.stages import STAGES

P_NAMES = ("p", "p_churn")
P_NEXT = tuple(f"p_next_{stage}" for stage in STAGES)
MAX_SUM_ERROR = 1e-6
RULE = (
    "A prediction is customer_id, as_of and p (or p_churn), the probability of churn, from 0 to 1; "
    "or the seven p_next_<stage>, which sum to 1; or all of them."
)


@dataclass(frozen=True)
class Predictions:
    """customer_id (text) and as_of (int64, µs UTC) of each row of `keys`, with its numbers.

    `p` float64 (rows,) and `p_next` (rows, 7) in the order of the stages, None where the file has
    none. `empty`: rows of the file without a number, which are left out here.
    """

    keys: pa.Table
    p: np.ndarray | None
    p_next: np.ndarray | None
    empty: int


def read_predictions(path: Path, settings: Settings) -> Predictions:
    """Read a .csv or .parquet file of predictions, such as a run's `scores.parquet`.

    Rows without a number (prospects have none) are left out and counted. Errors: those of
    `read_pairs`; ColumnMissing without a probability; WrongType for a number that is none, for
    seven that do not sum to 1, and for a customer with two predictions at one instant.
    """
    rows = read_for_pairs(path, settings, (*P_NAMES, *P_NEXT))
    names = rows.column_names
    if set(P_NAMES) <= set(names):
        raise BadSetting(
            where=str(path),
            got="both a column p and a column p_churn",
            rule=RULE,
            fix="Leave one of them out.",
        )
    own = next((name for name in P_NAMES if name in names), None)
    p = None if own is None else _floats(rows, own)
    p_next = None
    if set(P_NEXT) <= set(names):
        p_next = np.column_stack([_floats(rows, name) for name in P_NEXT])
    if p is None and p_next is None:
        raise ColumnMissing(
            where=str(path),
            got="no column p or p_churn, and not all of p_next_<stage>",
            rule=RULE,
            fix="Name the column of your probabilities p.",
        )
    columns = [each for each in (p, p_next) if each is not None]
    known = ~np.isnan(np.column_stack(columns)).any(axis=1)
    predictions = Predictions(
        rows.select(["customer_id", "as_of"]).filter(pa.array(known)),
        None if p is None else p[known],
        None if p_next is None else p_next[known],
        int((~known).sum()),
    )
    _refuse_bad_numbers(predictions, path)
    return predictions


def _floats(rows: pa.Table, name: str) -> np.ndarray:
    column: Any = rows[name].cast(pa.float64())
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)


def _refuse_bad_numbers(predictions: Predictions, path: Path) -> None:
    broken: dict[str, Any] = {}
    if predictions.p is not None:
        broken["with a p below 0 or over 1"] = (predictions.p < 0) | (predictions.p > 1)
    if predictions.p_next is not None:
        outside = ((predictions.p_next < 0) | (predictions.p_next > 1)).any(axis=1)
        broken["with a p_next below 0 or over 1"] = outside
        apart = np.abs(predictions.p_next.sum(axis=1) - 1) > MAX_SUM_ERROR
        broken["whose seven p_next do not sum to 1"] = apart
    counts = {words: int(rows.sum()) for words, rows in broken.items()}
    alone = predictions.keys.group_by(["customer_id", "as_of"]).aggregate([]).num_rows
    counts["that repeat a customer and an as_of"] = predictions.keys.num_rows - alone
    for words, count in counts.items():
        if count:
            raise WrongType(
                where=str(path),
                got=f"{count:,} rows {words}",
                rule=RULE,
                fix="Correct or remove those rows.",
            )
