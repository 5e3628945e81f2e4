"""Features, scores, stages and new customers of a run, beside the training dates."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pyarrow as pa

from features.recipes.stages import STAGES
from serving.release.reference_file import Reference, ReferenceKind
from training.drift.bins import (
    VALUE_BINS,
    are_new,
    column_values,
    count_places,
    place_values,
    tenure_days,
)
from training.drift.fit_reference import SCORE, stage_places
from training.monitor.kinds import KindResult, judge_kind


def judge_distributions(
    rows: pa.Table, reference: Reference, *, as_of: int, skip: Collection[str] = ()
) -> dict[str, KindResult]:
    """The four kinds of eligible feature rows with p_churn at `as_of` (µs).

    `skip`: columns of tables that the run went without.
    """
    tenure = tenure_days(rows)
    strata = np.searchsorted(np.asarray(reference.tenure), tenure, side="right")
    results = {}
    for kind, part in reference.kinds.items():
        chosen = np.array([name not in skip for name in part.names], dtype=bool)
        layers = np.zeros_like(strata) if kind == "newcomers" else strata
        now = _count_kind(rows, kind, part, layers, len(reference.tenure) + 1)
        results[kind] = judge_kind(
            kind,
            [name for name in part.names if name not in skip],
            now[:, chosen],
            part.counts[:, chosen] / max(len(reference.dates), 1),
            calm=part.calm[chosen],
            trend=part.trend[chosen],
            dates=np.asarray(reference.dates, dtype=np.int64),
            as_of=as_of,
        )
    return results


def _count_kind(
    rows: pa.Table, kind: str, part: ReferenceKind, strata: np.ndarray, layers: int
) -> np.ndarray:
    """Counts (strata, series, bins) of one kind."""
    if kind == "stages":
        places, bins = stage_places(rows)[:, None], len(STAGES)
    elif kind == "newcomers":
        places, bins = are_new(rows).astype(np.int64)[:, None], 2
    else:
        bins = VALUE_BINS + 1
        columns = [
            place_values(_values(rows, name), edges, bins)
            for name, edges in zip(part.names, part.edges, strict=True)
        ]
        places = np.stack(columns, axis=1) if columns else np.empty((rows.num_rows, 0), np.int64)
    return count_places(places, strata, (layers, len(part.names), bins))


def _values(rows: pa.Table, name: str) -> np.ndarray:
    if name != SCORE and name not in rows.column_names:
        return np.full(rows.num_rows, np.nan)
    return column_values(rows, name)
