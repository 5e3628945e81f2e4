"""Feature rows for pairs of a customer and an instant: renewal dates, campaign days, call days.

Every pair becomes a subject (`features.engine.subjects`), and the engine evaluates the expressions
of `build` once for all pairs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.core.errors import ColumnMissing, NotEnoughData, WrongType
from features.engine.build import (
    build,
    current_state,
    evaluate_formulas,
    join_by_customer,
    needed_reductions,
    reduce_tables,
)
from features.engine.columns import FeatureColumn
from features.engine.running_totals import RunningTotals
from features.engine.subjects import (
    AS_OF,
    PAIR_COLUMNS,
    frame_from_arrow,
    join_to_subjects,
    known_at_subjects,
    number_pairs,
    restore_ids,
    split_by_rows,
)
from features.recipes.definitions import Definitions
from features.recipes.population_stats import PopulationStats
from features.recipes.recipe import Now, Reduction
from features.recipes.stages import STATE_COLUMNS
from features.tables.history import History, Known

ORDER = [("as_of", "ascending"), ("customer_id", "ascending")]


@dataclass(frozen=True)
class PairRows:
    """The rows of pairs, and what became of every requested pair.

    rows: one row for each distinct pair with activity or cover known, sorted by as_of and
    customer_id. requested = rows + repeated (the same pair again) + unknown (ids in no table) +
    without_activity (known customers without activity or cover by then).
    """

    rows: pa.Table
    requested: int
    repeated: int
    unknown: int
    without_activity: int


def build_pairs(
    history: History,
    pairs: pa.Table,
    *,
    definitions: Definitions,
    populations: Sequence[PopulationStats],
    columns: Sequence[FeatureColumn],
    state: bool = True,
) -> PairRows:
    """Build the feature rows of pairs of a customer and an instant, as `build` would, bit for bit.

    Args:
        pairs: customer_id (text) and as_of (int64, µs UTC), without nulls; other columns are
            ignored, and a pair may repeat.
        populations: a pair uses the newest of these at or before its as_of.
        state: with the columns of `build`; without it a row is customer_id, as_of and the feature
            columns, and additive reductions need no engine.

    Units and nulls are those of `build`. Errors: ColumnMissing, WrongType (nulls too),
    NotEnoughData for an as_of before the first population.
    """
    requested = _check_pairs(pairs, min(population.as_of for population in populations))
    distinct = requested.group_by(["customer_id", "as_of"]).aggregate([]).sort_by(ORDER)
    weights = _rows_per_customer(history, distinct["customer_id"].combine_chunks())
    known = distinct.filter(pa.array(weights > 0))
    plan = _PairPlan(history, definitions, populations, columns, state)
    parts = list(plan.build_parts(known, weights[weights > 0]))
    if not parts:  # a table of no rows has the columns
        empty = build(
            history.as_of(0), population=populations[0], definitions=definitions, columns=columns
        )
        leading = STATE_COLUMNS if state else PAIR_COLUMNS
        parts = [empty.select([*leading, *(column.name for column in columns)])]
    rows = pa.concat_tables(parts).sort_by(ORDER)
    return PairRows(
        rows,
        requested.num_rows,
        requested.num_rows - distinct.num_rows,
        distinct.num_rows - known.num_rows,
        known.num_rows - rows.num_rows,
    )


@dataclass(frozen=True)
class _PairPlan:
    """Everything that the rows of pairs depend on, except the pairs."""

    history: History
    definitions: Definitions
    populations: Sequence[PopulationStats]
    columns: Sequence[FeatureColumn]
    state: bool

    def build_parts(self, pairs: pa.Table, weights: np.ndarray) -> Iterator[pa.Table]:
        """The rows of `pairs` (distinct, known customers), in parts of a bounded size."""
        activity = Reduction(
            self.history.activity_table, "count", kinds=self.history.activity_kinds
        )
        needed = [*needed_reductions(self.columns), *([] if self.state else [activity])]
        ordered = sorted(self.populations, key=lambda population: population.as_of)
        # Running totals depend neither on the instant nor on the population: any Now will do.
        first = Now(self.populations[0].as_of, self.definitions, self.populations[0])
        totals = RunningTotals(self.history, first, needed)
        irregular = _is_irregular(self.history, pairs, totals)
        measured = [population.as_of for population in ordered]
        newest = np.searchsorted(measured, pairs["as_of"].to_numpy(), side="right") - 1
        for number in np.unique(newest):
            now = Now(AS_OF, self.definitions, ordered[number])
            for by_engine in (False, True):
                chosen = np.flatnonzero((newest == number) & (irregular == by_engine))
                for part in split_by_rows(chosen, weights):
                    batch = _PairBatch(
                        self.history,
                        pairs.take(pa.array(part)),
                        now,
                        self.columns,
                        None if by_engine else totals,
                    )
                    yield batch.with_state() if self.state else batch.without_state(activity)


@dataclass(frozen=True)
class _PairBatch:
    """One part of the pairs. `totals` give additive reductions; None leaves them to the engine."""

    history: History
    pairs: pa.Table
    now: Now
    columns: Sequence[FeatureColumn]
    totals: RunningTotals | None

    def with_state(self) -> pa.Table:
        with join_to_subjects(self.history, self._subjects) as paired:
            known = known_at_subjects(paired)
            state = current_state(known, self.now.definitions)
            return self._restore_ids(self._build(paired, known, state), STATE_COLUMNS)

    def without_state(self, activity: Reduction) -> pa.Table:
        # Covered customers without activity have rows too, and only the state names them.
        if self.totals is None or self.now.definitions.contractual:
            state_only = [name for name in STATE_COLUMNS if name not in PAIR_COLUMNS]
            return self.with_state().drop_columns(state_only)
        with join_to_subjects(self.history, self._subjects) as paired:
            rows = paired.table("subjects").select(*PAIR_COLUMNS)
            built = self._build(paired, known_at_subjects(paired), rows, activity)
            return self._restore_ids(built, PAIR_COLUMNS)

    def _build(
        self, paired: History, known: Known, rows: nw.LazyFrame, activity: Reduction | None = None
    ) -> pa.Table:
        summed = self._totals(paired)
        keys = frozenset() if self.totals is None else self.totals.keys
        frames = reduce_tables(known, self.now, self.columns, except_keys=keys)
        reduced = [paired.materialise(frame) for frame in frames.values()]
        joined = join_by_customer(paired.materialise(rows), [*reduced, *summed])
        joined = paired.materialise(joined)
        if activity is not None:
            joined = joined.filter(nw.col(activity.key) > 0)
        leading = STATE_COLUMNS if activity is None else PAIR_COLUMNS
        values = evaluate_formulas(joined, self.now, self.columns, leading_columns=leading)
        return values.collect(backend="pyarrow").to_native()

    def _totals(self, paired: History) -> list[nw.LazyFrame]:
        if self.totals is None:
            return []
        subjects = self._subjects
        totals = self.totals.totals_for_pairs(
            subjects["customer_id"].combine_chunks(),
            subjects["named"].combine_chunks(),
            subjects["as_of"].to_numpy(),
        )
        return [frame_from_arrow(paired, table) for table in totals.values()]

    @property
    def _subjects(self) -> pa.Table:
        """customer_id (the pair's number), named (the customer's own id), as_of."""
        return number_pairs(self.pairs["customer_id"], self.pairs["as_of"])

    def _restore_ids(self, rows: pa.Table, leading: Sequence[str]) -> pa.Table:
        """The rows with the customers' own ids instead of the pairs' numbers."""
        names = [*leading, *(column.name for column in self.columns)]
        return restore_ids(rows, 0, self.pairs["customer_id"].combine_chunks(), names)


def _check_pairs(pairs: pa.Table, earliest: int) -> pa.Table:
    """The two columns of the pairs, or the first error in them."""
    for name, kind in (("customer_id", pa.string()), ("as_of", pa.int64())):
        _check_column(pairs, name, kind)
    early = pc.sum(pc.less(pairs["as_of"], earliest)).as_py() or 0
    if early:
        raise NotEnoughData(
            where="pairs.as_of",
            got=f"{early:,} instants before the first population statistics",
            rule="A pair uses the newest population statistics at or before its as_of: "
            "later ones would know the future.",
            fix="Give population statistics of an earlier as_of.",
        )
    return pairs.select(list(PAIR_COLUMNS)).combine_chunks()


def _check_column(pairs: pa.Table, name: str, kind: pa.DataType) -> None:
    rule = "Pairs have the columns customer_id (text) and as_of (int64, µs UTC), without nulls."
    if name not in pairs.column_names:
        raise ColumnMissing(
            where="pairs", got=f"no column {name}", rule=rule, fix=f"Add the column {name}."
        )
    where, column = f"pairs.{name}", pairs[name]
    if column.type != kind:
        got = f"type {column.type}"
        raise WrongType(where=where, got=got, rule=rule, fix=f"Cast the column to {kind}.")
    if column.null_count:
        got = f"{column.null_count:,} nulls"
        raise WrongType(where=where, got=got, rule=rule, fix="Remove those pairs.")


def _rows_per_customer(history: History, customers: pa.Array) -> np.ndarray:
    """Number of rows in all tables for each of `customers` (an id may repeat); 0: in no table."""
    parts = " UNION ALL ".join(f"SELECT customer_id FROM {name}" for name in history.names)
    counted = history.connection.execute(
        f"SELECT customer_id, count(*) AS n FROM ({parts}) GROUP BY ALL"
    ).to_arrow_table()
    places = pc.index_in(customers, counted["customer_id"].combine_chunks())
    counts = counted["n"].combine_chunks().take(places)
    return pc.fill_null(counts, 0).to_numpy(zero_copy_only=False)


def _is_irregular(history: History, pairs: pa.Table, totals: RunningTotals) -> np.ndarray:
    """(pairs,) whether what was known of the pair then differs from its final version."""
    numbered = pairs.append_column("number", pa.array(np.arange(pairs.num_rows)))
    intervals = totals.irregular_intervals
    joined = frame_from_arrow(history, numbered).join(intervals, on="customer_id", how="inner")
    inside = (nw.col("after_us") < AS_OF) & (nw.col("until_us") >= AS_OF)
    numbers = joined.filter(inside).select("number").unique().collect(backend="pyarrow")
    flags = np.zeros(pairs.num_rows, bool)
    flags[numbers.to_native()["number"].to_numpy()] = True
    return flags
