"""Baselines of an amount: the mean, the customer's own past, a ridge regression."""

from __future__ import annotations

import numpy as np

from training.models import ridge
from training.models.amount_rows import AmountRows

STRENGTH = 0.03  # of the ridge, for each row
PRIOR_WINDOWS = 2  # of the mean, beside the customer's own


def amount_baselines(
    early: AmountRows, late: AmountRows, *, outcome_window_us: int
) -> dict[str, np.ndarray]:
    """The expected amounts of the `late` rows by baseline, (rows,) each, fitted on `early`.

    None is below 0 where no amount of `early` is.
    """
    mean = float(early.amounts.mean())
    out = {
        "mean": np.full(len(late.amounts), mean),
        "own past amounts": _own_past(early, late, mean, outcome_window_us),
        "ridge": _ridge(early, late),
    }
    least = 0.0 if early.amounts.min() >= 0 else -np.inf
    return {name: np.maximum(each, least) for name, each in out.items()}


def _own_past(
    early: AmountRows, late: AmountRows, mean: float, outcome_window_us: int
) -> np.ndarray:
    """(sum of own amounts + 2 · mean) / (own windows + 2): the own rate × the horizon.

    Of the windows that had closed before the row's as_of.
    """
    closed = early.rows["as_of"].to_numpy() + outcome_window_us
    ids, at = early.rows["customer_id"].to_pylist(), late.rows["as_of"].to_numpy()
    sums: dict[tuple[str, int], tuple[float, int]] = {}
    for instant in np.unique(at):
        for row in np.flatnonzero(closed <= instant):
            total, windows = sums.get((ids[row], instant), (0.0, 0))
            sums[ids[row], instant] = (total + early.amounts[row], windows + 1)
    keys = zip(late.rows["customer_id"].to_pylist(), at, strict=True)
    own = np.array([sums.get(key, (0.0, 0)) for key in keys]).reshape(-1, 2)
    return (own[:, 0] + PRIOR_WINDOWS * mean) / (own[:, 1] + PRIOR_WINDOWS)


def _ridge(early: AmountRows, late: AmountRows) -> np.ndarray:
    """A ridge regression on the logged, standardised columns; clipped to what was seen."""
    part = ridge.fit_amount_regression(early.matrix, early.amounts, strength=STRENGTH, power=None)
    expected = part.margins(late.matrix)[:, 0]
    return np.clip(expected, early.amounts.min(), early.amounts.max())
