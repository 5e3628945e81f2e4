"""Two ways of being unseen: later in time, and another customer. There is no random split of rows.

Rows of one customer resemble each other, and so do neighbouring dates: a random split would put
near copies of its training rows into the check set.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

GROUPS = 3
FORWARD_FOLDS = 2  # one date alone decides by its own luck (docs/decisions/020)
# So many out-of-fold rows are enough for a calibration, for prediction sets and for spreads.
OUT_OF_FOLD_ROWS = 20_000


@dataclass(frozen=True)
class Folds:
    """(fit rows, check rows) pairs of row numbers.

    `kind` is `forward in time` or `grouped by customer`.
    """

    pairs: tuple[tuple[np.ndarray, np.ndarray], ...]
    kind: str


def customer_groups(rows: pa.Table, *, groups: int = GROUPS) -> np.ndarray:
    """A stable group number per row, equal for all rows of one customer, int (rows,)."""
    ids = rows["customer_id"].to_pylist()
    # A hash of the id: the group is the same in every run and does not depend on the other rows.
    number = {
        name: int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) % groups for name in set(ids)
    }
    return np.array([number[name] for name in ids], dtype=np.int64)


def out_of_fold_groups(group: np.ndarray) -> list[int]:
    """The groups that are left out in turn.

    As many as give OUT_OF_FOLD_ROWS rows; all of them where there are fewer rows.
    """
    sizes = np.cumsum(np.bincount(group, minlength=GROUPS))
    return list(range(min(GROUPS, int(np.searchsorted(sizes, OUT_OF_FOLD_ROWS)) + 1)))


def forward_splits(
    as_of: np.ndarray, *, dates: int, max_dates: int, outcome_window_us: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(rows to fit on, rows to predict), both bool (rows,): up to `dates` dates, the newest first.

    The dates that are predicted lie an outcome window apart. Each fit is on the newest `max_dates`
    dates whose outcome windows had closed before the date. `as_of`: (rows,), µs.
    """
    judged = np.unique(as_of)
    for _ in range(dates):
        newest = judged.max(initial=0)
        closed = np.unique(as_of[as_of + outcome_window_us <= newest])[-max_dates:]
        if not closed.size:
            return
        yield np.isin(as_of, closed), as_of == newest
        judged = closed


def tuning_folds(rows: pa.Table, *, outcome_window_us: int) -> Folds:
    """Up to FORWARD_FOLDS folds: check on a date, fit on those whose windows closed before it.

    The newest dates, an outcome window apart. Where no such fold exists (or one side of each has a
    single class), the folds are groups of customers.
    """
    at = rows["as_of"].to_numpy()
    splits = forward_splits(
        at, dates=FORWARD_FOLDS, max_dates=len(at), outcome_window_us=outcome_window_us
    )
    forward = [(np.flatnonzero(fit), np.flatnonzero(check)) for fit, check in splits]
    pairs = tuple(pair for pair in forward if all(_both_classes(rows, part) for part in pair))
    if pairs:
        return Folds(pairs, "forward in time")
    group = customer_groups(rows)
    pairs = tuple((np.flatnonzero(group != g), np.flatnonzero(group == g)) for g in range(GROUPS))
    usable = tuple(pair for pair in pairs if all(_both_classes(rows, part) for part in pair))
    return Folds(usable, "grouped by customer")


def _both_classes(rows: pa.Table, part: np.ndarray) -> bool:
    churned = rows["churned"].to_numpy()[part]
    return bool(churned.any()) and not bool(churned.all())
