"""The reasons of a score: exact contributions to the log-odds, one reason per feature family.

The contribution of a family is the sum over its columns: they are many views of one thing, and how
the sum is divided among them means little. Typical is the mean eligible customer of the training
rows. Where a score is above the typical customer's, the reasons are the families that raise it,
strongest first; where it is below, those that lower it. A family counts for no more than what its
nameable values move (`reason_values`): a missing value is no reason. The sentence names one of
them: of those that moved it in that direction, the one whose value says so most by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from features.engine.columns import FeatureColumn
from serving.scoring.parts import signed_log1p
from serving.scoring.reason_values import can_be_reason, describe_value, written_as_usual
from serving.scoring.scorer import Scorer, ordered_sum, stage_index

REASON_COUNT = 3


@dataclass(frozen=True)
class Reason:
    """One reason: its sentence, and what the sentence is about.

    direction: raises or lowers. `value`, `usual`: of the column, in its unit; usual is the median
    of customers of the same stage, None where it is not known. `log_odds`: what the family moves by
    its nameable values, beyond the typical customer, above 0 where it raises the risk.
    """

    sentence: str
    direction: str
    family: str
    column: str
    unit: str
    value: float
    usual: float | None
    log_odds: float


def explain_reasons(
    scorer: Scorer, row: pa.Table, columns: list[FeatureColumn], *, against: bool = False
) -> list[Reason]:
    """Every reason of one row, strongest first; `reasons` gives the sentences of the first three.

    `against`: those that speak for the other direction. Empty where the scores are base rates.
    """
    if scorer.status != "ok":
        return []
    used = _model_columns(scorer, columns)
    values = _values(row, used)
    ranked = _rank_families(scorer, row, used, against=against)
    [named], side = _named_columns(scorer, ranked, values), ranked.sides[0]
    [medians] = _medians(scorer, row, len(used))
    return [
        Reason(
            _sentence(side, used[at], values[0, at], medians[at]),
            _direction(side),
            ranked.families[family],
            used[at].name,
            used[at].feature.unit,
            float(values[0, at]),
            medians[at],
            float(side * ranked.moved[0, family]),
        )
        for family, at in named
    ]


def reasons(scorer: Scorer, rows: pa.Table, columns: list[FeatureColumn]) -> list[list[str | None]]:
    """Per row three sentences `raises the risk: …` or `lowers the risk: …`, strongest first.

    None fills up rows with fewer reasons; all are None where the scores are base rates.
    """
    if scorer.status != "ok":
        return [[None] * REASON_COUNT for _ in range(rows.num_rows)]
    used = _model_columns(scorer, columns)
    values = _values(rows, used)
    ranked = _rank_families(scorer, rows, used)
    named = _named_columns(scorer, ranked, values, most=REASON_COUNT)
    medians = _medians(scorer, rows, len(used))
    result: list[list[str | None]] = []
    for row in range(rows.num_rows):
        sentences = [
            _sentence(ranked.sides[row], used[at], values[row, at], medians[row][at])
            for _, at in named[row]
        ]
        result.append([*sentences, *[None] * (REASON_COUNT - len(sentences))])
    return result


def _named_columns(
    scorer: Scorer, ranked: RankedFamilies, values: np.ndarray, *, most: int | None = None
) -> list[list[tuple[int, int]]]:
    """Per row the numbers of (family, column that its sentence names), strongest first."""
    sides = ranked.sides[:, None]
    # On the side of each row: what is above 0 speaks for the direction of its reasons.
    excess, alone = ranked.named * sides, _univariate_effects(scorer, values) * sides
    return [
        [
            (family, _most_telling_column(ranked.members[family], excess[row], alone[row]))
            for family in families[:most].tolist()
            if ranked.moved[row, family] > 0
        ]
        for row, families in enumerate(ranked.order)
    ]


def _medians(scorer: Scorer, rows: pa.Table, columns: int) -> list[tuple[float | None, ...]]:
    """The medians of each row's stage, one for each column; None where nothing is known."""
    reference = scorer.reason_reference
    if reference is None or not reference.usual:
        return [(None,) * columns] * rows.num_rows
    return [reference.usual[stage] for stage in stage_index(rows["stage"].to_numpy())]


def leading_families(
    scorer: Scorer, rows: pa.Table, columns: list[FeatureColumn]
) -> list[str] | None:
    """Per row the family of its strongest reason and `+` (raises) or `-` (lowers).

    None where the scores are base rates and have no reasons.
    """
    if scorer.status != "ok":
        return None
    ranked = _rank_families(scorer, rows, _model_columns(scorer, columns))
    strongest = ranked.order[:, 0]
    return [
        f"{ranked.families[family]} {'+' if side > 0 else '-'}" if moved[family] > 0 else "none"
        for family, side, moved in zip(strongest, ranked.sides, ranked.moved, strict=True)
    ]


@dataclass(frozen=True)
class RankedFamilies:
    """The families of the rows' reasons, strongest first.

    `families`: names. `members`: the numbers of their columns. `sides` (rows,): 1 above the typical
    score, -1 below. `named` (rows, columns): contributions beyond the typical, 0 where the value
    cannot be a reason. `moved` (rows, families): what each moves to the row's side. `order` (rows,
    families).
    """

    families: list[str]
    members: list[np.ndarray]
    sides: np.ndarray
    named: np.ndarray
    moved: np.ndarray
    order: np.ndarray


def _rank_families(
    scorer: Scorer, rows: pa.Table, used: list[FeatureColumn], *, against: bool = False
) -> RankedFamilies:
    families, members = _group_by_family(used)
    excess = _excess_contributions(scorer, rows)
    totals, sides = _family_totals(excess, members)
    sides = -sides if against else sides
    values = _values(rows, used)
    nameable = can_be_reason(used, values, _widespread_spans(scorer, rows), scorer.definitions)
    nameable &= ~written_as_usual(used, values, _usual_values(scorer, rows))
    named = np.where(nameable, excess, 0.0)
    named_totals, _ = _family_totals(named, members)
    # Both the whole family and its nameable values must point that way.
    moved = np.minimum(totals * sides[:, None], named_totals * sides[:, None])
    reference = scorer.reason_reference
    last = np.array([reference is not None and one in reference.last_families for one in families])
    # Families that do harm come after all others; those that move nothing are never named.
    key = np.where(moved > 0, np.where(last, 1.0, 0.0), 2.0)
    order = np.lexsort((-moved, key), axis=1)
    return RankedFamilies(families, members, sides, named, moved, order)


def _values(rows: pa.Table, used: list[FeatureColumn]) -> np.ndarray:
    return np.stack([rows[column.name].to_numpy() for column in used], axis=1)


def _usual_values(scorer: Scorer, rows: pa.Table) -> np.ndarray:
    """The medians that the sentences name, of each row's stage, float64 (rows, columns)."""
    reference = scorer.reason_reference
    if reference is None or not reference.usual:
        return np.full((rows.num_rows, len(scorer.columns)), np.nan)
    medians = np.array(reference.usual, dtype=float)
    return medians[stage_index(rows["stage"].to_numpy())]


def _widespread_spans(scorer: Scorer, rows: pa.Table) -> np.ndarray | None:
    """(rows, columns, 2): the spans of what is true of nearly everyone of the row's stage."""
    reference = scorer.reason_reference
    if reference is None or not reference.widespread:
        return None
    none = (np.nan, np.nan)
    spans = np.array(
        [[none if one is None else one for one in each] for each in reference.widespread]
    )
    return spans[stage_index(rows["stage"].to_numpy())]


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
    return f"{_direction(side)} the risk: {describe_value(column, value, usual)}"


def _direction(side: float) -> str:
    return "raises" if side > 0 else "lowers"
