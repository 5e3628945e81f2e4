"""Figures of the state columns of feature rows, for whoever reads a table of them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def recency_us(rows: pa.Table) -> np.ndarray:
    """µs since the last activity, (rows,); without one since the start of unbroken cover."""
    return rows["as_of"].to_numpy() - rows["recency_from"].to_numpy()


def tenure_us(rows: pa.Table) -> np.ndarray:
    """µs since the first activity, (rows,); without one since the start of unbroken cover."""
    return rows["as_of"].to_numpy() - pc.coalesce(rows["first_at"], rows["recency_from"]).to_numpy()


def activity_span(rows: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """(first, last) activity in µs, (rows,) each; as_of for a customer without activity."""
    first, last = (pc.coalesce(rows[name], rows["as_of"]) for name in ("first_at", "last_at"))
    return first.to_numpy(), last.to_numpy()
