"""What moves the score of churn: mean |contribution| to the log-odds, by feature family and by column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from features.engine.columns import ColumnOf
from serving.scoring.parts import design_names
from serving.scoring.scorer import Scorer, ordered_sum

COLUMNS = 20
ROWS = 5000
STAGE = "stage"


def importance(scorer: Scorer, rows: pa.Table, columns: Sequence[ColumnOf]) -> dict[str, Any]:
    """{"rows": {who: n}, "families": […], "columns": […]}, each entry a name and a number for everyone and eligible.

    A family counts as a whole, as in the reasons: the mean of |its columns' sum|. What the model knows of the stage is
    a family of its own. From up to ROWS rows a population, evenly spaced; null where it is empty; most first.
    """
    names = design_names(scorer.columns)
    family_of = {column.name: column.feature.family for column in columns}
    families = np.array([family_of.get(name, STAGE) for name in names])
    moved = {
        "everyone": scorer.contributions(_some(rows)),
        "eligible": scorer.contributions(_some(rows.filter(rows["eligible"]))),
    }
    whole = {
        name: {who: ordered_sum(m[:, families == name]) for who, m in moved.items()}
        for name in set(families)
    }
    single = {name: {who: m[:, at] for who, m in moved.items()} for at, name in enumerate(names)}
    return {
        "rows": {who: len(m) for who, m in moved.items()},
        "families": _most(whole, len(whole)),
        "columns": _most(single, COLUMNS),
    }


def _some(rows: pa.Table) -> pa.Table:
    at = np.linspace(0, rows.num_rows - 1, min(rows.num_rows, ROWS)).astype(int)
    return rows.take(pa.array(np.unique(at), pa.int64()))


def _most(moved: dict[str, dict[str, np.ndarray]], count: int) -> list[dict[str, Any]]:
    """Entries by what they move among eligible rows, among all where there are none; names settle ties."""
    entries = [
        {
            "name": name,
            **{
                who: round(float(abs(m).mean()), 6) if len(m) else None
                for who, m in populations.items()
            },
        }
        for name, populations in moved.items()
    ]

    def rank(entry: dict[str, Any]) -> tuple[float, str]:
        return -(entry["everyone"] if entry["eligible"] is None else entry["eligible"]), entry[
            "name"
        ]

    return sorted((entry for entry in entries if entry["everyone"]), key=rank)[:count]
