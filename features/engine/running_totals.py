"""Sums of the past without reading it again: what is additive, for many instants at once.

One table's rows lie ordered by customer and instant. A count or a sum over [from, until) of one customer is then the
difference of two running totals, and only the two positions have to be found: twelve dates cost hardly more than one.
Everything is int64, so the results are those of the engine's own aggregates, bit for bit.

This holds where what a row says does not depend on the instant that asks, and where a customer's rows before an
instant are those known at it. Where they are not (late arrivals, corrections), `irregular` names the customers, and
`features.engine.many_dates` asks the engine about them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.core.contract import CONTRACT
from features.recipes.recipe import EXACT, Now, Reduction
from features.recipes.rows.time_invariant import LASTING
from features.tables.history import History

EVERYTHING_US = 1 << 62
NOTHING = {"min": (1 << 63) - 1, "max": -(1 << 63)}  # what counts for nothing beside any value
Position = Callable[
    [int], np.ndarray
]  # µs before as_of -> the position of the first row not before that instant


def additive(reduction: Reduction) -> bool:
    """Whether running totals (for extremes: a look at the span) give this reduction at any instant."""
    _, lasting = LASTING.get(reduction.table, (None, None))
    named = {reduction.value, reduction.where} - {"occurred_at", ""}
    return (
        lasting is not None and reduction.how in ("count", "sum", "min", "max") and named <= lasting
    )


class RunningTotals:
    """The additive ones of `reductions` over one history; `keys` are those. Sums that could pass 2^53 are not."""

    def __init__(
        self,
        history: History,
        now: Now,
        reductions: Sequence[Reduction],
        *,
        as_of: Sequence[int] = (),
    ) -> None:
        """`as_of`: instants that will be asked of everybody; their positions are found in one pass."""
        wanted = [reduction for reduction in reductions if additive(reduction)]
        everything = history.as_of(EVERYTHING_US)
        self._tables: dict[str, _Ordered] = {}
        self._reductions: dict[str, list[Reduction]] = {}
        for name in sorted({reduction.table for reduction in wanted}):
            mine = [reduction for reduction in wanted if reduction.table == name]
            rows = everything.activity if name == "activity" else everything.tables[name]
            table = _ordered(LASTING[name][0](rows, now), mine)
            self._tables[name] = table
            self._reductions[name] = [reduction for reduction in mine if table.fits(reduction)]
        self._grids = {
            name: table.grid(_bounds(self._reductions[name], as_of))
            for name, table in self._tables.items()
            if as_of
        }
        self._irregular = _irregular(
            history, {history.activity_table if n == "activity" else n for n in self._tables}
        )

    @property
    def keys(self) -> frozenset[str]:
        return frozenset(red.key for mine in self._reductions.values() for red in mine)

    def at(self, as_of: int) -> dict[str, pa.Table]:
        """Per table: customer_id and each reduction (int64, sums float64) of whoever has rows in it, at one instant."""
        found = {}
        for name, table in self._tables.items():
            grid, everybody = self._grids.get(name, {}), np.arange(len(table.ids))

            def position(back: int, grid=grid, table=table, everybody=everybody) -> np.ndarray:
                known = grid.get(as_of - back)
                return table.before(everybody, as_of - back) if known is None else known

            found[name] = pa.table(
                {"customer_id": table.ids, **self._reduced(name, everybody, position)}
            )
        return found

    def of(
        self, subjects: pa.Array, customers: pa.Array, instants: np.ndarray
    ) -> dict[str, pa.Table]:
        """Per table: each pair of a customer and an instant (µs), under its subject's name as customer_id."""
        found = {}
        for name, table in self._tables.items():
            numbers = pc.index_in(customers, table.ids)
            there = pc.is_valid(numbers)
            who = numbers.drop_null().to_numpy().astype(np.int64)
            when = instants[there.to_numpy(zero_copy_only=False)]

            def position(back: int, table=table, who=who, when=when) -> np.ndarray:
                return table.before(who, when - back)

            found[name] = pa.table(
                {"customer_id": subjects.filter(there), **self._reduced(name, who, position)}
            )
        return found

    def irregular(self, as_of: int) -> list[str]:
        """Customers with a row from before `as_of` that was not yet known as it finally is: not for running totals."""
        open_then = self._irregular.filter(
            (nw.col("after_us") < as_of) & (nw.col("until_us") >= as_of)
        )
        rows = (
            open_then.select("customer_id")
            .unique()
            .sort("customer_id")
            .collect(backend="pyarrow")
            .to_native()
        )
        return rows["customer_id"].to_pylist()

    @property
    def intervals(self) -> nw.LazyFrame:
        """customer_id, after_us, until_us: an instant in (after, until] is irregular for that customer."""
        return self._irregular

    def _reduced(self, name: str, who: np.ndarray, position: Position) -> dict[str, pa.Array]:
        table, mine = self._tables[name], self._reductions[name]
        backs = {back for reduction in mine for back in _edges(reduction)}
        positions = {back: table.starts[who] if back is None else position(back) for back in backs}
        # A running total is read once at each edge, however many windows share it.
        reads = sorted(
            {
                (_column(red), back)
                for red in mine
                if red.how in ("count", "sum")
                for back in _edges(red)
            },
            key=str,
        )
        totals = dict(
            zip(
                reads,
                self._each(lambda read: table.values[read[0]][positions[read[1]]], reads),
                strict=True,
            )
        )

        def reduced(reduction: Reduction) -> pa.Array:
            low, high = _edges(reduction)
            if reduction.how in ("min", "max"):
                return _extreme(
                    reduction.how, table.values[_column(reduction)], positions[low], positions[high]
                )
            found = totals[_column(reduction), high] - totals[_column(reduction), low]
            return pa.array(found if reduction.how == "count" else found.astype(np.float64))

        return dict(zip((red.key for red in mine), self._each(reduced, mine), strict=True))

    @staticmethod
    def _each(work: Callable[[Any], Any], over: Sequence[Any]) -> list[Any]:
        """`work` on each, two at a time: numpy lets go of the interpreter while it reads."""
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(work, over))


def _edges(reduction: Reduction) -> tuple[int | None, int]:
    """The two ends of the reduction's window in µs before as_of; None: since ever."""
    return (None if reduction.since_days is None else reduction.since_us), reduction.until_us


def _bounds(reductions: Sequence[Reduction], as_of: Sequence[int]) -> np.ndarray:
    backs = {back for reduction in reductions for back in _edges(reduction) if back is not None}
    return np.array(sorted({at - back for at in as_of for back in backs}), dtype=np.int64)


@dataclass(frozen=True)
class _Ordered:
    """One table's rows by customer and instant. `starts`: where each customer's rows begin, and the end of all."""

    ids: pa.Array
    starts: np.ndarray
    at: np.ndarray
    values: dict[str, np.ndarray]
    largest: dict[str, int]

    def before(self, who: np.ndarray, instants: np.ndarray | int) -> np.ndarray:
        """For each customer number and instant the position of the first row that is not before the instant."""
        low, high = self.starts[who], self.starts[who + 1]
        last = max(len(self.at) - 1, 0)
        for _ in range(int((high - low).max(initial=0)).bit_length()):
            middle = (low + high) >> 1
            earlier = (middle < high) & (self.at[np.minimum(middle, last)] < instants)
            low, high = np.where(earlier, middle + 1, low), np.where(earlier, high, middle)
        return low

    def grid(self, bounds: np.ndarray) -> dict[int, np.ndarray]:
        """`before` of everybody for each of the sorted bounds, from one pass over the rows."""
        width, people = len(bounds) + 1, len(self.ids)
        cell = np.repeat(np.arange(people) * width, np.diff(self.starts))
        cell += np.searchsorted(bounds, self.at, side="right")
        counts = np.bincount(cell, minlength=people * width).reshape(people, width).T
        positions = self.starts[:-1] + np.cumsum(counts, axis=0)
        return {int(bound): positions[number] for number, bound in enumerate(bounds)}

    def fits(self, reduction: Reduction) -> bool:
        """Whether every sum of one customer's rows is exact as a real."""
        most = int(np.diff(self.starts).max(initial=0))
        return reduction.how != "sum" or self.largest[_column(reduction)] * most < EXACT


def _extreme(how: str, values: np.ndarray, low: np.ndarray, high: np.ndarray) -> pa.Array:
    """The extreme of values[low:high] for each span, null where none counts. `values` ends with one that does not."""
    nothing, found = NOTHING[how], np.empty(0, np.int64)
    if len(low):
        edges = np.stack([low, high], axis=1).ravel()
        extreme = np.minimum if how == "min" else np.maximum
        found = np.where(high > low, extreme.reduceat(values, edges)[::2], nothing)
    return pa.array(found, mask=found == nothing)


def _column(reduction: Reduction) -> str:
    how = reduction.how if reduction.how in ("min", "max") else "sum"
    value = "" if reduction.how == "count" else reduction.value
    return "__".join([how, value, *reduction.kinds, reduction.where])


def _row_value(reduction: Reduction) -> nw.Expr:
    value, fits = nw.col(reduction.value), reduction.fits
    if reduction.how == "count":
        return nw.when(fits).then(nw.lit(1)).otherwise(nw.lit(0)).cast(nw.Int8)
    nothing = NOTHING.get(reduction.how, 0)
    return nw.when(fits & ~value.is_null()).then(value).otherwise(nw.lit(nothing)).cast(nw.Int64)


def _ordered(rows: nw.LazyFrame, reductions: Sequence[Reduction]) -> _Ordered:
    values = {_column(reduction): _row_value(reduction) for reduction in reductions}
    chosen = rows.select("customer_id", "occurred_at", **values)
    table = chosen.collect(backend="pyarrow").to_native()
    runs, at = (
        pc.run_end_encode(table["customer_id"].combine_chunks()),
        table["occurred_at"].to_numpy(),
    )
    if not _in_order(runs, at):
        table = chosen.sort("customer_id", "occurred_at").collect(backend="pyarrow").to_native()
        runs, at = (
            pc.run_end_encode(table["customer_id"].combine_chunks()),
            table["occurred_at"].to_numpy(),
        )
    starts = np.concatenate([[0], runs.run_ends.to_numpy()]).astype(np.int64)
    with ThreadPoolExecutor(2) as pool:
        filled = list(pool.map(lambda name: _filled(name.split("__")[0], table[name]), values))
    columns = {name: column for name, (column, _) in zip(values, filled, strict=True)}
    largest = {name: most for name, (_, most) in zip(values, filled, strict=True)}
    return _Ordered(runs.values, starts, at, columns, largest)


def _in_order(runs: pa.RunEndEncodedArray, at: np.ndarray) -> bool:
    """Whether each customer's rows lie together and rise. Tables are stored so; joins may shuffle them."""
    rises = at[1:] >= at[:-1]
    rises[runs.run_ends.to_numpy()[:-1] - 1] = True
    return bool(rises.all()) and pc.count_distinct(runs.values).as_py() == len(runs.values)


def _filled(how: str, column: pa.ChunkedArray) -> tuple[np.ndarray, int]:
    """For sums the running totals from 0 on, else the values and one more that counts for nothing; the largest."""
    out, filled, largest = np.empty(len(column) + 1, np.int64), 0, 0
    out[0 if how == "sum" else -1] = NOTHING.get(how, 0)
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


def _irregular(history: History, names: set[str]) -> nw.LazyFrame:
    """(after, until] for each row known later than it happened, and for each row that was corrected."""
    parts = []
    for name in sorted(names):
        final = history.cut(name, EVERYTHING_US).filter(
            nw.col("recorded_at") > nw.col("occurred_at")
        )
        parts.append(
            final.select(
                "customer_id", after_us=nw.col("occurred_at"), until_us=nw.col("recorded_at")
            )
        )
        if name in history.versioned:
            key = CONTRACT[name].version_of
            named = history.table(name).filter(~nw.col(key[-1]).is_null())
            spans = named.group_by(*key).agg(
                after_us=nw.col("recorded_at").min(), until_us=nw.col("recorded_at").max()
            )
            parts.append(
                spans.filter(nw.col("after_us") < nw.col("until_us")).select(
                    "customer_id", "after_us", "until_us"
                )
            )
    return history.kept(nw.concat(parts))
