"""What reasons compare a score with: the typical eligible customer of the training rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from features.engine.columns import FeatureColumn
from features.recipes.stages import STAGES
from serving.scoring.parts import design_matrix, signed_log1p
from serving.scoring.reason_values import same_sentence_span
from serving.scoring.scorer import ReasonReference, Scorer, stage_index

MIN_ROWS = 30  # of fewer rows nothing is typical
REFERENCE_ROWS = 5000
# A sentence that is true of at least this share of a stage says nothing about one customer.
WIDESPREAD_SHARE = 0.95

Span = tuple[float, float]


def reason_reference(
    scorer: Scorer,
    rows: pa.Table,
    columns: Sequence[FeatureColumn],
    *,
    last_families: Sequence[str] = (),
    most: int = REFERENCE_ROWS,
) -> ReasonReference:
    """What is typical of eligible rows (of all rows where they are few); reasons compare with it.

    Over everyone, whatever marks customers who left long ago would hide everything else. Mean
    contributions come from up to `most` evenly spaced rows; no score depends on them.

    `columns`: at least those of the scorer. `last_families`: families whose reasons come last.
    """
    by_name = {column.name: column for column in columns}
    used = [by_name[name] for name in scorer.columns]
    eligible = rows.filter(rows["eligible"])
    rows = eligible if eligible.num_rows >= MIN_ROWS else rows
    count = min(rows.num_rows, most)
    sample = np.unique(np.linspace(0, rows.num_rows - 1, count).astype(int))
    contributions = scorer.contributions(rows.take(pa.array(sample)))[:, : len(used)]
    mean_contribution = tuple(float(value) for value in contributions.mean(axis=0))
    values = signed_log1p(design_matrix(rows, scorer.columns)[:, : len(used)])
    churned = rows["churned"].to_numpy().astype(float)
    pairs = [_typical_and_direction(column, churned) for column in values.T]
    typical, direction = tuple(t for t, _ in pairs), tuple(d for _, d in pairs)
    usual, widespread = _usual_and_widespread(rows, used)
    return ReasonReference(
        typical, direction, mean_contribution, usual, widespread, tuple(last_families)
    )


def _usual_and_widespread(
    rows: pa.Table, columns: Sequence[FeatureColumn]
) -> tuple[tuple[tuple[float | None, ...], ...], tuple[tuple[Span | None, ...], ...]]:
    """Per stage the medians and the widespread spans; those of all rows where it has few."""
    values = np.stack([rows[column.name].to_numpy() for column in columns], axis=1)
    stage = stage_index(rows["stage"].to_numpy())
    counts = np.bincount(stage, minlength=len(STAGES))
    everybody = _medians(values), _widespread_spans(columns, values)
    by_stage = [
        everybody
        if count < MIN_ROWS
        else (
            _medians(values[stage == number]),
            _widespread_spans(columns, values[stage == number]),
        )
        for number, count in enumerate(counts)
    ]
    return tuple(medians for medians, _ in by_stage), tuple(spans for _, spans in by_stage)


def _widespread_spans(
    columns: Sequence[FeatureColumn], values: np.ndarray
) -> tuple[Span | None, ...]:
    """Per column the values of a sentence true of WIDESPREAD_SHARE of the rows, or None."""
    spans: list[Span | None] = []
    for column, cells in zip(columns, values.T, strict=True):
        known = np.sort(cells[~np.isnan(cells)])
        if known.size < WIDESPREAD_SHARE * cells.size or not known.size:
            spans.append(None)
            continue
        # What is true of more than half is true of the median value.
        low, high = same_sentence_span(column, float(known[(known.size - 1) // 2]))
        count = np.searchsorted(known, high, "right") - np.searchsorted(known, low, "left")
        spans.append((low, high) if count >= WIDESPREAD_SHARE * cells.size else None)
    return tuple(spans)


def _medians(values: np.ndarray) -> tuple[float | None, ...]:
    known = [column[~np.isnan(column)] for column in values.T]
    return tuple(float(np.median(column)) if column.size else None for column in known)


def _typical_and_direction(column: np.ndarray, churned: np.ndarray) -> tuple[float, float]:
    """(mean of the known values, direction of their correlation with churn per unit)."""
    seen = ~np.isnan(column)
    if not seen.any():
        return 0.0, 0.0
    away = column[seen] - column[seen].mean()
    left = churned[seen] - churned[seen].mean()
    spread = (away @ away) * np.sqrt(max(left @ left, 1e-12))
    direction = float(away @ left / spread * np.sqrt(seen.sum())) if spread > 1e-9 else 0.0
    return float(column[seen].mean()), direction
