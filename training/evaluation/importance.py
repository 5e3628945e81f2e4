"""What moves the churn score: mean |contribution| to the log-odds, by family and by column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from features.engine.columns import FeatureColumn
from serving.scoring.parts import design_names
from serving.scoring.scorer import ordered_sum

COLUMNS = 20
ROWS = 5000
STAGE = "stage"


class Explained(Protocol):
    """What gives contributions (rows, columns + 14): a scorer of churn, or a target's model."""

    @property
    def columns(self) -> tuple[str, ...]: ...

    def contributions(self, rows: pa.Table) -> np.ndarray: ...


def importance(
    scorer: Explained, rows: pa.Table, columns: Sequence[FeatureColumn]
) -> dict[str, Any]:
    """{"rows": {who: n}, "families": […], "columns": […]}, the largest first.

    Each entry is a name and a number for everyone and for eligible. A family counts as a whole, as
    in the reasons: the mean of |sum over its columns|. The stage indicators are a family of their
    own. From up to ROWS evenly spaced rows per population; null where it is empty.
    """
    names = design_names(scorer.columns)
    family_of = {column.name: column.feature.family for column in columns}
    families = np.array([family_of.get(name, STAGE) for name in names])
    contributions = {
        "everyone": scorer.contributions(_sample(rows)),
        "eligible": scorer.contributions(_sample(rows.filter(rows["eligible"]))),
    }
    by_family = {
        name: {who: ordered_sum(m[:, families == name]) for who, m in contributions.items()}
        for name in set(families)
    }
    by_column = {
        name: {who: m[:, at] for who, m in contributions.items()} for at, name in enumerate(names)
    }
    return {
        "rows": {who: len(m) for who, m in contributions.items()},
        "families": _largest(by_family, len(by_family)),
        "columns": _largest(by_column, COLUMNS),
    }


def _sample(rows: pa.Table) -> pa.Table:
    at = np.linspace(0, rows.num_rows - 1, min(rows.num_rows, ROWS)).astype(int)
    return rows.take(pa.array(np.unique(at), pa.int64()))


def _largest(contributions: dict[str, dict[str, np.ndarray]], count: int) -> list[dict[str, Any]]:
    """Entries by their number for eligible rows (everyone where there are none), then by name."""
    entries = [
        {
            "name": name,
            **{
                who: round(float(abs(m).mean()), 6) if len(m) else None
                for who, m in populations.items()
            },
        }
        for name, populations in contributions.items()
    ]

    def rank(entry: dict[str, Any]) -> tuple[float, str]:
        value = entry["everyone"] if entry["eligible"] is None else entry["eligible"]
        return -value, entry["name"]

    return sorted((entry for entry in entries if entry["everyone"]), key=rank)[:count]
