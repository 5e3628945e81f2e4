"""Labels of the business's own targets: what a SELECT over the outcome window returns.

The label is 1 for a customer with a row at as_of whose id the SELECT returns, else 0. Of an amount
it is the customer's, or 0. Ids without a row at as_of are customers who came later; they are
counted.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.core.errors import LifecycleError, QueryFailed
from features.core.settings import Settings
from features.core.target_schema import Target
from features.labels.outcome_window import OutcomeWindow
from features.labels.outcomes import refuse_immature
from features.labels.target_results import ID, check_columns, read_amounts
from features.labels.window_database import ACTIVITY, PEOPLE, SCHEMA, open_window, window_tables
from features.tables.history import History
from features.tables.select_rules import Sources, first_line, refuse_select
from features.tables.sources import SELECT_SECONDS, time_limit

_FIRST = re.compile(rb"\w+|.", re.DOTALL)


def label_column(name: str) -> str:
    """The column of examples with the label of a target: bool, or float64 of an amount."""
    return f"target_{name}"


@dataclass(frozen=True)
class TargetLabels:
    """`labels`: bool (customers,), or float64 of an amount. `new`: ids without a row at as_of.

    `blank`: results without id. `positive` are the labels that are 1, or the amounts but 0.
    """

    labels: np.ndarray
    new: int
    blank: int

    @property
    def positive(self) -> int:
        return int(np.count_nonzero(self.labels))


def check_targets(history: History, settings: Settings) -> None:
    """Run every SELECT over empty tables; the first that cannot be a label is refused.

    Raises SelectRefused (reads a file, draws, reads the clock, is no SELECT), QueryFailed (an
    unknown table or column, invalid SQL), ColumnMissing and WrongType (its columns).
    """
    if not settings.targets:
        return
    empty = pa.array([], pa.string())
    with open_window(history, None, empty, settings, needed=()) as database:
        for name, target in settings.targets.items():
            where = settings.target_place(name)
            select = quote_window(target.select)
            refuse_select(database, where, select, sources=_sources(history))
            check_columns(_run(database, select, where, history), target, where)


def observe_targets(
    history: History, as_of: int, customers: pa.ChunkedArray, settings: Settings
) -> dict[str, TargetLabels]:
    """The labels of every target at one instant (µs UTC), for `customers` in their order.

    ImmatureWindow where the window is not complete, and QueryFailed where a SELECT fails on these
    rows. `check_targets` has seen the SELECTs before.
    """
    if not settings.targets:
        return {}
    refuse_immature(as_of, history, settings)
    window = OutcomeWindow.after(as_of, settings)
    needed = _tables_named(settings.targets, history)
    with open_window(history, window, customers, settings, needed=needed) as database:
        results = {
            name: (
                target,
                _run(database, quote_window(target.select), settings.target_place(name), history),
            )
            for name, target in settings.targets.items()
        }
    return {
        name: _labels(target, result, customers, settings.target_place(name))
        for name, (target, result) in results.items()
    }


def _labels(
    target: Target, result: pa.Table, customers: pa.ChunkedArray, where: str
) -> TargetLabels:
    ids = result[ID].cast(pa.string())
    known = pc.drop_null(ids).unique()
    new = pc.sum(pc.invert(pc.is_in(known, value_set=customers.combine_chunks()))).as_py() or 0
    if target.key == "label":
        labels = pc.is_in(customers, value_set=known).to_numpy()
    else:
        labels = read_amounts(result, customers, where)
    return TargetLabels(labels, new, ids.null_count)


def _tables_named(targets: Mapping[str, Target], history: History) -> set[str]:
    """The tables whose names are in a SELECT, and that of [activity]: others are not loaded."""
    texts = " ".join(target.select for target in targets.values()).lower()
    every = window_tables(history)
    # It takes a name that an expression puts together.
    by_expression = "query_table" in texts
    return {name for name in every if name in texts or by_expression} | {history.activity_table}


def _sources(history: History) -> Sources:
    names = ", ".join(f"{SCHEMA}.{name}" for name in window_tables(history))
    return Sources(
        "A target reads the rows of its outcome window and nothing else.",
        f"Select FROM {ACTIVITY}, {names} or {PEOPLE}.",
    )


def _run(
    database: duckdb.DuckDBPyConnection, select: str, where: str, history: History
) -> pa.Table:
    with _label_errors(database, where, history):
        return database.execute(select).to_arrow_table()


@contextmanager
def _label_errors(
    database: duckdb.DuckDBPyConnection, where: str, history: History
) -> Iterator[None]:
    """QueryFailed for an error of the engine, and for a SELECT that takes too long."""
    expired = threading.Event()
    try:
        with time_limit(database, expired):
            yield
    except duckdb.Error as error:
        raise _failed(error, where, history, expired=expired.is_set()) from error


def _failed(error: duckdb.Error, where: str, history: History, *, expired: bool) -> LifecycleError:
    sources = _sources(history)
    if expired:
        return QueryFailed(
            where=where,
            got=f"a SELECT that did not end in {SELECT_SECONDS:,} seconds",
            rule=f"A SELECT ends within {SELECT_SECONDS:,} seconds.",
            fix="Look for a join without a condition or a recursion without an end.",
        )
    got = first_line(error)
    if isinstance(error, duckdb.CatalogException | duckdb.BinderException):
        return QueryFailed(where=where, got=got, rule=sources.rule, fix=_name_fix(got, history))
    return QueryFailed(
        where=where,
        got=got,
        rule="The SELECT must run over the rows of every outcome window.",
        fix="Correct the SELECT: use TRY_CAST where a value may not fit, and NULLIF(x, 0) where it "
        "is divided by.",
    )


def _name_fix(got: str, history: History) -> str:
    if "function" in got.lower():
        return "Correct the function's name or its arguments (DuckDB's dialect)."
    if "column" in got.lower():
        return "Use columns of the contract (docs/contract.md) and local_day or local_hour."
    return _sources(history).fix


def quote_window(select: str) -> str:
    """The SELECT with `window` in quotes where it is a table or a schema.

    The word begins a clause of SQL too: `WINDOW w AS (…)` stays as it is.

    >>> quote_window("SELECT customer_id FROM window WHERE quantity > 1")
    'SELECT customer_id FROM "window" WHERE quantity > 1'
    """
    try:
        starts = [start for start, _ in duckdb.tokenize(select)]
    except duckdb.Error:
        return select  # refuse_select says what is wrong
    # The engine counts in bytes.
    text = select.encode()
    # A comment stands between two tokens and is none, so a token is its first word or sign.
    tokens = [b"".join(_FIRST.findall(text, start)[:1]) for start in starts]
    parts, done = [], 0
    for number, (start, token) in enumerate(zip(starts, tokens, strict=True)):
        if token.lower() == SCHEMA.encode() and not _is_clause(tokens[number + 1 :]):
            parts += [text[done:start], b'"window"']
            done = start + len(SCHEMA)
    return b"".join([*parts, text[done:]]).decode()


def _is_clause(following: list[bytes]) -> bool:
    """Whether these tokens continue `WINDOW` as a clause: `w AS (`."""
    return len(following) > 2 and following[1].lower() == b"as" and following[2] == b"("
