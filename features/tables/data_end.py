"""The end of the data: the newest row, but for a few rows that stand alone far after all others.

One order dated ten months ahead would move the end of the data by ten months: nearly everybody
would then look as if they had left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Fewer days or rows say too little about how long a table is usually silent.
MIN_DAYS, MIN_ROWS = 30, 100
# At most so many rows stand alone: a share of all, or a few.
LONELY_SHARE, LONELY_ROWS = 0.001, 3
LONELY_DAYS, LONELY_TIMES = 14, 5


@dataclass(frozen=True)
class LonelyDays:
    """The newest or the oldest days of a table, if they stand alone.

    rows: their number. first, last: the first and the last of these days. edge: the day of all
    other rows that is nearest to them. Days are those of the argument of `lonely_end`.
    """

    rows: int
    first: int
    last: int
    edge: int

    @property
    def gap_days(self) -> int:
        """Days between the lonely ones and the others."""
        return self.first - self.edge if self.first > self.edge else self.edge - self.last


def lonely_end(days: np.ndarray, rows: np.ndarray, *, newest: bool = True) -> LonelyDays | None:
    """The newest (or oldest) days that stand alone; None where none do.

    days: (days,) sorted day numbers with rows. rows: (days,) their counts. Days stand alone if they
    hold at most LONELY_SHARE of the rows (or LONELY_ROWS), and are further from the others than
    LONELY_TIMES the longest silence among the others, and than LONELY_DAYS.

    >>> dense = np.arange(100)
    >>> lonely_end(np.append(dense, 400), np.full(101, 5)) is None  # five rows are not few of 505
    True
    >>> lonely_end(np.append(dense, 400), np.append(np.full(100, 5), 1)).gap_days
    301
    """
    if days.size < MIN_DAYS or rows.sum() < MIN_ROWS:
        return None
    if not newest:
        mirrored = lonely_end(-days[::-1], rows[::-1])
        if mirrored is None:
            return None
        return LonelyDays(mirrored.rows, -mirrored.last, -mirrored.first, -mirrored.edge)
    most = max(LONELY_ROWS, int(rows.sum() * LONELY_SHARE))
    from_end, from_start = np.cumsum(rows[::-1])[::-1], np.cumsum(rows)
    gaps = np.diff(days)
    # Strange rows may stand at both ends; the usual silence is that of the days between.
    usual = gaps[(from_start[:-1] > most) & (from_end[1:] > most)].max(initial=0)
    limit = max(LONELY_DAYS, LONELY_TIMES * int(usual))
    alone = np.flatnonzero((from_end[1:] <= most) & (gaps > limit))
    if not alone.size:
        return None
    first = int(alone[0]) + 1
    return LonelyDays(int(from_end[first]), int(days[first]), int(days[-1]), int(days[first - 1]))
