"""Feature rows with what a curve reads, and curves with random hazards."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa

from features.recipes.stages import STAGES
from serving.scoring.curve import Curve, Hazards
from serving.scoring.curve_inputs import RHYTHM_COLUMNS, TERM_COLUMNS, Scale

GRID = (7, 30, 60, 90, 365)


def feature_rows(count: int, seed: int = 0) -> pa.Table:
    """Rows with what a curve reads, some of it null."""
    rng = np.random.default_rng(seed)
    stages = np.array([s for s in STAGES if s != "prospect"])[rng.integers(0, 6, count)]
    covered = rng.random(count) < 0.7
    columns = {
        "customer_id": [f"c{k}" for k in range(count)],
        "stage": stages.tolist(),
        "eligible": covered.tolist(),
        "n": rng.integers(1, 20, count),
        "as_of": np.full(count, 10**15),
    }
    for name in (*RHYTHM_COLUMNS, *TERM_COLUMNS):
        values = rng.exponential(30, count)
        if name in ("cancelled", "auto_renews", "can_end"):
            values = np.round(rng.random(count))
        columns[name] = pa.array(values, mask=rng.random(count) < 0.1)
    return pa.table(columns)


def random_hazards(seed: int, *, with_terms: bool) -> Hazards:
    rng = np.random.default_rng(seed)
    columns = 1 + len(RHYTHM_COLUMNS)
    scale = Scale(
        rng.normal(0, 1, columns), np.ones(columns), np.full(columns, -5.0), np.full(columns, 5.0)
    )
    inputs = 4 + 2 * len(RHYTHM_COLUMNS) + (17 if with_terms else 0)
    return Hazards(
        RHYTHM_COLUMNS,
        with_terms,
        scale,
        rng.normal(-2, 2, len(GRID)),
        rng.normal(0, 1, (len(GRID), inputs)),
        rng.integers(1, 500, len(GRID)),
    )


def random_curve(seed: int, *, contractual: bool = False) -> Curve:
    if not contractual:
        return Curve(GRID, 60, random_hazards(seed, with_terms=False))
    cancelled = random_hazards(seed + 2, with_terms=True)
    return Curve(
        GRID,
        60,
        random_hazards(seed, with_terms=False),
        random_hazards(seed + 1, with_terms=True),
        replace(
            cancelled,
            intercepts=cancelled.intercepts[:1],
            weights=cancelled.weights[:1],
            rows=cancelled.rows[:1],
        ),
    )
