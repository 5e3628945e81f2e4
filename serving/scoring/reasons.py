"""Why a score is what it is: exact contributions to the log-odds, one reason a family of features, in words.

A family's contribution is the sum of its columns' (they are many views of one thing, and their shares among each
other mean little). Told are the families that put the score where it is: above the typical customer's, those that
raise it, strongest first; below, those that lower it. Typical is the mean eligible customer of the training rows. Of the columns that moved a family that way it is told by the
one whose value by itself says so most.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from features.engine.columns import ColumnOf
from serving.scoring.parts import logged
from serving.scoring.scorer import Scorer, ordered_sum

REASONS = 3


def reasons(scorer: Scorer, rows: pa.Table, columns: list[ColumnOf]) -> list[list[str | None]]:
    """Per row up to three sentences, strongest first: `raises the risk: …` or `lowers the risk: …`."""
    if scorer.status != "ok":
        return [[None] * REASONS for _ in range(rows.num_rows)]
    used = _used(scorer, columns)
    values = np.stack([rows[column.name].to_numpy() for column in used], axis=1)
    _, members = _families(used)
    moved = _moved(scorer, rows)
    totals, sides = _totals(moved, members)
    order = np.argsort(-totals * sides[:, None], axis=1, kind="stable")[:, :REASONS]
    alone = _alone(scorer, values)
    out = []
    for row in range(rows.num_rows):
        told = [
            _told(members[f], sides[row] * moved[row], sides[row] * alone[row])
            for f in order[row]
            if totals[row, f] * sides[row] > 0
        ]
        said = [_sentence(sides[row], used[at], values[row, at]) for at in told]
        out.append(said + [None] * (REASONS - len(said)))
    return out


def leading(scorer: Scorer, rows: pa.Table, columns: list[ColumnOf]) -> list[str] | None:
    """Per row the family of its strongest reason and the side it is on; None where the scores have no reasons."""
    if scorer.status != "ok":
        return None
    families, members = _families(_used(scorer, columns))
    totals, sides = _totals(_moved(scorer, rows), members)
    strongest = np.argsort(-totals * sides[:, None], axis=1, kind="stable")[:, 0]
    return [
        f"{families[at]} {'+' if side > 0 else '-'}"
        for at, side in zip(strongest, sides, strict=True)
    ]


def _used(scorer: Scorer, columns: list[ColumnOf]) -> list[ColumnOf]:
    by_name = {column.name: column for column in columns}
    return [by_name[name] for name in scorer.columns]


def _moved(scorer: Scorer, rows: pa.Table) -> np.ndarray:
    """(rows, columns): what each column moves, beyond what is typical."""
    moved = scorer.contributions(rows)[:, : len(scorer.columns)]
    return moved if scorer.bearings is None else moved - np.asarray(scorer.bearings.moved)


def _families(used: list[ColumnOf]) -> tuple[list[str], list[np.ndarray]]:
    """The families by name, and the numbers of their columns."""
    families = sorted({column.feature.family for column in used})
    return families, [
        np.array([at for at, c in enumerate(used) if c.feature.family == family])
        for family in families
    ]


def _totals(moved: np.ndarray, members: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """What each family moves (rows, families), and the side of the typical customer's the score is on (rows,)."""
    totals = np.stack([ordered_sum(moved[:, at]) for at in members], axis=1)
    return totals, np.where(ordered_sum(totals) > 0, 1.0, -1.0)


def _alone(scorer: Scorer, values: np.ndarray) -> np.ndarray:
    """(rows, columns): how far each value by itself speaks for churn (above 0) or for staying; 0 where unknown."""
    if scorer.bearings is None:
        return np.zeros(values.shape)
    away = np.nan_to_num(logged(values) - np.asarray(scorer.bearings.typical))
    return away * np.asarray(scorer.bearings.direction)


def _told(members: np.ndarray, moved: np.ndarray, alone: np.ndarray) -> int:
    """Of the columns that moved the family its way the one that says so most by itself; `moved` where none does."""
    helped = members[moved[members] > 0]
    best = max(helped, key=lambda at: alone[at])
    return best if alone[best] > 0 else max(helped, key=lambda at: moved[at])


def _sentence(side: float, column: ColumnOf, value: float) -> str:
    return f"{'raises' if side > 0 else 'lowers'} the risk: {in_words(column, value)}"


def in_words(column: ColumnOf, value: float) -> str:
    """One value as a sentence, e.g. `last active 74 days ago`."""
    window = f"the last {column.days:g} days" if column.days is not None else "all the time known"
    if np.isnan(value):
        first = column.feature.doc.splitlines()[0].rstrip(".")
        return f"not known yet: {first[0].lower()}{first[1:]}"
    return column.feature.words.format(value=value, window=window)
