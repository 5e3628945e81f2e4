"""Customers counted in bins, by stratum of tenure: what drift is measured on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.core.instants import DAY_US
from features.recipes.state_columns import tenure_us

VALUE_BINS = 5  # and one for null
STRATA = 5
NEW_DAYS = 30  # a customer whose first activity lies at most so far back is new


def quantile_edges(values: np.ndarray, count: int) -> tuple[float, ...]:
    """At most `count` − 1 rising upper bounds of about equally full bins; () without a value.

    Values that many customers share give fewer bins.

    >>> quantile_edges(np.array([1.0, 2.0, 3.0, 4.0]), 2)
    (2.5,)
    """
    known = values[np.isfinite(values)]
    if not known.size:
        return ()
    return tuple(np.unique(np.quantile(known, np.arange(1, count) / count)).tolist())


def place_values(values: np.ndarray, edges: Sequence[float], bins: int) -> np.ndarray:
    """The bin of each value, (rows,); null is in the last of `bins`, as what is not finite.

    >>> place_values(np.array([0.0, 2.0, np.nan]), (1.0,), 3).tolist()
    [0, 1, 2]
    """
    places = np.searchsorted(np.asarray(edges), values, side="right")
    return np.where(np.isfinite(values), places, bins - 1)


def count_places(places: np.ndarray, strata: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Rows by stratum, series and bin, float (strata, series, bins), of `places` (rows, series)."""
    _, series, bins = shape
    flat = (strata[:, None] * series + np.arange(series)) * bins + places
    return np.bincount(flat.ravel(), minlength=int(np.prod(shape))).reshape(shape).astype(float)


def column_values(rows: pa.Table, name: str) -> np.ndarray:
    """A column as floats (rows,), null as NaN."""
    values = pc.cast(rows[name], pa.float64()).to_numpy(zero_copy_only=False)
    return np.asarray(values, dtype=np.float64)


def tenure_days(rows: pa.Table) -> np.ndarray:
    """Days as a customer, (rows,); 0 where nothing says since when."""
    return np.nan_to_num(np.asarray(tenure_us(rows), dtype=np.float64)) / DAY_US


def are_new(rows: pa.Table) -> np.ndarray:
    """Whether a customer's first activity lies within NEW_DAYS before as_of, bool (rows,)."""
    return tenure_days(rows) <= NEW_DAYS


def eligible_rows(rows: pa.Table) -> pa.Table:
    """The headline population: like is compared with like."""
    return rows.filter(pc.fill_null(rows["eligible"], False))
