"""Two ways of being unseen: later in time, and another customer. A random row split cannot be asked for."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from features.core.settings import Settings

GROUPS = 3
ANSWERED = 20_000  # rows said of without their customer are enough for a calibration, for sets, for spreads


@dataclass(frozen=True)
class Folds:
    """(fit rows, check rows) pairs of row numbers; `kind` is `forward in time` or `grouped by customer`."""

    pairs: tuple[tuple[np.ndarray, np.ndarray], ...]
    kind: str


def customer_groups(rows: pa.Table, *, groups: int = GROUPS) -> np.ndarray:
    """A stable group number per row, equal for all rows of one customer, int (rows,)."""
    ids = rows["customer_id"].to_pylist()
    number = {
        name: int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) % groups for name in set(ids)
    }
    return np.array([number[name] for name in ids], dtype=np.int64)


def left_out_groups(group: np.ndarray) -> list[int]:
    """The groups to be left out in turn: as many as it takes to answer for ANSWERED rows, all of them where rows are few."""
    sizes = np.cumsum(np.bincount(group, minlength=GROUPS))
    return list(range(min(GROUPS, int(np.searchsorted(sizes, ANSWERED)) + 1)))


def tuning_folds(rows: pa.Table, settings: Settings) -> Folds:
    """Check on the newest as_of, fit on those whose windows closed before it; where there are none, by customer."""
    at = rows["as_of"].to_numpy()
    window = settings.outcome_window_us
    newest = at.max()
    fit, check = np.flatnonzero(at + window <= newest), np.flatnonzero(at == newest)
    if _both_classes(rows, fit) and _both_classes(rows, check):
        return Folds(((fit, check),), "forward in time")
    group = customer_groups(rows)
    pairs = tuple((np.flatnonzero(group != g), np.flatnonzero(group == g)) for g in range(GROUPS))
    kept = tuple(pair for pair in pairs if all(_both_classes(rows, part) for part in pair))
    return Folds(kept, "grouped by customer")


def _both_classes(rows: pa.Table, part: np.ndarray) -> bool:
    churned = rows["churned"].to_numpy()[part]
    return bool(churned.any()) and not bool(churned.all())
