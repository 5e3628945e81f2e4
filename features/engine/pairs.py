"""Feature rows for pairs of a customer and an instant of their own: renewal dates, days of a campaign, days of a call.

Every pair becomes a customer of its own, whose rows are the customer's as known at the pair's instant; then the engine
runs the same expressions as `table.build`, once for all of them, with `as_of` a column instead of a number.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.core.errors import ColumnMissing, NotEnoughData, WrongType
from features.engine.build import build, current_state, formulas, joined, needed_by, reductions
from features.engine.columns import ColumnOf
from features.engine.many_dates import framed
from features.engine.running_totals import RunningTotals
from features.recipes.definitions import Definitions
from features.recipes.population_stats import PopulationStats
from features.recipes.recipe import Now, Reduction
from features.recipes.stages import STATE_COLUMNS
from features.tables.history import History, Known, active_days

ROWS_AT_ONCE = 20_000_000  # joined rows the engine holds at a time
ORDER = [("as_of", "ascending"), ("customer_id", "ascending")]
_AS_OF = nw.col("as_of")


@dataclass(frozen=True)
class Paired:
    """`rows`: one for each distinct pair with activity known, by as_of and customer_id.

    asked = rows + repeated (pairs) + unknown (pairs of ids in no table) + without_activity (known, not active by then).
    """

    rows: pa.Table
    asked: int
    repeated: int
    unknown: int
    without_activity: int


def build_pairs(
    history: History,
    pairs: pa.Table,
    *,
    definitions: Definitions,
    bases: Sequence[PopulationStats],
    columns: Sequence[ColumnOf],
    state: bool = True,
) -> Paired:
    """The rows `table.build` gives for each pair of `pairs` (customer_id text, as_of int64 µs UTC), bit for bit.

    A pair uses the newest of `bases` measured at or before its as_of. Without `state` a row is customer_id, as_of and
    the columns, and what is additive needs no engine. Errors: ColumnMissing, WrongType
    (also for nulls), NotEnoughData for an as_of before the first base.
    """
    asked = _checked(pairs, min(base.as_of for base in bases))
    distinct = asked.group_by(["customer_id", "as_of"]).aggregate([]).sort_by(ORDER)
    weights = _rows_a_customer(history, distinct["customer_id"].combine_chunks())
    known = distinct.filter(pa.array(weights > 0))
    nobody = build(history.as_of(0), base=bases[0], definitions=definitions, columns=columns)
    beside = STATE_COLUMNS if state else ("customer_id", "as_of")
    made = [nobody.select([*beside, *(column.name for column in columns)])]
    made += _made(history, known, weights[weights > 0], definitions, bases, columns, state)
    rows = pa.concat_tables(made).sort_by(ORDER)
    return Paired(
        rows,
        asked.num_rows,
        asked.num_rows - distinct.num_rows,
        distinct.num_rows - known.num_rows,
        known.num_rows - rows.num_rows,
    )


def _made(
    history: History,
    asked: pa.Table,
    weights: np.ndarray,
    definitions: Definitions,
    bases: Sequence[PopulationStats],
    columns: Sequence[ColumnOf],
    state: bool,
) -> Iterator[pa.Table]:
    active = Reduction(history.activity_table, "count", kinds=history.activity_kinds)
    needed = [*needed_by(columns), *([] if state else [active])]
    # Nothing that running totals sum rests on the instant or the base: any Now will do.
    spans = RunningTotals(history, Now(bases[0].as_of, definitions, bases[0]), needed)
    ordered = sorted(bases, key=lambda base: base.as_of)
    late = _irregular(history, asked, spans)
    of = (
        np.searchsorted([base.as_of for base in ordered], asked["as_of"].to_numpy(), side="right")
        - 1
    )
    for number in np.unique(of):
        now = Now(_AS_OF, definitions, ordered[number])
        for irregular in (False, True):
            mine = np.flatnonzero((of == number) & (late == irregular))
            for part in _parts(mine, weights):
                rows = _Rows(
                    history, asked.take(pa.array(part)), now, columns, None if irregular else spans
                )
                yield rows.with_state() if state else rows.without_state(active)


def _parts(mine: np.ndarray, weights: np.ndarray) -> Iterator[np.ndarray]:
    """The positions `mine` in parts of at most ROWS_AT_ONCE joined rows (a pair alone may have more)."""
    number = np.cumsum(weights[mine]) // ROWS_AT_ONCE
    yield from (part for part in np.split(mine, np.flatnonzero(np.diff(number)) + 1) if len(part))


@dataclass(frozen=True)
class _Rows:
    """One part of the pairs. `spans`: where what is additive comes from; None leaves it to the engine."""

    history: History
    asked: pa.Table
    now: Now
    columns: Sequence[ColumnOf]
    spans: RunningTotals | None

    def with_state(self) -> pa.Table:
        with _joined_to_pairs(self.history, self._subjects) as paired:
            known = _known(paired)
            return self._named(
                self._built(paired, known, current_state(known, self.now.definitions)),
                STATE_COLUMNS,
            )

    def without_state(self, active: Reduction) -> pa.Table:
        if self.spans is None:
            return self.with_state().drop_columns(
                [name for name in STATE_COLUMNS if name not in ("customer_id", "as_of")]
            )
        with _joined_to_pairs(self.history, self._subjects) as paired:
            rows = paired.table("subjects").select("customer_id", "as_of")
            return self._named(
                self._built(paired, _known(paired), rows, active), ("customer_id", "as_of")
            )

    def _built(
        self, paired: History, known: Known, rows: nw.LazyFrame, active: Reduction | None = None
    ) -> pa.Table:
        given, keys = {}, frozenset()
        if self.spans is not None:
            subjects, keys = self._subjects, self.spans.keys
            found = self.spans.of(
                subjects["customer_id"].combine_chunks(),
                subjects["named"].combine_chunks(),
                subjects["as_of"].to_numpy(),
            )
            given = {name: framed(paired, table) for name, table in found.items()}
        reduced = [
            paired.kept(frame)
            for frame in reductions(known, self.now, self.columns, apart=keys).values()
        ]
        made = paired.kept(joined(paired.kept(rows), [*reduced, *given.values()]))
        if active is not None:
            made = made.filter(nw.col(active.key) > 0)
        beside = STATE_COLUMNS if active is None else ("customer_id", "as_of")
        return (
            formulas(made, self.now, self.columns, beside=beside)
            .collect(backend="pyarrow")
            .to_native()
        )

    @property
    def _subjects(self) -> pa.Table:
        """customer_id (the pair's number), named (the customer's own id), as_of."""
        numbers = pa.array(np.arange(self.asked.num_rows))
        return pa.table(
            {
                "customer_id": numbers,
                "named": self.asked["customer_id"],
                "as_of": self.asked["as_of"],
            }
        )

    def _named(self, made: pa.Table, beside: Sequence[str]) -> pa.Table:
        ids = self.asked["customer_id"].take(made["customer_id"])
        found = made.set_column(made.column_names.index("customer_id"), "customer_id", ids)
        return found.select([*beside, *(column.name for column in self.columns)])


@contextmanager
def _joined_to_pairs(history: History, subjects: pa.Table) -> Iterator[History]:
    """The history of pairs: each table joined to them, in a schema of its own that does not outlive the block."""
    schema, cursor = f"pairs_{uuid.uuid4().hex}", history.connection.cursor()
    cursor.execute(f"CREATE SCHEMA {schema}")
    try:
        cursor.register("incoming", subjects)
        cursor.execute(f"CREATE TABLE {schema}.subjects AS SELECT * FROM incoming")
        for name in history.names:
            cursor.execute(
                f"CREATE VIEW {schema}.{name} AS SELECT t.* REPLACE (s.customer_id AS customer_id), s.as_of "
                f"FROM main.{name} t JOIN {schema}.subjects s ON t.customer_id = s.named"
            )
        yield replace(history, connection=cursor, schema=schema)
    finally:
        cursor.execute(f"DROP SCHEMA {schema} CASCADE")
        cursor.close()


def _known(paired: History) -> Known:
    tables = {name: paired.cut(name, _AS_OF) for name in paired.names}
    active = active_days(paired.qualifying(tables[paired.activity_table]))
    # The days lose their as_of in the grouping, and everything after them asks for it.
    subjects = paired.table("subjects").select("customer_id", "as_of")
    return Known(
        _AS_OF,
        tables,
        lambda: paired.kept(active.join(subjects, on="customer_id", how="left")),
        subjects,
    )


def _checked(pairs: pa.Table, earliest: int) -> pa.Table:
    where, rule = (
        "pairs",
        "Pairs have the columns customer_id (text) and as_of (int64, µs UTC), without nulls.",
    )
    for name, kind in (("customer_id", pa.string()), ("as_of", pa.int64())):
        if name not in pairs.column_names:
            raise ColumnMissing(
                where=where, got=f"no column {name}", rule=rule, fix="Name the two columns so."
            )
        if pairs[name].type != kind:
            raise WrongType(
                where=f"{where}.{name}",
                got=f"type {pairs[name].type}",
                rule=rule,
                fix="Cast it first.",
            )
        if pairs[name].null_count:
            raise WrongType(
                where=f"{where}.{name}",
                got=f"{pairs[name].null_count:,} nulls",
                rule=rule,
                fix="Leave those pairs out.",
            )
    early = pc.sum(pc.less(pairs["as_of"], earliest)).as_py() or 0
    if early:
        raise NotEnoughData(
            where=f"{where}.as_of",
            got=f"{early:,} instants before the first base",
            fix="Measure an earlier base.",
            rule="A pair uses the newest base measured at or before its as_of: a later one knows the future.",
        )
    return pairs.select(["customer_id", "as_of"]).combine_chunks()


def _rows_a_customer(history: History, customers: pa.Array) -> np.ndarray:
    """How many rows all tables have of each customer (a customer may repeat); 0: in no table."""
    parts = " UNION ALL ".join(f"SELECT customer_id FROM {name}" for name in history.names)
    counted = history.connection.execute(
        f"SELECT customer_id, count(*) AS n FROM ({parts}) GROUP BY ALL"
    ).to_arrow_table()
    found = pc.index_in(customers, counted["customer_id"].combine_chunks())
    return pc.fill_null(counted["n"].combine_chunks().take(found), 0).to_numpy(zero_copy_only=False)


def _irregular(history: History, asked: pa.Table, spans: RunningTotals) -> np.ndarray:
    """Which pairs lie in an interval where what was known differs from what finally is."""
    numbered = asked.append_column("number", pa.array(np.arange(asked.num_rows)))
    both = framed(history, numbered).join(spans.intervals, on="customer_id", how="inner")
    inside = (
        both.filter((nw.col("after_us") < _AS_OF) & (nw.col("until_us") >= _AS_OF))
        .select("number")
        .unique()
    )
    out = np.zeros(asked.num_rows, bool)
    out[inside.collect(backend="pyarrow").to_native()["number"].to_numpy()] = True
    return out
