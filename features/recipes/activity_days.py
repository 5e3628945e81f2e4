"""The days with activity of all customers as arrays, a customer's after the other's.

They are the rows of `Known.activity` in the order of customer and instant, without a table of them:
an array of 8 bytes a row. Arithmetic over them is done a part of the customers at a time, so that
it needs little more memory than the instants themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.core.instants import DAY_US
from features.tables.history import History, Known
from features.tables.queries import first_value

PART = 1 << 20  # activities at once
_BATCH = 20_000  # customers
# Of events; the engine needs some 40 bytes for each, which it cannot write to disk.
ROWS_AT_ONCE = 8_000_000


@dataclass(frozen=True)
class SomeDays:
    """The activities of some customers. starts: (customers,) places in `at`; at: (activities,)."""

    starts: np.ndarray
    at: np.ndarray

    @cached_property
    def counts(self) -> np.ndarray:
        """(customers,) how many activities each one has."""
        return np.diff(self.starts, append=self.at.size)

    @cached_property
    def position(self) -> np.ndarray:
        """(activities,) 1 for the first of each customer."""
        return np.arange(1, self.at.size + 1) - np.repeat(self.starts, self.counts)

    @cached_property
    def first(self) -> np.ndarray:
        """(activities,) the instant of the customer's first activity, for every activity."""
        return np.repeat(self.at[self.starts], self.counts)

    @cached_property
    def last(self) -> np.ndarray:
        """(customers,) places in `at` of each one's last activity."""
        return self.starts + self.counts - 1

    @cached_property
    def closing(self) -> np.ndarray:
        """(gaps,) places in `at` of the activities that end a gap: all but each one's first."""
        return np.flatnonzero(self.position > 1)

    @cached_property
    def gaps(self) -> np.ndarray:
        """(gaps,) µs of every completed gap, int64."""
        return self.at[self.closing] - self.at[self.closing - 1]


@dataclass(frozen=True)
class ActivityDays:
    """Every local day with activity of every customer, at its first event.

    customers: (customers,) ids, rising. starts: (customers + 1,) places in `at`. at: (activities,)
    µs, rising within a customer.
    """

    customers: pa.Array
    starts: np.ndarray
    at: np.ndarray

    @property
    def counts(self) -> np.ndarray:
        return np.diff(self.starts)

    @property
    def gaps(self) -> int:
        """How many completed gaps there are."""
        return self.at.size - len(self.customers)

    def parts(self, most: int = PART) -> Iterator[SomeDays]:
        """All customers in their order, in parts of about `most` activities."""
        low, end = 0, len(self.customers)
        while low < end:
            limit = np.searchsorted(self.starts, self.starts[low] + most, side="right") - 1
            high = max(low + 1, int(limit))
            begin = self.starts[low]
            yield SomeDays(self.starts[low:high] - begin, self.at[begin : self.starts[high]])
            low = high


def days_of_frame(activity: nw.LazyFrame) -> ActivityDays:
    """The arrays of `Known.activity`, where it is computed anyway."""
    frame = activity.select("customer_id", "occurred_at", "position")
    days = frame.sort("customer_id", "occurred_at").collect(backend="pyarrow").to_native()
    starts = np.flatnonzero(days["position"].to_numpy() == 1)
    customers = days["customer_id"].take(pa.array(starts)).combine_chunks()
    return ActivityDays(customers, np.append(starts, days.num_rows), days["occurred_at"].to_numpy())


def read_activity_days(history: History, known: Known) -> ActivityDays:
    """The arrays from the events themselves: `Known.activity` is not computed for them."""
    rows = history.qualifying(known.tables[history.activity_table])
    rows = rows.select("customer_id", "occurred_at", "local_day")
    count = first_value(history.connection, f"SELECT count(*) FROM {history.activity_table}")
    ids, counts, instants = [], [], []
    for codes in _read_lists(rows, groups=1 + count // ROWS_AT_ONCE):
        flat, lengths = codes.column(1).flatten().to_numpy(), codes.column(1).value_lengths()
        at, number = _first_of_each_day(flat, lengths.to_numpy())
        ids.append(codes.column(0))
        counts.append(number)
        instants.append(at)
    if not ids:
        return ActivityDays(pa.array([], pa.string()), np.zeros(1, np.int64), np.zeros(0, np.int64))
    return _in_order(pa.concat_arrays(ids), np.concatenate(counts), instants)


def _read_lists(rows: nw.LazyFrame, *, groups: int) -> Iterator[pa.RecordBatch]:
    """(customer_id, the sorted codes of their events), a group of the customers after the other."""
    # One number holds the instant and its local day, which is at most a day from that in UTC.
    code = f"occurred_at * 4 + (local_day - occurred_at // {DAY_US} + 1)"
    for group in range(groups):
        chosen = f"WHERE hash(customer_id) % {groups} = {group}" if groups > 1 else ""
        relation = rows.to_native().query(
            "events",
            f"SELECT customer_id, list_sort(list({code})) AS codes FROM events {chosen} "
            "GROUP BY ALL",
        )
        yield from relation.to_arrow_reader(_BATCH)


def _first_of_each_day(codes: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(instants of the first event of each local day, how many of each customer).

    codes: sorted within each customer, who has the next of the `lengths`.
    """
    at = codes >> 2
    day = at // DAY_US + (codes & 3) - 1
    starts = np.cumsum(lengths) - lengths
    is_new = np.ones(codes.size, bool)
    is_new[1:] = day[1:] != day[:-1]
    is_new[starts] = True
    back = np.flatnonzero(day[1:] < day[:-1]) + 1
    if np.setdiff1d(back, starts).size:
        # A clock that went back over midnight: a day was left and came again.
        customer = np.repeat(np.arange(lengths.size), lengths)
        order = np.lexsort((at, day, customer))
        again = (np.diff(day[order]) == 0) & (np.diff(customer[order]) == 0)
        is_new[:] = True
        is_new[order[1:][again]] = False
    return at[is_new], np.add.reduceat(is_new, starts, dtype=np.int64)


def _in_order(ids: pa.Array, counts: np.ndarray, instants: list[np.ndarray]) -> ActivityDays:
    """The arrays in the order of the ids; `instants` is emptied."""
    order = pc.sort_indices(ids).to_numpy()
    unordered = np.concatenate(instants)
    instants.clear()
    begin = (np.cumsum(counts) - counts)[order]
    sorted_counts = counts[order]
    days = ActivityDays(
        ids.take(pa.array(order)), np.append(0, np.cumsum(sorted_counts)), np.empty_like(unordered)
    )
    low = 0
    # A part at a time: the places of all activities would need as much memory as the instants.
    for part in days.parts():
        high = low + part.starts.size
        places = np.repeat(begin[low:high] - part.starts, sorted_counts[low:high])
        places += np.arange(part.at.size)
        part.at[:] = unordered[places]
        low = high
    return days
