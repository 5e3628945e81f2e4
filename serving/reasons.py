"""Why a score is what it is: exact contributions to the log-odds, one reason a family of features, in words.

A family's contribution is the sum of its columns' (they are many views of one thing, and their shares among each
other mean little). Told are the families that put the score where it is: above the typical customer's, those that
raise it, strongest first; below, those that lower it. A family is told by the column that moved it most among those
whose value by itself points the same way.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from features.table import ColumnOf
from serving.parts import logged
from serving.scorer import Scorer, ordered_sum

REASONS = 3


def reasons(scorer: Scorer, rows: pa.Table, columns: list[ColumnOf]) -> list[list[str | None]]:
    """Per row up to three sentences, strongest first: `raises the risk: …` or `lowers the risk: …`."""
    if scorer.status != "ok":
        return [[None] * REASONS for _ in range(rows.num_rows)]
    by_name = {column.name: column for column in columns}
    used = [by_name[name] for name in scorer.columns]
    moved = scorer.contributions(rows)[:, : len(used)]
    values = np.stack([rows[column.name].to_numpy() for column in used], axis=1)
    families = sorted({column.feature.family for column in used})
    members = [np.array([at for at, c in enumerate(used) if c.feature.family == family]) for family in families]
    totals = np.stack([ordered_sum(moved[:, at]) for at in members], axis=1)
    sides = np.where(ordered_sum(totals) > 0, 1.0, -1.0)
    order = np.argsort(-totals * sides[:, None], axis=1, kind="stable")[:, :REASONS]
    fits = _pointing(scorer, values)
    out = []
    for row in range(rows.num_rows):
        told = [
            _told(members[f], moved[row], fits[row], sides[row]) for f in order[row] if totals[row, f] * sides[row] > 0
        ]
        said = [_sentence(sides[row], used[at], values[row, at]) for at in told]
        out.append(said + [None] * (REASONS - len(said)))
    return out


def _pointing(scorer: Scorer, values: np.ndarray) -> np.ndarray:
    """(rows, columns): 1 where the value by itself goes with churn, −1 with staying, 0 where it says nothing."""
    if scorer.bearings is None:
        return np.zeros(values.shape)
    away = np.sign(np.nan_to_num(logged(values) - np.asarray(scorer.bearings.typical)))
    return away * np.asarray(scorer.bearings.direction)


def _told(members: np.ndarray, moved: np.ndarray, points: np.ndarray, side: float) -> int:
    """The column that tells a family: of those that point the family's way the one that moved most that way."""
    candidates = members[points[members] == side]
    return max(candidates if len(candidates) else members, key=lambda at: side * moved[at])


def _sentence(side: float, column: ColumnOf, value: float) -> str:
    return f"{'raises' if side > 0 else 'lowers'} the risk: {in_words(column, value)}"


def in_words(column: ColumnOf, value: float) -> str:
    """One value as a sentence, e.g. `last active 74 days ago`."""
    window = f"the last {column.days:g} days" if column.days is not None else "all the time known"
    if np.isnan(value):
        first = column.feature.doc.splitlines()[0].rstrip(".")
        return f"not known yet: {first[0].lower()}{first[1:]}"
    return column.feature.words.format(value=value, window=window)
