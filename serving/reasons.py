"""Why a score is what it is: exact contributions to the log-odds, one reason a family of features, in words.

A family's contribution is the sum of its columns' (they are many views of one thing, and their shares among each
other mean little); its sentence is that of the column that moved it most in the family's own direction.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from features.table import ColumnOf
from serving.scorer import Scorer, ordered_sum

REASONS = 3


def reasons(scorer: Scorer, rows: pa.Table, columns: list[ColumnOf]) -> list[list[str | None]]:
    """Per row up to three sentences, strongest first: `raises the risk: …` or `lowers the risk: …`."""
    if scorer.status != "ok":
        return [[None] * REASONS for _ in range(rows.num_rows)]
    by_name = {column.name: column for column in columns}
    used = [by_name[name] for name in scorer.columns]
    moved = scorer.contributions(rows)[:, : len(used)]
    values = {column.name: rows[column.name].to_numpy() for column in used}
    families = sorted({column.feature.family for column in used})
    members = {family: [at for at, c in enumerate(used) if c.feature.family == family] for family in families}
    totals = np.stack([ordered_sum(moved[:, at]) for at in members.values()], axis=1)
    order = np.argsort(-np.abs(totals), axis=1, kind="stable")[:, :REASONS]
    return [
        [_sentence(row, families[f], totals[row, f], members, moved, used, values) for f in order[row]]
        + [None] * (REASONS - len(order[row]))
        for row in range(rows.num_rows)
    ]  # fmt: skip


def _sentence(row, family, total, members, moved, used, values) -> str | None:
    if total == 0:
        return None
    sign = np.sign(total)
    column = used[max(members[family], key=lambda at: sign * moved[row, at])]
    return f"{'raises' if sign > 0 else 'lowers'} the risk: {in_words(column, values[column.name][row])}"


def in_words(column: ColumnOf, value: float) -> str:
    """One value as a sentence, e.g. `last active 74 days ago`."""
    window = f"the last {column.days:g} days" if column.days is not None else "all time"
    if np.isnan(value):
        first = column.feature.doc.splitlines()[0].rstrip(".")
        return f"not known yet: {first[0].lower()}{first[1:]}"
    return column.feature.words.format(value=value, window=window)
