"""The kept plan of one release: raw events of a few customers to feature rows, without planning anything anew.

Planning is what costs on a few rows (a hundred expressions take a database longer to plan than to run). So the very
frames that `table.build` would collect are turned into statements once, with `as_of` as a column instead of a number,
and prepared. The statements, their engine and their integers are those of the batch job: equal rows, bit for bit.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence

import duckdb
import narwhals as nw
import pyarrow as pa

from features.base import Attribute, Base, Definitions
from features.contract import CONTRACT, EVENT_TABLES, Column
from features.history import History, Known, active_days
from features.parsing import SQL_TYPES, local_day, local_hour, quoted
from features.recipe import Now
from features.sources import connect
from features.table import ColumnOf, formulas, needed_by, reductions, standing

ARROW_TYPES = {
    "id": pa.string(),
    "text": pa.string(),
    "instant": pa.int64(),
    "money": pa.int64(),
    "number": pa.float64(),
    "flag": pa.bool_(),
}
_AS_OF = nw.col("as_of")
_SPECIAL = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|(?<![\w.])\d+[.]\d+(?![\w.])|(?<![\w.])main[.](?=\w)""")


def columns_of(name: str, attributes: Sequence[Attribute] = ()) -> tuple[Column, ...]:
    """The contract's columns of one table; of customers also the attributes that the contract does not name."""
    table = CONTRACT[name]
    mine = [one for one in attributes if table.attributes and one.name not in table.names]
    return (*table.columns, *(Column(one.name, one.type, "an attribute of yours") for one in mine))


def typed(name: str, rows: Sequence[Mapping[str, object]], attributes: Sequence[Attribute] = ()) -> pa.Table:
    """Rows of one table (instants in µs, money in minor units; absent cells are null) as an Arrow table."""
    types = {column.name: ARROW_TYPES[column.type] for column in columns_of(name, attributes)}
    return pa.table({column: pa.array([row.get(column) for row in rows], kind) for column, kind in types.items()})


class Online:
    """Prepared statements over an engine of its own; `build` may be called from any thread, one at a time runs."""

    def __init__(
        self, *, definitions: Definitions, base: Base, columns: Sequence[ColumnOf], tables: Sequence[str],
        activity_kinds: tuple[str, ...], zone: str,
    ) -> None:  # fmt: skip
        self.base = base
        # Attributes are read only where a column asks for them.
        asked = {reduction.table for reduction in needed_by(columns)}
        self._tables = [name for name in tables if name != "customers" or name in asked]
        self._attributes = definitions.attributes
        self._run, self._lock = connect(memory="1GB", threads=1), threading.Lock()
        # A prepared statement keeps what it knew of the tables when they were empty (ranges, from which it packs
        # values into fewer bits): nothing may rest on that.
        self._run.execute("SET disabled_optimizers = 'statistics_propagation,compressed_materialization'")
        self._inserts = {name: self._raw_table(name, zone) for name in self._tables}
        self._pieces: dict[str, str] = {}
        answer = self._plan(definitions, columns, activity_kinds)
        # One statement whose pieces are worked out once each: as tables of their own, their hundreds of columns would
        # be written and read for a single row. Only now: prepared before a table is made, it is planned at every call.
        pieces = ", ".join(f"{name} AS MATERIALIZED ({statement})" for name, statement in self._pieces.items())
        self._run.execute(f"PREPARE answer AS WITH {pieces} {answer}")

    def build(self, events: Mapping[str, pa.Table], *, as_of: int) -> pa.Table:
        """The rows `table.build` gives for Known(as_of) of these events: `events` are typed contract tables.

        Rows equal in every column are kept: folding them is the caller's. Nothing stays behind after a call.
        """
        with self._lock:
            self._run.execute("BEGIN")
            try:
                for name in self._tables:
                    incoming = events.get(name)
                    if incoming is not None and incoming.num_rows:
                        self._run.execute(self._inserts[name], {"as_of": as_of})
                return self._run.execute("EXECUTE answer").to_arrow_table()
            finally:
                # What a request brought is never committed: the engine neither grows nor remembers.
                self._run.execute("ROLLBACK")

    def _raw_table(self, name: str, zone: str) -> str:
        day = ", local_day INTEGER, local_hour INTEGER" if name in EVENT_TABLES else ""
        columns = columns_of(name, self._attributes)
        typed_columns = ", ".join(f"{quoted(column.name)} {SQL_TYPES[column.type]}" for column in columns)
        self._run.execute(f"CREATE TABLE {name} ({typed_columns}{day}, as_of BIGINT)")
        selected = ", ".join(quoted(column.name) for column in columns) + (
            f", {local_day(zone)}, {local_hour(zone)}" if day else ""
        )
        return f"INSERT INTO {name} SELECT {selected}, $as_of FROM incoming"

    def _plan(self, definitions: Definitions, columns: Sequence[ColumnOf], kinds: tuple[str, ...]) -> str:
        """The pieces of the answer, and the statement that makes the answer of them."""
        versioned = frozenset(name for name in self._tables if CONTRACT[name].version_of)
        history = History(self._run, definitions.activity_table, kinds, 0, tuple(self._tables), versioned)
        tables = {name: history.cut(name, _AS_OF) for name in self._tables}
        active = history.qualifying(tables[history.activity_table])
        # The days lose their as_of in the grouping, and everything after them asks for it.
        active_sql = f"SELECT d.*, a.as_of FROM ({_sql(active_days(active))}) d, (SELECT max(as_of) AS as_of FROM {history.activity_table}) a"
        activity = self._piece("activity", active_sql)
        known = Known(_AS_OF, tables, activity, activity.select("customer_id"))
        rows = self._piece("standing", _sql(standing(known, definitions)))
        now = Now(_AS_OF, definitions, self.base)
        for name, frame in reductions(known, now, columns).items():
            rows = rows.join(self._piece(f"of_{name}", _sql(frame)), on="customer_id", how="left")
        rows = self._piece("joined", _sql(rows))
        return _sql(formulas(rows, now, columns))

    def _piece(self, name: str, statement: str) -> nw.LazyFrame:
        """A part of the statement, under a name: an empty table stands for it while the rest is planned."""
        self._run.execute(f"CREATE TABLE {name} AS {statement}")
        self._pieces[name] = statement
        return nw.from_native(self._run.table(name))


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
