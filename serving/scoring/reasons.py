"""The reasons of a score: exact contributions to the log-odds, one reason per feature family.

The contribution of a family is the sum over its columns: they are many views of one thing, and how
the sum is divided among them means little. Typical is the mean eligible customer of the training
rows. Where a score is above the typical customer's, the reasons are the families that raise it,
strongest first; where it is below, those that lower it. The sentence names one column of the
family: of those that moved it in that direction, the one whose value says so most by itself.
"""

from __future__ import annotations

import re
from string import Formatter

import numpy as np
import pyarrow as pa

from features.engine.columns import FeatureColumn
from serving.scoring.parts import signed_log1p
from serving.scoring.scorer import Scorer, ordered_sum, stage_index

REASON_COUNT = 3
# The nouns that follow a count in the sentences of the catalogue, with an adjective or without.
_SINGULAR = {
    "minutes (or pages)": "minute (or page)",
    "categories": "category",
} | {
    f"{noun}s": noun
    for noun in (
        "answer",
        "call",
        "channel",
        "complaint",
        "contact",
        "day",
        "hour",
        "payment",
        "period",
        "purchase",
        "session",
        "survey",
        "time",
        "version",
        "visit",
    )
}
_ONE_OF_MANY = re.compile(
    r"(?<![\d.,+-])(1 (?:\w+ )?)("
    + "|".join(re.escape(plural) for plural in _SINGULAR)
    + r")(?!\w)"
)


def reasons(scorer: Scorer, rows: pa.Table, columns: list[FeatureColumn]) -> list[list[str | None]]:
    """Per row three sentences `raises the risk: …` or `lowers the risk: …`, strongest first.

    None fills up rows with fewer reasons; all are None where the scores are base rates.
    """
    if scorer.status != "ok":
        return [[None] * REASON_COUNT for _ in range(rows.num_rows)]
    used = _model_columns(scorer, columns)
    values = np.stack([rows[column.name].to_numpy() for column in used], axis=1)
    _, members = _group_by_family(used)
    excess = _excess_contributions(scorer, rows)
    totals, sides = _family_totals(excess, members)
    order = _strongest_first(totals, sides)[:, :REASON_COUNT]
    # On the side of each row: what is above 0 speaks for the direction of its reasons.
    excess, alone = excess * sides[:, None], _univariate_effects(scorer, values) * sides[:, None]
    medians = scorer.reason_reference.usual if scorer.reason_reference else ()
    stages = stage_index(rows["stage"].to_numpy())
    result: list[list[str | None]] = []
    for row in range(rows.num_rows):
        named = [
            _most_telling_column(members[family], excess[row], alone[row])
            for family in order[row]
            if totals[row, family] * sides[row] > 0
        ]
        usual = medians[stages[row]] if medians else [None] * len(used)
        sentences = [_sentence(sides[row], used[at], values[row, at], usual[at]) for at in named]
        result.append([*sentences, *[None] * (REASON_COUNT - len(sentences))])
    return result


def leading_families(
    scorer: Scorer, rows: pa.Table, columns: list[FeatureColumn]
) -> list[str] | None:
    """Per row the family of its strongest reason and `+` (raises) or `-` (lowers).

    None where the scores are base rates and have no reasons.
    """
    if scorer.status != "ok":
        return None
    families, members = _group_by_family(_model_columns(scorer, columns))
    totals, sides = _family_totals(_excess_contributions(scorer, rows), members)
    strongest = _strongest_first(totals, sides)[:, 0]
    return [
        f"{families[family]} {'+' if side > 0 else '-'}"
        for family, side in zip(strongest, sides, strict=True)
    ]


def _model_columns(scorer: Scorer, columns: list[FeatureColumn]) -> list[FeatureColumn]:
    by_name = {column.name: column for column in columns}
    return [by_name[name] for name in scorer.columns]


def _excess_contributions(scorer: Scorer, rows: pa.Table) -> np.ndarray:
    """Each column's contribution beyond the typical customer's, (rows, columns)."""
    contributions = scorer.contributions(rows)[:, : len(scorer.columns)]
    if scorer.reason_reference is None:
        return contributions
    return contributions - np.asarray(scorer.reason_reference.mean_contribution)


def _group_by_family(used: list[FeatureColumn]) -> tuple[list[str], list[np.ndarray]]:
    """The families by name, and the numbers of their columns."""
    families = sorted({column.feature.family for column in used})
    return families, [
        np.array([at for at, column in enumerate(used) if column.feature.family == family])
        for family in families
    ]


def _family_totals(excess: np.ndarray, members: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(total per family (rows, families), side (rows,): 1 above the typical score, −1 below)."""
    totals = np.stack([ordered_sum(excess[:, columns]) for columns in members], axis=1)
    # ordered_sum and a stable sort: one row and a thousand rows give the same reasons.
    return totals, np.where(ordered_sum(totals) > 0, 1.0, -1.0)


def _strongest_first(totals: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """The families by what they move to the row's side, int (rows, families)."""
    return np.argsort(-totals * sides[:, None], axis=1, kind="stable")


def _univariate_effects(scorer: Scorer, values: np.ndarray) -> np.ndarray:
    """How far each value by itself speaks for churn (above 0) or against, (rows, columns).

    0 where the value is null or nothing is known of the column.
    """
    reference = scorer.reason_reference
    if reference is None:
        return np.zeros(values.shape)
    distance = np.nan_to_num(signed_log1p(values) - np.asarray(reference.typical))
    return distance * np.asarray(reference.direction)


def _most_telling_column(members: np.ndarray, excess: np.ndarray, alone: np.ndarray) -> int:
    """Of the family's columns with `excess` above 0 the one that is highest in `alone`.

    By `excess` where none of them has `alone` above 0.
    """
    helpful = members[excess[members] > 0]
    best = max(helpful, key=lambda at: alone[at])
    return best if alone[best] > 0 else max(helpful, key=lambda at: excess[at])


def _sentence(side: float, column: FeatureColumn, value: float, usual: float | None) -> str:
    return f"{'raises' if side > 0 else 'lowers'} the risk: {describe_value(column, value, usual)}"


def describe_value(column: FeatureColumn, value: float, usual: float | None = None) -> str:
    """One value in words, e.g. `last active 74 days ago (usually 12)`.

    `usual`: the median among customers of the same stage, written with the digits of the value.
    """
    window = f"{column.days:g} days" if column.days is not None else "all recorded time"
    if np.isnan(value):
        first = column.feature.doc.splitlines()[0].rstrip(".")
        return f"not known yet: {first[0].lower()}{first[1:]}"
    sentence = _ONE_OF_MANY.sub(
        _to_singular, column.feature.words.format(value=value, window=window)
    )
    digits = [
        spec for _, name, spec, _ in Formatter().parse(column.feature.words) if name == "value"
    ]
    if usual is None or not digits:
        return sentence
    return f"{sentence} (usually {usual:{digits[0]}})"


def _to_singular(match: re.Match[str]) -> str:
    return match[1] + _SINGULAR[match[2]]
