"""The training dates as later runs are compared with them: bins, counts, and the calm variation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from features.recipes.stages import STAGES
from serving.release.reference_file import Reference, ReferenceKind, ReferenceOutcomes
from training.drift.bins import (
    STRATA,
    VALUE_BINS,
    are_new,
    column_values,
    count_places,
    eligible_rows,
    place_values,
    quantile_edges,
    tenure_days,
)
from training.drift.statistic import fit_calm

SCORE = "p_churn"


def fit_reference(rows: pa.Table, p: np.ndarray, columns: Sequence[str]) -> Reference:
    """The reference of labelled feature rows of all refit dates; of the eligible alone.

    `p` (rows,): P(churn), out of fold, NaN where there is none. `columns`: those a model may use;
    text is left out.
    """
    rows = eligible_rows(rows.append_column(SCORE, pa.array(p, pa.float64())))
    as_of = rows["as_of"].to_numpy()
    dates = np.unique(as_of)
    tenure = tenure_days(rows)
    bounds = quantile_edges(tenure, STRATA)
    strata = np.searchsorted(np.asarray(bounds), tenure, side="right")
    columns = [name for name in columns if not pa.types.is_string(rows.schema.field(name).type)]
    kinds = {}
    for kind, names in {"features": columns, "scores": [SCORE]}.items():
        values = {name: column_values(rows, name) for name in names}
        edges = [quantile_edges(values[name], VALUE_BINS) for name in names]
        places = [
            place_values(values[name], each, VALUE_BINS + 1)
            for name, each in zip(names, edges, strict=True)
        ]
        kinds[kind] = _fit_kind(names, edges, places, strata, as_of, VALUE_BINS + 1, len(bounds))
    groups = {"stages": stage_places(rows), "newcomers": are_new(rows).astype(int)}
    for kind, place in groups.items():
        # The share of new customers is a mix of tenures itself.
        layers = strata if kind == "stages" else np.zeros_like(strata)
        bins = len(STAGES) if kind == "stages" else 2
        kinds[kind] = _fit_kind([kind], [()], [place], layers, as_of, bins, len(bounds))
    outcomes = tuple(_outcomes(rows.filter(pa.array(as_of == at))) for at in dates)
    return Reference(tuple(dates.tolist()), bounds, kinds, outcomes)


def stage_places(rows: pa.Table) -> np.ndarray:
    """The position of each row's stage in STAGES, (rows,)."""
    places = {stage: k for k, stage in enumerate(STAGES)}
    return np.array([places[stage] for stage in rows["stage"].to_pylist()], dtype=np.int64)


def _fit_kind(
    names: Sequence[str],
    edges: Sequence[tuple[float, ...]],
    places: Sequence[np.ndarray],
    strata: np.ndarray,
    as_of: np.ndarray,
    bins: int,
    bounds: int,
) -> ReferenceKind:
    stacked = np.stack(places, axis=1) if names else np.empty((len(strata), 0), np.int64)
    shape = (bounds + 1, len(names), bins)
    dates = np.unique(as_of)
    counts = np.array(
        [count_places(stacked[as_of == at], strata[as_of == at], shape) for at in dates]
    ).reshape(len(dates), *shape)
    calm, trend = fit_calm(counts, dates)
    return ReferenceKind(tuple(names), tuple(edges), counts.sum(0).astype(np.int64), calm, trend)


def _outcomes(rows: pa.Table) -> ReferenceOutcomes:
    p, left = column_values(rows, SCORE), column_values(rows, "churned")
    known = np.isfinite(p)
    p, left = p[known], left[known]
    return ReferenceOutcomes(len(p), int(left.sum()), float(p.sum()), float((p * (1 - p)).sum()))
