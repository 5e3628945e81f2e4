"""Rates instead of a model, where the data are too few for one or the model has no skill.

Churn rates of everybody, the segment, the eligible, the stage; next stages by stage and activities.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa

from features.recipes.definitions import Definitions
from features.recipes.stages import STAGES
from serving.scoring.parts import Blend, design_matrix
from serving.scoring.rates import Rates
from serving.scoring.scorer import stage_index
from training.models import fit_cannot_churn, fit_cells
from training.models import next_stage as stages

OWN_PAST_COLUMNS = ("past_retention_rate", "past_windows")
SEGMENT = "segment"  # the attribute that says what kind of customer it is
# Who is eligible: with contracts who has cover (the column is known), else who was active lately.
COVER_COLUMN, RECENCY_COLUMN = "can_end", "recency"
# Rows of the coarser rate added to that of a segment, of the eligible, of a stage, of the own past.
# The own past gets more, because the stage holds most of what the own past says.
PRIOR_STRENGTHS = (10.0, 10.0, 10.0, 20.0)


def fit_rates(
    rows: pa.Table, columns: tuple[str, ...], definitions: Definitions, *, contractual: bool
) -> Blend:
    """The churn rates of labelled rows (one or more): of everybody and of finer levels.

    The rate of everybody has one success and one failure added. The own past comes with each row
    that is scored, as far as its columns exist. With contracts it is not used: activity does not
    tell whether cover ended.
    """
    churned = rows["churned"].to_numpy().astype(float)
    base = _base_rates(rows, columns, definitions)
    eligible = _is_eligible(rows, columns, base)
    position = {name: number for number, name in enumerate(columns)}
    use_own_past = not contractual and set(OWN_PAST_COLUMNS) <= set(position)
    segments = [name for name in _segment_columns(definitions) if name in position]
    in_segment = [rows[name].to_numpy(zero_copy_only=False).astype(float) == 1 for name in segments]
    stage = stage_index(rows["stage"].to_numpy())
    in_stage = [
        (eligible == side) & (stage == number)
        for side in (False, True)
        for number in range(len(STAGES))
    ]
    part = replace(
        base,
        segment=_counts(in_segment, churned),
        stage=_counts(in_stage, churned),
        segment_columns=tuple(position[name] for name in segments),
        own_past_columns=tuple(position[name] for name in OWN_PAST_COLUMNS) if use_own_past else (),
    )
    never = fit_cannot_churn.fit_cannot_churn(
        design_matrix(rows, columns),
        rows["churned"].to_numpy().astype(int),
        columns,
        contractual=contractual,
    )
    return Blend(((1.0, part),) if never is None else ((1.0, part), (1.0, never)))


def fit_base_rates(rows: pa.Table, columns: tuple[str, ...], definitions: Definitions) -> Blend:
    """The rates of the eligible and of the others: the score without skill.

    Nothing is known to tell eligible customers apart, but those who left long ago are no measure
    for them.
    """
    return Blend(((1.0, _base_rates(rows, columns, definitions)),))


def _base_rates(rows: pa.Table, columns: tuple[str, ...], definitions: Definitions) -> Rates:
    """The rate of everybody, and of the eligible and the others where a column tells them apart."""
    name = COVER_COLUMN if definitions.contractual else RECENCY_COLUMN
    most = np.finfo(float).max if definitions.contractual else float(definitions.eligible_days)
    churned = rows["churned"].to_numpy().astype(float)
    part = Rates(
        everyone=float((churned.sum() + 1) / (len(churned) + 2)),
        segment=np.zeros((0, 2)),
        eligibility=np.zeros((2, 2)),
        stage=np.zeros((2 * len(STAGES), 2)),
        segment_columns=(),
        eligible_column=columns.index(name) if name in columns else None,
        eligible_most=float(most),
        stage_start=len(columns),
        own_past_columns=(),
        prior_strength=PRIOR_STRENGTHS,
    )
    if part.eligible_column is None:
        return part
    eligible = _is_eligible(rows, columns, part)
    return replace(part, eligibility=_counts([~eligible, eligible], churned))


def _is_eligible(rows: pa.Table, columns: tuple[str, ...], part: Rates) -> np.ndarray:
    return part.eligible_rows(design_matrix(rows, columns)).astype(bool)


def fit_stage_rates(rows: pa.Table, columns: tuple[str, ...]) -> tuple[Blend, tuple[str, ...]]:
    """(q, its classes) by stage and activities, smoothed towards everybody's frequencies.

    Everybody's frequencies alone where nobody stayed.
    """
    stayed = stages.stayers(rows)
    if not stayed.num_rows:
        return stages.fit_frequencies(rows)
    classes = stages.classes_of(stayed)
    labels = np.array([classes.index(stage) for stage in stayed["outcome_stage"].to_pylist()])
    part = fit_cells.fit_cells(
        design_matrix(stayed, columns), labels, columns=columns, outputs=max(len(classes), 2)
    )
    return Blend(((1.0, part),)), classes


def _segment_columns(definitions: Definitions) -> list[str]:
    return [
        column
        for attribute in definitions.attributes
        if attribute.name == SEGMENT and attribute.type == "text"
        for _, column in attribute.columns
    ]


def _counts(groups: list[np.ndarray], churned: np.ndarray) -> np.ndarray:
    """(churners, rows) of each group, given as masks: float (groups, 2)."""
    return np.array([(churned[m].sum(), m.sum()) for m in groups], dtype=float).reshape(-1, 2)
