"""How far scores moved between neighbouring dates of a training; runs are judged by it.

Between two dates a business changes: mean p, the shares of the stages, the number of eligible
customers. The largest change that the training dates hold is what `lifecycle score` compares with
(`serving.batch.shift`): a run that moves much further looks wrong. p is out of fold, so that a date
is predicted as a date that was not learned.
"""

from __future__ import annotations

from dataclasses import asdict
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from features.core.instants import DAY_US
from serving.scoring.movement import NAMES, describe_rows, moved


def movement_report(rows: pa.Table, p: np.ndarray) -> dict[str, Any]:
    """{"dates", "days", "largest", "newest"}: how far neighbouring dates of the rows lie apart.

    `p` (rows,): out of fold, NaN where there is none; such a date has no mean_p. `days`: the
    longest time between neighbours. `largest`: by name of NAMES, None where no two dates have it.
    `newest`: the summary of the newest date and its `as_of` (µs), for a first run, which has no
    former run; absent without rows.
    """
    as_of = rows["as_of"].to_numpy()
    dates = np.unique(as_of)
    described = []
    for at in dates:
        mine = as_of == at
        described.append(describe_rows(rows.filter(pa.array(mine)), p[mine]))
    pairs = [moved(one, other) for one, other in pairwise(described)]
    largest = {name: _largest([pair[name] for pair in pairs]) for name in NAMES}
    gaps = np.diff(dates) / DAY_US
    newest = {"newest": {"as_of": int(dates[-1]), **asdict(described[-1])}} if described else {}
    return {
        "dates": len(dates),
        "days": round(float(gaps.max()), 6) if gaps.size else None,
        "largest": largest,
        **newest,
    }


def _largest(values: list[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
