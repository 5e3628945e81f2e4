"""What is known of customers before a decision."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.core.instants import DAY_US
from features.tables.history import Known

# Of everybody, besides the scores of a plan.
BEFORE = ("recency_days", "activities", "days_since_first", "activities_90d")


def known_before(known: Known, customers: pa.ChunkedArray, at: int) -> np.ndarray:
    """(n, 4): BEFORE, of what was known at the decision."""
    rows = known.activity.select("customer_id", "occurred_at")
    rows = rows.collect(backend="pyarrow").to_native()
    recent = pc.greater_equal(rows["occurred_at"], at - 90 * DAY_US).cast(pa.int64())
    rows = rows.append_column("recent", recent)
    counts = rows.group_by("customer_id").aggregate(
        [
            ("occurred_at", "max"),
            ("occurred_at", "min"),
            ("occurred_at", "count"),
            ("recent", "sum"),
        ]
    )
    places = pc.index_in(customers, counts["customer_id"].combine_chunks())
    last, first, count, late = (
        counts.take(places)[name].to_numpy(zero_copy_only=False).astype(float)
        for name in ("occurred_at_max", "occurred_at_min", "occurred_at_count", "recent_sum")
    )
    columns = [(at - last) / DAY_US, count, (at - first) / DAY_US, late]
    return np.column_stack([np.log1p(np.nan_to_num(each)) for each in columns])
