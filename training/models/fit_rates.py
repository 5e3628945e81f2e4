"""Rates instead of a model, for businesses whose data are too few for one.

Churn rates of everybody, the segment and the stage; next stages by stage and activities.
"""

from __future__ import annotations

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
# Rows of the coarser rate added to that of a segment, of a stage, of the own past. The own past
# gets more, because the stage holds most of what the own past says.
PRIOR_STRENGTHS = (10.0, 10.0, 20.0)


def fit_rates(
    rows: pa.Table, columns: tuple[str, ...], definitions: Definitions, *, contractual: bool
) -> Blend:
    """The churn rates of labelled rows (one or more): of everybody, by segment and by stage.

    The rate of everybody has one success and one failure added. The own past comes with each row
    that is scored, as far as its columns exist. With contracts it is not used: activity does not
    tell whether cover ended.
    """
    churned = rows["churned"].to_numpy().astype(float)
    position = {name: number for number, name in enumerate(columns)}
    use_own_past = not contractual and set(OWN_PAST_COLUMNS) <= set(position)
    segments = [name for name in _segment_columns(definitions) if name in position]
    in_segment = [rows[name].to_numpy(zero_copy_only=False).astype(float) == 1 for name in segments]
    in_stage = [stage_index(rows["stage"].to_numpy()) == number for number in range(len(STAGES))]
    part = Rates(
        float((churned.sum() + 1) / (len(churned) + 2)),
        _counts(in_segment, churned),
        _counts(in_stage, churned),
        tuple(position[name] for name in segments),
        len(columns),
        tuple(position[name] for name in OWN_PAST_COLUMNS) if use_own_past else (),
        PRIOR_STRENGTHS,
    )
    never = fit_cannot_churn.fit_cannot_churn(
        design_matrix(rows, columns),
        rows["churned"].to_numpy().astype(int),
        columns,
        contractual=contractual,
    )
    return Blend(((1.0, part),) if never is None else ((1.0, part), (1.0, never)))


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
