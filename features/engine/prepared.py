"""The kept plan of one release: raw events of a few customers to feature rows, without planning anything anew.

Planning is what costs on a few rows (a hundred expressions take a database longer to plan than to run). So the very
frames that `table.build` would collect are turned into statements once, with `as_of` as a column instead of a number,
and prepared. The statements, their engine and their integers are those of the batch job: equal rows, bit for bit.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import duckdb
import narwhals as nw
import pyarrow as pa
import pyarrow.compute as pc

from features.core.contract import CONTRACT, EVENT_TABLES, Column
from features.engine.build import current_state, formulas, needed_by, reductions
from features.engine.columns import ColumnOf
from features.recipes.attributes import Attribute
from features.recipes.definitions import Definitions
from features.recipes.population_stats import PopulationStats
from features.recipes.recipe import Now
from features.recipes.stages import STATE_COLUMNS
from features.tables.history import History, Known, active_days
from features.tables.parsing import local_day, local_hour
from features.tables.sources import connect

ARROW_TYPES = {
    "id": pa.string(),
    "text": pa.string(),
    "instant": pa.int64(),
    "money": pa.int64(),
    "number": pa.float64(),
    "flag": pa.bool_(),
}
_AS_OF = nw.col("as_of")
BESIDE = ("feedback", "interactions")
_SPECIAL = re.compile(
    r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|(?<![\w.])\d+[.]\d+(?![\w.])|(?<![\w.])main[.](?=\w)"""
)


def columns_of(name: str, attributes: Sequence[Attribute] = ()) -> tuple[Column, ...]:
    """The contract's columns of one table; of customers also the attributes that the contract does not name."""
    table = CONTRACT[name]
    mine = [one for one in attributes if table.attributes and one.name not in table.names]
    return (*table.columns, *(Column(one.name, one.type, "an attribute of yours") for one in mine))


def typed(
    name: str, rows: Sequence[Mapping[str, object]], attributes: Sequence[Attribute] = ()
) -> pa.Table:
    """Rows of one table (instants in µs, money in minor units; absent cells are null) as an Arrow table."""
    types = {column.name: ARROW_TYPES[column.type] for column in columns_of(name, attributes)}
    return pa.table(
        {
            column: pa.array([row.get(column) for row in rows], kind)
            for column, kind in types.items()
        }
    )


class _Incoming:
    """What a request brought of one table: the prepared statement reads what lies here at the moment it runs."""

    def __init__(self, nothing: pa.Table) -> None:
        self.rows = self._nothing = nothing

    def empty(self) -> None:
        self.rows = self._nothing

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.rows.__arrow_c_stream__(requested_schema)


class PreparedFeatures:
    """Prepared statements over engines of their own; `build` may be called from any thread, one call at a time runs.

    A request is answered in two shares at once, each by an engine with one thread: setting up hundreds of small steps
    is what costs, and it costs each share half (docs/decisions/015).
    """

    def __init__(
        self,
        *,
        definitions: Definitions,
        base: PopulationStats,
        columns: Sequence[ColumnOf],
        tables: Sequence[str],
        activity_kinds: tuple[str, ...],
        zone: str,
    ) -> None:
        self.base = base
        # Attributes are read only where a column asks for them.
        asked = {reduction.table for reduction in needed_by(columns)}
        self._tables = [name for name in tables if name != "customers" or name in asked]
        self._attributes, self._lock = definitions.attributes, threading.Lock()
        self._names = [*STATE_COLUMNS, *(column.name for column in columns)]
        made_for = {
            "definitions": definitions,
            "base": base,
            "tables": self._tables,
            "kinds": activity_kinds,
            "zone": zone,
        }
        with_state, beside = shares(columns)
        self._state = _Share(with_state, stands=True, **made_for)
        self._beside = _Share(beside, stands=False, **made_for) if beside else None
        self._other = (
            ThreadPoolExecutor(1, thread_name_prefix="lifecycle-share") if beside else None
        )

    def build(self, events: Mapping[str, pa.Table], *, as_of: int) -> pa.Table:
        """The rows `table.build` gives for Known(as_of) of these events: `events` are typed contract tables.

        Rows equal in every column are kept: folding them is the caller's. Nothing stays behind after a call.
        """
        brought = {name: events[name] for name in self._tables if events.get(name) is not None}
        ids = _in_order([rows["customer_id"] for rows in brought.values()])
        numbered = {name: self._numbered(name, rows, ids, as_of) for name, rows in brought.items()}
        with self._lock:
            waiting = self._other.submit(self._beside.answer, numbered) if self._other else None
            try:
                found = self._state.answer(numbered)
            finally:
                more = waiting.result() if waiting else None
        for at, name in enumerate(() if more is None else more.column_names):
            if (
                name != "customer_id"
            ):  # the same customers in the same order: both sort by their numbers
                found = found.append_column(name, more.column(at))
        named = [ids.take(numbers) for numbers in found["customer_id"].chunks]
        return found.set_column(0, "customer_id", pa.chunked_array(named, pa.string())).select(
            self._names
        )

    def _numbered(self, name: str, rows: pa.Table, ids: pa.Array, as_of: int) -> pa.Table:
        """The rows as the plan takes them: customers by their place among `ids`, and the instant beside each row."""
        columns = {column.name: rows[column.name] for column in columns_of(name, self._attributes)}
        columns["customer_id"] = pc.index_in(rows["customer_id"], value_set=ids).cast(pa.int64())
        return pa.table(
            {**columns, "as_of": pa.repeat(pa.scalar(as_of, pa.int64()), rows.num_rows)}
        )


def shares(columns: Sequence[ColumnOf]) -> tuple[list[ColumnOf], list[ColumnOf]]:
    """(the columns worked out with the customers' standing, those that rest on BESIDE): about equal work in practice.

    The few columns that rest on both kinds of rows are among the second, which then reads the other rows too.
    """
    halves: tuple[list[ColumnOf], list[ColumnOf]] = ([], [])
    for column in columns:
        halves[any(red.table in BESIDE for red in column.recipe().reductions.values())].append(
            column
        )
    return halves


class _Share:
    """One engine with one prepared statement: some of the columns and, where `stands`, STATE beside them."""

    def __init__(
        self,
        columns: Sequence[ColumnOf],
        *,
        stands: bool,
        definitions: Definitions,
        base: PopulationStats,
        tables: list[str],
        kinds: tuple[str, ...],
        zone: str,
    ) -> None:
        self._run, self._stands = connect(memory="1GB", threads=1), stands
        asked = {reduction.table for reduction in needed_by(columns)}
        needed = {
            *asked,
            definitions.activity_table,
            *({"contracts"} if definitions.contractual else ()),
        }
        self._tables = [name for name in tables if stands or name in needed]
        self._attributes = definitions.attributes
        # A prepared statement keeps what it knew of the tables when they were empty (ranges, from which it packs
        # values into fewer bits): nothing may rest on that.
        self._run.execute(
            "SET disabled_optimizers = 'statistics_propagation,compressed_materialization'"
        )
        self._pieces: dict[str, str] = {}
        self._incoming = {name: self._table(name, zone) for name in self._tables}
        answer = self._plan(definitions, base, columns, kinds)
        # One statement whose pieces are worked out once each: as tables of their own, their hundreds of columns would
        # be written and read for a single row. Only now: prepared before a table is made, it is planned at every call.
        pieces = ", ".join(
            f"{name} AS MATERIALIZED ({statement})" for name, statement in self._pieces.items()
        )
        self._run.execute(f"PREPARE answer AS WITH {pieces} {answer}")

    def answer(self, numbered: Mapping[str, pa.Table]) -> pa.Table:
        """The share's columns of these rows, customers as numbers; one call at a time."""
        try:
            for name, table in self._incoming.items():
                if name in numbered:
                    table.rows = numbered[name]
            return self._run.execute("EXECUTE answer").to_arrow_table()
        finally:
            for table in self._incoming.values():
                table.empty()

    def _table(self, name: str, zone: str) -> _Incoming:
        types = {
            column.name: ARROW_TYPES[column.type] for column in columns_of(name, self._attributes)
        }
        types |= {"customer_id": pa.int64(), "as_of": pa.int64()}
        table = _Incoming(pa.schema(list(types.items())).empty_table())
        self._run.register(f"incoming_{name}", table)
        day = (
            f", {local_day(zone)} AS local_day, {local_hour(zone)} AS local_hour"
            if name in EVENT_TABLES
            else ""
        )
        self._piece(name, f"SELECT *{day} FROM incoming_{name}")
        return table

    def _plan(
        self,
        definitions: Definitions,
        base: PopulationStats,
        columns: Sequence[ColumnOf],
        kinds: tuple[str, ...],
    ) -> str:
        """The pieces of the answer, and the statement that makes the answer of them."""
        versioned = frozenset(name for name in self._tables if CONTRACT[name].version_of)
        history = History(
            self._run, definitions.activity_table, kinds, 0, tuple(self._tables), versioned
        )
        tables = {
            name: self._piece(f"known_{name}", _sql(history.cut(name, _AS_OF)))
            for name in self._tables
        }
        active = history.qualifying(tables[history.activity_table])
        # The days lose their as_of in the grouping, and everything after them asks for it.
        active_sql = f"SELECT d.*, a.as_of FROM ({_sql(active_days(active))}) d, (SELECT max(as_of) AS as_of FROM {history.activity_table}) a"
        activity = self._piece("activity", active_sql)
        known = Known(_AS_OF, tables, activity, activity.select("customer_id"))
        people = (
            current_state(known, definitions)
            if self._stands
            else activity.select("customer_id", "as_of").unique()
        )
        rows = self._piece("standing", _sql(people))
        now = Now(_AS_OF, definitions, base)
        reduced = reductions(known, now, columns)
        # Every join carries all that was joined before it: the narrow first.
        for name, frame in sorted(reduced.items(), key=lambda item: len(item[1].columns)):
            rows = rows.join(self._piece(f"of_{name}", _sql(frame)), on="customer_id", how="left")
        rows = self._piece("joined", _sql(rows))
        beside = STATE_COLUMNS if self._stands else ("customer_id",)
        return _sql(formulas(rows, now, columns, beside=beside))

    def _piece(self, name: str, statement: str) -> nw.LazyFrame:
        """A part of the statement, under a name: an empty table stands for it while the rest is planned."""
        self._run.execute(f"CREATE TABLE {name} AS {statement}")
        self._pieces[name] = statement
        return nw.from_native(self._run.table(name))


def _in_order(named: list[pa.ChunkedArray]) -> pa.Array:
    """Every id once, in the order of the answer's rows: numbers in its place sort alike, and are compared faster."""
    ids = pa.chunked_array(
        [chunk for column in named for chunk in column.chunks], pa.string()
    ).unique()
    return ids.take(pc.sort_indices(ids))


def _sql(frame: nw.LazyFrame) -> str:
    """The frame as a statement.

    Its reals get an exponent (`0.1` in SQL is a decimal, and rounds otherwise), its tables lose their schema (a piece
    is found under its name alone).
    """
    relation: duckdb.DuckDBPyRelation = frame.to_native()
    return _SPECIAL.sub(_spelled, relation.sql_query())


def _spelled(found: re.Match[str]) -> str:
    text = found[0]
    if text.startswith("main."):
        return text.removeprefix("main.")
    return text + "e0" if text[0].isdigit() else text
