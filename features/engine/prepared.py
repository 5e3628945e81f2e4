"""Feature rows of a few customers from raw events, by statements that are planned once per release.

On a few rows planning is the main cost: a database plans a hundred expressions for longer than it
runs them. So the frames that `build` would collect become prepared statements, with `as_of` as a
column instead of a number. Statements, engine and integers are those of the batch job, so the rows
are equal bit for bit.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import duckdb
import narwhals as nw
import pyarrow as pa
import pyarrow.compute as pc

from features.core.contract import ALL_TABLES, EVENT_TABLES, SWITCHED_TABLES, Column
from features.engine.build import current_state, evaluate_formulas, needed_reductions, reduce_tables
from features.engine.columns import FeatureColumn
from features.recipes.attributes import Attribute
from features.recipes.cover import scored_customers
from features.recipes.definitions import Definitions
from features.recipes.population_stats import PopulationStats
from features.recipes.recipe import Now
from features.recipes.stages import STATE_COLUMNS
from features.tables.history import History, Known, active_days
from features.tables.parsing import local_day, local_hour
from features.tables.sources import connect
from features.tables.terms import TermRules

ARROW_TYPES = {
    "id": pa.string(),
    "text": pa.string(),
    "instant": pa.int64(),
    "money": pa.int64(),
    "number": pa.float64(),
    "flag": pa.bool_(),
}
_AS_OF = nw.col("as_of")
SECOND_STATEMENT_TABLES = ("feedback", "interactions")
# Quoted text and names (left as they are), reals, and the schema before a table's name.
_LITERALS = re.compile(
    r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|(?<![\w.])\d+[.]\d+(?![\w.])|(?<![\w.])main[.](?=\w)"""
)


def table_columns(name: str, attributes: Sequence[Attribute] = ()) -> tuple[Column, ...]:
    """The contract's columns of one table; for customers also the release's other attributes."""
    table = ALL_TABLES[name]
    extra = [one for one in attributes if table.attributes and one.name not in table.names]
    return (*table.columns, *(Column(one.name, one.type, "an attribute of yours") for one in extra))


def rows_to_arrow(
    name: str, rows: Sequence[Mapping[str, object]], attributes: Sequence[Attribute] = ()
) -> pa.Table:
    """Rows of one table as an Arrow table (rows, columns of the contract).

    Instants are µs, money is in minor units; a missing cell is null.
    """
    types = {column.name: ARROW_TYPES[column.type] for column in table_columns(name, attributes)}
    columns = {
        column: pa.array([row.get(column) for row in rows], kind) for column, kind in types.items()
    }
    return pa.table(columns)


class _Incoming:
    """The rows of one table in a request. The prepared statement reads them when it runs."""

    def __init__(self, empty_table: pa.Table) -> None:
        self.rows = self._empty_table = empty_table

    def empty(self) -> None:
        self.rows = self._empty_table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.rows.__arrow_c_stream__(requested_schema)


class PreparedFeatures:
    """Prepared statements of one release, on database engines of their own.

    `build` may be called from any thread; one call runs at a time. Two statements run in parallel,
    each on an engine with one thread: starting hundreds of small steps is the main cost, and each
    statement starts half of them (docs/decisions/015).
    """

    def __init__(
        self,
        *,
        definitions: Definitions,
        population: PopulationStats,
        columns: Sequence[FeatureColumn],
        tables: Sequence[str],
        activity_kinds: tuple[str, ...],
        terms: TermRules,
    ) -> None:
        """terms: how contracts are read; its zone is that of the local days of all tables."""
        self.population = population
        # Customers' attributes are read only if a column needs them.
        reduced = {reduction.table for reduction in needed_reductions(columns)}
        self._tables = [name for name in tables if name != "customers" or name in reduced]
        self._attributes, self._lock = definitions.attributes, threading.Lock()
        self._names = [*STATE_COLUMNS, *(column.name for column in columns)]
        plan = _Plan(definitions, population, self._tables, activity_kinds, terms, terms.zone)
        first, second = split_columns(columns)
        self._first = _Statement(first, plan, with_state=True)
        self._second = _Statement(second, plan, with_state=False) if second else None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="lifecycle-statement")

    def build(self, events: Mapping[str, pa.Table], *, as_of: int) -> pa.Table:
        """The rows that `build` gives for what was known of these events before `as_of` (µs).

        `events` are typed contract tables by name (`rows_to_arrow`). Repeated rows are kept: the
        caller removes duplicates. Returns (customers, state columns + feature columns), sorted by
        customer_id, with the units and nulls of `build`. No row stays in memory after a call.
        """
        given = {name: events[name] for name in self._tables if events.get(name) is not None}
        ids = _unique_ids([rows["customer_id"] for rows in given.values()])
        numbered = {name: self._number(name, rows, ids, as_of) for name, rows in given.items()}
        with self._lock:
            pending = self._pool.submit(self._second.execute, numbered) if self._second else None
            try:
                rows = self._first.execute(numbered)
            finally:
                # Even after an error the second statement must end before the next call.
                more = pending.result() if pending else None
        if more is not None:
            # Both statements sort by the customers' numbers, so their rows match.
            for name in more.column_names[1:]:
                rows = rows.append_column(name, more[name])
        named = [ids.take(numbers) for numbers in rows["customer_id"].chunks]
        rows = rows.set_column(0, "customer_id", pa.chunked_array(named, pa.string()))
        return rows.select(self._names)

    def _number(self, name: str, rows: pa.Table, ids: pa.Array, as_of: int) -> pa.Table:
        """The rows as a statement reads them: customers as numbers, and as_of in every row."""
        columns = {
            column.name: rows[column.name] for column in table_columns(name, self._attributes)
        }
        columns["customer_id"] = pc.index_in(rows["customer_id"], value_set=ids).cast(pa.int64())
        columns["as_of"] = pa.repeat(pa.scalar(as_of, pa.int64()), rows.num_rows)
        return pa.table(columns)


def split_columns(
    columns: Sequence[FeatureColumn],
) -> tuple[list[FeatureColumn], list[FeatureColumn]]:
    """The columns of the first and of the second statement, about equal work in practice.

    The second has every column that reads one of SECOND_STATEMENT_TABLES. The first also computes
    the customers' state.
    """
    first: list[FeatureColumn] = []
    second: list[FeatureColumn] = []
    for column in columns:
        read = {reduction.table for reduction in column.recipe().reductions.values()}
        (second if read & {*SECOND_STATEMENT_TABLES} else first).append(column)
    return first, second


@dataclass(frozen=True)
class _Plan:
    """What both statements of a release are planned from."""

    definitions: Definitions
    population: PopulationStats
    tables: list[str]
    activity_kinds: tuple[str, ...]
    terms: TermRules
    zone: str


class _Statement:
    """One engine with one prepared statement: some feature columns, with or without the state."""

    def __init__(self, columns: Sequence[FeatureColumn], plan: _Plan, *, with_state: bool) -> None:
        self._connection, self._with_state = connect(memory="1GB", threads=1), with_state
        definitions = plan.definitions
        needed = {reduction.table for reduction in needed_reductions(columns)}
        needed |= {definitions.activity_table, *(["contracts"] if definitions.contractual else [])}
        self._tables = [name for name in plan.tables if with_state or name in needed]
        self._attributes = definitions.attributes
        # The statement is planned over empty tables. Without these optimizers it would keep value
        # ranges of the empty tables (and pack values into fewer bits), which is wrong later.
        self._connection.execute(
            "SET disabled_optimizers = 'statistics_propagation,compressed_materialization'"
        )
        self._pieces: dict[str, str] = {}
        self._incoming = {name: self._register(name, plan.zone) for name in self._tables}
        select = self._plan_select(plan, columns)
        # One statement computes each piece once. As tables of their own the pieces would write and
        # read hundreds of columns for a single row. Prepare it last: a statement that was prepared
        # before a table is created is planned again at every call.
        pieces = ", ".join(
            f"{name} AS MATERIALIZED ({statement})" for name, statement in self._pieces.items()
        )
        self._connection.execute(f"PREPARE answer AS WITH {pieces} {select}")

    def execute(self, numbered: Mapping[str, pa.Table]) -> pa.Table:
        """The statement's columns for these rows, customers as numbers; one call at a time."""
        try:
            for name, table in self._incoming.items():
                if name in numbered:
                    table.rows = numbered[name]
            return self._connection.execute("EXECUTE answer").to_arrow_table()
        finally:
            for table in self._incoming.values():
                table.empty()

    def _register(self, name: str, zone: str) -> _Incoming:
        columns = table_columns(name, self._attributes)
        types = {column.name: ARROW_TYPES[column.type] for column in columns}
        types |= {"customer_id": pa.int64(), "as_of": pa.int64()}
        table = _Incoming(pa.schema(list(types.items())).empty_table())
        self._connection.register(f"incoming_{name}", table)
        local = ""
        if name in EVENT_TABLES:
            local = f", {local_day(zone)} AS local_day, {local_hour(zone)} AS local_hour"
        self._add_piece(name, f"SELECT *{local} FROM incoming_{name}")
        return table

    def _plan_select(self, plan: _Plan, columns: Sequence[FeatureColumn]) -> str:
        """Add the pieces of the statement, and return the SELECT that reads them."""
        known = self._known(plan)
        now = Now(_AS_OF, plan.definitions, plan.population)
        if self._with_state:
            people = current_state(known, plan.definitions)
        else:
            people = scored_customers(known, contractual=plan.definitions.contractual)
        rows = self._add_piece("standing", _sql(people))
        reduced = reduce_tables(known, now, columns)
        # Every join carries the columns of all joins before it, so narrow frames come first.
        for name, frame in sorted(reduced.items(), key=lambda item: len(item[1].columns)):
            piece = self._add_piece(f"of_{name}", _sql(frame))
            rows = rows.join(piece, on="customer_id", how="left")
        rows = self._add_piece("joined", _sql(rows))
        leading = STATE_COLUMNS if self._with_state else ("customer_id",)
        return _sql(evaluate_formulas(rows, now, columns, leading_columns=leading))

    def _known(self, plan: _Plan) -> Known:
        """What is known before the as_of of the request, as pieces of the statement."""
        versioned = frozenset(name for name in self._tables if ALL_TABLES[name].version_of)
        activity_table = plan.definitions.activity_table
        names = tuple(name for name in self._tables if name not in SWITCHED_TABLES)
        history = History(
            self._connection,
            activity_table,
            plan.activity_kinds,
            0,
            names,
            versioned,
            terms=plan.terms,
        )
        tables = {
            name: self._add_piece(f"known_{name}", _sql(history.cut(name, _AS_OF)))
            for name in self._tables
        }
        active = history.qualifying(tables[activity_table])
        # Grouping into days drops as_of, and every later step reads it.
        with_as_of = (
            f"SELECT d.*, a.as_of FROM ({_sql(active_days(active))}) d, "
            f"(SELECT max(as_of) AS as_of FROM {activity_table}) a"
        )
        activity = self._add_piece("activity", with_as_of)
        further = {name: tables.pop(name) for name in SWITCHED_TABLES if name in tables}
        return Known(_AS_OF, tables, activity, activity.select("customer_id"), further=further)

    def _add_piece(self, name: str, statement: str) -> nw.LazyFrame:
        """Name a part of the statement. An empty table stands for it while the rest is planned."""
        self._connection.execute(f"CREATE TABLE {name} AS {statement}")
        self._pieces[name] = statement
        return nw.from_native(self._connection.table(name))


def _unique_ids(columns: list[pa.ChunkedArray]) -> pa.Array:
    """Every id once, sorted: their numbers then sort like the ids and are compared faster."""
    chunks = [chunk for column in columns for chunk in column.chunks]
    ids = pa.chunked_array(chunks, pa.string()).unique()
    return ids.take(pc.sort_indices(ids))


def _sql(frame: nw.LazyFrame) -> str:
    """The frame as an SQL statement.

    Real numbers get an exponent (`0.1` in SQL is a decimal and rounds differently). Tables lose
    their schema, because the pieces of the statement are found by their names alone.
    """
    relation: duckdb.DuckDBPyRelation = frame.to_native()
    return _LITERALS.sub(_rewrite_literal, relation.sql_query())


def _rewrite_literal(match: re.Match[str]) -> str:
    text = match[0]
    if text.startswith("main."):
        return text.removeprefix("main.")
    return text + "e0" if text[0].isdigit() else text
