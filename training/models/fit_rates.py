"""Where there is not enough for a model: rates of leaving, and what became of stayers by stage and activities."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from features.core.settings import Settings
from features.recipes.definitions import Definitions
from features.recipes.stages import STAGES
from serving.scoring.parts import Blend, design
from serving.scoring.rates import Rates
from serving.scoring.scorer import stage_index
from training.models import fit_cannot_churn, fit_cells
from training.models import next_stage as stages

OWN = ("past_stay_rate", "past_windows")
SEGMENT = "segment"  # the attribute that says what kind of customer it is
# Rows behind the rate of a segment, of a stage, of the own past: the stage holds most of what the own past says.
BEHIND = (10.0, 10.0, 20.0)


def churn(
    rows: pa.Table, columns: tuple[str, ...], definitions: Definitions, settings: Settings
) -> Blend:
    """The rates of labelled rows (one or more): of everyone (one success and one failure added), segment and stage.

    The own past comes with each row to be scored, as far as its columns are there. With contracts it is left out:
    activity says nothing about whether cover ended.
    """
    left = rows["churned"].to_numpy().astype(float)
    at = {name: number for number, name in enumerate(columns)}
    own = () if settings.contractual or not set(OWN) <= set(at) else tuple(at[name] for name in OWN)
    segments = [name for name in _segments(definitions) if name in at]
    in_segment = [rows[name].to_numpy(zero_copy_only=False).astype(float) == 1 for name in segments]
    in_stage = [stage_index(rows["stage"].to_numpy()) == number for number in range(len(STAGES))]
    part = Rates(
        float((left.sum() + 1) / (len(left) + 2)),
        _counts(in_segment, left),
        _counts(in_stage, left),
        tuple(at[name] for name in segments),
        len(columns),
        own,
        BEHIND,
    )
    never = fit_cannot_churn.settled(
        design(rows, columns), rows["churned"].to_numpy().astype(int), columns, settings
    )
    return Blend(((1.0, part),) if never is None else ((1.0, part), (1.0, never)))


def next_stage(rows: pa.Table, columns: tuple[str, ...]) -> tuple[Blend, tuple[str, ...]]:
    """q by stage and activities, backed by everybody's frequencies; those alone where nobody stayed."""
    kept = stages.stayers(rows)
    if not kept.num_rows:
        return stages.frequencies(rows)
    classes = stages.classes_of(kept)
    labels = np.array([classes.index(stage) for stage in kept["outcome_stage"].to_pylist()])
    part = fit_cells.fit(
        design(kept, columns), labels, columns=columns, outputs=max(len(classes), 2)
    )
    return Blend(((1.0, part),)), classes


def _segments(definitions: Definitions) -> list[str]:
    return [
        column
        for one in definitions.attributes
        if one.name == SEGMENT and one.type == "text"
        for _, column in one.columns
    ]


def _counts(groups: list[np.ndarray], left: np.ndarray) -> np.ndarray:
    return np.array([(left[m].sum(), m.sum()) for m in groups], dtype=float).reshape(-1, 2)
