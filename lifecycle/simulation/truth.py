"""The truth, which is in no table of the business: p_leave of each customer, month by month."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import numpy as np
import pyarrow as pa

from lifecycle.simulation.world import START, LeaveProbability, People, event_rows


def truth_table(
    people: People,
    leave_probability: LeaveProbability,
    days: int,
    horizon: int,
    actions: tuple[str, ...] = (),
) -> pa.Table:
    """One row for the first of each month and each customer acquired before it.

    actions: the names of those under which `leave_probability` is known, too.
    """
    parts = [np.empty((4 + len(actions), 0))]
    for day in _first_of_months(days - horizon):
        known = np.flatnonzero(people.acquired < day)
        parts.append(event_rows(known, day, *leave_probability(day)[:, known]))
    who, day, p, left, *under = np.concatenate(parts, axis=1)
    columns = {
        "customer_id": people.ids.take(pa.array(who.astype(int))),
        "as_of": pa.array(np.datetime64(START, "D") + day.astype(int)),
        "p_leave": p,
        "left": left > 0,
        **{f"p_leave_{name}": each for name, each in zip(actions, under, strict=True)},
    }
    return pa.table(columns)


def _first_of_months(last: int) -> Iterator[int]:
    for month in range(6, 6 + max(last, 0) // 28):
        day = (date(START.year + month // 12, month % 12 + 1, 1) - START).days
        if day <= last:
            yield day
