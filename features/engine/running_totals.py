"""Additive reductions at many instants at once, from running totals.

The rows of a table are sorted by customer and instant. A count or sum over [from, until) of one
customer is then the difference of two running totals, and only two positions must be found: twelve
dates cost hardly more than one. All values are int64, so the results equal the engine's own
aggregates bit for bit.

This needs two conditions: a row's value does not depend on as_of, and a customer's rows before an
instant are those known at it. The second fails for late arrivals and corrections.
`irregular_customers` names these customers, and `features.engine.many_dates` builds their rows
with the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.core.contract import CONTRACT
from features.recipes.recipe import EXACT, Now, Reduction
from features.recipes.rows.time_invariant import TIME_INVARIANT
from features.tables.history import History

FAR_FUTURE_US = 1 << 62
# The neutral element of an extreme: it changes neither a minimum nor a maximum.
NEUTRAL = {"min": (1 << 63) - 1, "max": -(1 << 63)}
# µs before as_of -> for each customer the position of the first row not before that instant
Position = Callable[[int], np.ndarray]
T = TypeVar("T")
U = TypeVar("U")
_INTERVALS = pa.schema(
    [("customer_id", pa.string()), ("after_us", pa.int64()), ("until_us", pa.int64())]
)


def is_additive(reduction: Reduction) -> bool:
    """Whether running totals (extremes: a scan of the span) give this reduction at any instant."""
    if reduction.table not in TIME_INVARIANT:
        return False
    _, time_invariant = TIME_INVARIANT[reduction.table]
    read = {reduction.value, reduction.where} - {"occurred_at", ""}
    return reduction.how in ("count", "sum", "min", "max") and read <= time_invariant


class RunningTotals:
    """The additive reductions of one history, at any instant.

    `keys` are the reductions that it holds: the additive ones of those given, without sums that
    could pass 2^53 and so be inexact as float64.
    """

    def __init__(
        self,
        history: History,
        now: Now,
        reductions: Sequence[Reduction],
        *,
        as_of: Sequence[int] = (),
    ) -> None:
        """Read each table once. Positions of all customers at `as_of` are found in one pass."""
        additive = [reduction for reduction in reductions if is_additive(reduction)]
        everything = history.as_of(FAR_FUTURE_US)
        self._tables: dict[str, _SortedTable] = {}
        self._reductions: dict[str, list[Reduction]] = {}
        for name in sorted({reduction.table for reduction in additive}):
            of_table = [reduction for reduction in additive if reduction.table == name]
            rows = everything.activity if name == "activity" else everything.tables[name]
            table = _sort_table(TIME_INVARIANT[name][0](rows, now), of_table)
            self._tables[name] = table
            self._reductions[name] = [red for red in of_table if table.is_exact(red)]
        self._grids = {
            name: table.position_grid(_bounds(self._reductions[name], as_of))
            for name, table in self._tables.items()
            if as_of
        }
        read = {history.activity_table if name == "activity" else name for name in self._tables}
        self._irregular = _irregular_intervals(history, read)

    @property
    def keys(self) -> frozenset[str]:
        return frozenset(red.key for reductions in self._reductions.values() for red in reductions)

    def totals_at(self, as_of: int) -> dict[str, pa.Table]:
        """Every customer's reductions at one instant (µs), for each table.

        A table has customer_id and one column per reduction (int64; sums float64), one row per
        customer with any row in the table.
        """
        totals = {}
        for name, table in self._tables.items():
            grid, everybody = self._grids.get(name, {}), np.arange(len(table.ids))

            def position(
                back: int,
                grid: dict[int, np.ndarray] = grid,
                table: _SortedTable = table,
                everybody: np.ndarray = everybody,
            ) -> np.ndarray:
                at_bound = grid.get(as_of - back)
                return table.positions(everybody, as_of - back) if at_bound is None else at_bound

            reduced = self._reduce(name, everybody, position)
            totals[name] = pa.table({"customer_id": table.ids, **reduced})
        return totals

    def totals_for_pairs(
        self, subjects: pa.Array, customers: pa.Array, instants: np.ndarray
    ) -> dict[str, pa.Table]:
        """The reductions of pairs of a customer and an instant (µs), for each table.

        `subjects` name the pairs and become customer_id. A pair whose customer has no row in a
        table is absent from it.
        """
        totals = {}
        for name, table in self._tables.items():
            numbers = pc.index_in(customers, table.ids)
            present = pc.is_valid(numbers)
            who = numbers.drop_null().to_numpy().astype(np.int64)
            when = instants[present.to_numpy(zero_copy_only=False)]

            def position(
                back: int,
                table: _SortedTable = table,
                who: np.ndarray = who,
                when: np.ndarray = when,
            ) -> np.ndarray:
                return table.positions(who, when - back)

            reduced = self._reduce(name, who, position)
            totals[name] = pa.table({"customer_id": subjects.filter(present), **reduced})
        return totals

    def irregular_customers(self, as_of: int) -> pa.Array:
        """Ids of customers with an event before `as_of` whose final version was unknown then.

        Their running totals would count late arrivals and corrections too early.
        """
        unknown = (nw.col("after_us") < as_of) & (nw.col("until_us") >= as_of)
        ids = self._irregular.filter(unknown).select("customer_id").unique().sort("customer_id")
        table = ids.collect(backend="pyarrow").to_native()
        return table["customer_id"].combine_chunks().cast(pa.string())

    @property
    def irregular_intervals(self) -> nw.LazyFrame:
        """customer_id, after_us, until_us: instants in (after, until] are irregular for them."""
        return self._irregular

    def _reduce(self, name: str, who: np.ndarray, position: Position) -> dict[str, pa.Array]:
        table, reductions = self._tables[name], self._reductions[name]
        backs = {back for reduction in reductions for back in _edges(reduction)}
        positions = {back: table.starts[who] if back is None else position(back) for back in backs}
        totals = self._read_totals(table, reductions, positions)

        def reduce(reduction: Reduction) -> pa.Array:
            low, high = _edges(reduction)
            column = _column(reduction)
            if reduction.how in ("min", "max"):
                spans = positions[low], positions[high]
                return _extreme(reduction.how, table.values[column], *spans)
            difference = totals[column, high] - totals[column, low]
            counts = reduction.how == "count"
            return pa.array(difference if counts else difference.astype(np.float64))

        results = _map_two(reduce, reductions)
        return dict(zip((red.key for red in reductions), results, strict=True))

    @staticmethod
    def _read_totals(
        table: _SortedTable,
        reductions: Sequence[Reduction],
        positions: dict[int | None, np.ndarray],
    ) -> dict[tuple[str, int | None], np.ndarray]:
        """(column, edge) -> running totals there, each read once however many windows share it."""
        reads = {
            (_column(red), back)
            for red in reductions
            if red.how in ("count", "sum")
            for back in _edges(red)
        }
        in_order = sorted(reads, key=str)
        values = _map_two(lambda read: table.values[read[0]][positions[read[1]]], in_order)
        return dict(zip(in_order, values, strict=True))


def _map_two(work: Callable[[T], U], items: Sequence[T]) -> list[U]:
    """`work` on each item, two at a time: numpy releases the interpreter lock while it reads."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(work, items))


def _edges(reduction: Reduction) -> tuple[int | None, int]:
    """The two ends of the reduction's window in µs before as_of; None means no lower end."""
    return (None if reduction.since_days is None else reduction.since_us), reduction.until_us


def _bounds(reductions: Sequence[Reduction], as_of: Sequence[int]) -> np.ndarray:
    backs = {back for reduction in reductions for back in _edges(reduction) if back is not None}
    return np.array(sorted({at - back for at in as_of for back in backs}), dtype=np.int64)


@dataclass(frozen=True)
class _SortedTable:
    """One table's rows sorted by customer and instant.

    ids: (customers,). starts: (customers + 1,), where each customer's rows begin, then the end of
    all rows. at: (rows,) instants in µs. values: by column (rows + 1,). largest: by summed column
    the largest absolute value.
    """

    ids: pa.Array
    starts: np.ndarray
    at: np.ndarray
    values: dict[str, np.ndarray]
    largest: dict[str, int]

    def positions(self, who: np.ndarray, instants: np.ndarray | int) -> np.ndarray:
        """Position of the first row not before the instant, for each customer number in `who`."""
        low, high = self.starts[who], self.starts[who + 1]
        last = max(len(self.at) - 1, 0)
        # Binary search for all customers at once.
        for _ in range(int((high - low).max(initial=0)).bit_length()):
            middle = (low + high) >> 1
            earlier = (middle < high) & (self.at[np.minimum(middle, last)] < instants)
            low, high = np.where(earlier, middle + 1, low), np.where(earlier, high, middle)
        return low

    def position_grid(self, bounds: np.ndarray) -> dict[int, np.ndarray]:
        """`positions` of all customers for each of the sorted bounds, in one pass over the rows."""
        width, people = len(bounds) + 1, len(self.ids)
        cell = np.repeat(np.arange(people) * width, np.diff(self.starts))
        cell += np.searchsorted(bounds, self.at, side="right")
        counts = np.bincount(cell, minlength=people * width).reshape(people, width).T
        positions = self.starts[:-1] + np.cumsum(counts, axis=0)
        return {int(bound): positions[number] for number, bound in enumerate(bounds)}

    def is_exact(self, reduction: Reduction) -> bool:
        """Whether every sum over one customer's rows is exact as float64."""
        most_rows = int(np.diff(self.starts).max(initial=0))
        return reduction.how != "sum" or self.largest[_column(reduction)] * most_rows < EXACT


def _extreme(how: str, values: np.ndarray, low: np.ndarray, high: np.ndarray) -> pa.Array:
    """The extreme of values[low:high] for each span; null where every value is neutral.

    `values` end with one neutral element, so that a span may end at the last row.
    """
    neutral, result = NEUTRAL[how], np.empty(0, np.int64)
    if len(low):
        edges = np.stack([low, high], axis=1).ravel()
        extreme = np.minimum if how == "min" else np.maximum
        result = np.where(high > low, extreme.reduceat(values, edges)[::2], neutral)
    return pa.array(result, mask=result == neutral)


def _column(reduction: Reduction) -> str:
    """The column of running totals (or values) that the reduction reads, whatever its window."""
    how = reduction.how if reduction.how in ("min", "max") else "sum"
    value = "" if reduction.how == "count" else reduction.value
    return "__".join([how, value, *reduction.kinds, reduction.where])


def _row_value(reduction: Reduction) -> nw.Expr:
    """What one row adds to the reduction; neutral where the row does not fit."""
    value, fits = nw.col(reduction.value), reduction.matches
    if reduction.how == "count":
        return nw.when(fits).then(nw.lit(1)).otherwise(nw.lit(0)).cast(nw.Int8)
    neutral = NEUTRAL.get(reduction.how, 0)
    return nw.when(fits & ~value.is_null()).then(value).otherwise(nw.lit(neutral)).cast(nw.Int64)


def _sort_table(rows: nw.LazyFrame, reductions: Sequence[Reduction]) -> _SortedTable:
    values = {_column(reduction): _row_value(reduction) for reduction in reductions}
    chosen = rows.select("customer_id", "occurred_at", **values)
    table = chosen.collect(backend="pyarrow").to_native()
    runs, at = _runs(table)
    # Tables are stored in order; a sort is needed only where a join shuffled the rows.
    if not _is_sorted(runs, at):
        table = chosen.sort("customer_id", "occurred_at").collect(backend="pyarrow").to_native()
        runs, at = _runs(table)
    starts = np.concatenate([[0], runs.run_ends.to_numpy()]).astype(np.int64)
    totals = _map_two(lambda name: _accumulate(name.split("__")[0], table[name]), list(values))
    columns = {name: column for name, (column, _) in zip(values, totals, strict=True)}
    largest = {name: most for name, (_, most) in zip(values, totals, strict=True)}
    return _SortedTable(runs.values, starts, at, columns, largest)


def _runs(table: pa.Table) -> tuple[pa.RunEndEncodedArray, np.ndarray]:
    """The runs of equal customer ids, and the rows' instants (µs)."""
    runs = pc.run_end_encode(table["customer_id"].combine_chunks())
    return runs, table["occurred_at"].to_numpy()


def _is_sorted(runs: pa.RunEndEncodedArray, at: np.ndarray) -> bool:
    """Whether each customer's rows are adjacent and their instants do not fall."""
    rises = at[1:] >= at[:-1]
    rises[runs.run_ends.to_numpy()[:-1] - 1] = True
    return bool(rises.all()) and pc.count_distinct(runs.values).as_py() == len(runs.values)


def _accumulate(how: str, column: pa.ChunkedArray) -> tuple[np.ndarray, int]:
    """(rows + 1,) totals, and the largest absolute value that was summed.

    For sums the running totals, which start with 0; for extremes the values and one neutral
    element at the end.
    """
    out, filled, largest = np.empty(len(column) + 1, np.int64), 0, 0
    out[0 if how == "sum" else -1] = NEUTRAL.get(how, 0)
    for chunk in column.chunks:
        values, end = chunk.to_numpy(), filled + len(chunk)
        if how == "sum":
            np.cumsum(values, dtype=np.int64, out=out[filled + 1 : end + 1])
            out[filled + 1 : end + 1] += out[filled]
            largest = max(largest, int(values.max(initial=0)), -int(values.min(initial=0)))
        else:
            out[filled:end] = values
        filled = end
    return out, largest


def _irregular_intervals(history: History, names: set[str]) -> nw.LazyFrame:
    """(after, until] for each row recorded after it happened, and for each corrected row."""
    parts = []
    for name in sorted(names):
        late = nw.col("recorded_at") > nw.col("occurred_at")
        final = history.cut(name, FAR_FUTURE_US).filter(late)
        parts.append(
            final.select(
                "customer_id", after_us=nw.col("occurred_at"), until_us=nw.col("recorded_at")
            )
        )
        if name in history.versioned:
            parts.append(_corrections(history, name))
    if not parts:
        return nw.from_native(history.connection.from_arrow(_INTERVALS.empty_table()))
    return history.materialise(nw.concat(parts))


def _corrections(history: History, name: str) -> nw.LazyFrame:
    """From the first to the last version of each row that has several."""
    key = CONTRACT[name].version_of
    with_id = history.table(name).filter(~nw.col(key[-1]).is_null())
    versions = with_id.group_by(*key).agg(
        after_us=nw.col("recorded_at").min(), until_us=nw.col("recorded_at").max()
    )
    corrected = versions.filter(nw.col("after_us") < nw.col("until_us"))
    return corrected.select("customer_id", "after_us", "until_us")
