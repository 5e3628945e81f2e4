"""How far two tables of scores lie apart as wholes: mean p, stage shares, eligible customers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from features.recipes.stages import STAGES

NAMES = ("mean_p", "stage_shares", "eligible")


@dataclass(frozen=True)
class Summary:
    """One date: mean p (None without scores), the share of each stage, the eligible customers."""

    mean_p: float | None
    shares: tuple[float, ...]
    eligible: int


def describe_rows(rows: pa.Table, p: np.ndarray) -> Summary:
    """The summary of rows with `stage` and `eligible`, and their p (rows,), NaN where null.

    >>> rows = pa.table({"stage": ["loyal", "new"], "eligible": [True, False]})
    >>> describe_rows(rows, np.array([0.1, 0.5])).mean_p
    0.3
    """
    stages = np.asarray(rows["stage"].to_pylist(), dtype=str)
    count = max(len(stages), 1)
    shares = tuple(float((stages == stage).sum() / count) for stage in STAGES)
    known = p[~np.isnan(p)]
    eligible = np.asarray(rows["eligible"].to_pylist(), dtype=bool)
    return Summary(float(known.mean()) if known.size else None, shares, int(eligible.sum()))


def moved(one: Summary, other: Summary) -> dict[str, float | None]:
    """How far two dates lie apart, by NAMES, each at least 0.

    mean_p: the difference. stage_shares: the share of customers that would have to change their
    stage for equal shares (total variation distance). eligible: the difference of the counts as a
    share of the larger one.

    >>> moved(Summary(0.2, (1.0, 0.0), 50), Summary(0.3, (0.5, 0.5), 100))["eligible"]
    0.5
    """
    both = one.mean_p is not None and other.mean_p is not None
    larger = max(one.eligible, other.eligible)
    apart = sum(abs(a - b) for a, b in zip(one.shares, other.shares, strict=True)) / 2
    return {
        "mean_p": abs(one.mean_p - other.mean_p) if both else None,  # type: ignore[operator]
        "stage_shares": apart,
        "eligible": abs(one.eligible - other.eligible) / larger if larger else 0.0,
    }
