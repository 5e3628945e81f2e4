"""Whether a file of contracts holds terms as they were agreed, or rows that were overwritten."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import duckdb

from features.core.contract import CONTRACT
from features.core.errors import InputRefused, SnapshotRefused
from features.core.settings import settings_from_mapping
from features.tables.snapshots import (
    ROWS_A_SUBSCRIPTION,
    ends_as_they_happen,
    looks_overwritten,
    read_signs,
)
from features.tables.sources import read_table
from lifecycle.init.parts import Part
from lifecycle.init.questions import Answer, Answers, Question
from lifecycle.init.selects import union_select
from lifecycle.init.toml_page import Guess

Parts = dict[str, list[Part]]

# (days, more or less) of what is paid by the week, the month, the quarter, half a year, the year.
_PERIODS = ((7, 1), (14, 2), (30, 3), (61, 4), (91, 5), (182, 7), (365, 10))
_REGULAR, _FEW_GAPS = 0.5, 10


def settle_terms(
    connection: duckdb.DuckDBPyConnection, parts: Parts, answers: Answers
) -> Guess | None:
    """The guess for `terms_from` where the contracts are a snapshot; they leave `parts` then.

    None where they are terms, or are left out. SnapshotRefused where no payments can take their
    place. A list without a column of the end is read as open-ended terms where nothing pays for
    them: a cancellation is known from its day on.
    """
    if "contracts" not in parts:
        return None
    if _ends_came(connection, parts):
        parts["contracts"] = [_open_ended(part) for part in parts["contracts"]]
        return None
    endless = all("ends_at" not in part.cells for part in parts["contracts"])
    is_list = _has_one_row_each(connection, parts) if endless else _is_snapshot(connection, parts)
    if not is_list:
        return None
    names = ", ".join(part.source.label for part in parts["contracts"])
    paid = "transactions" in parts and _are_regular(connection, parts)
    if not paid and not endless:
        raise _refusal(parts, names)
    payments = _count(connection, parts, "transactions") if paid else 0
    answer = answers.ask(_question(parts, names, payments, endless=endless))
    if answer == "agreed":
        return None
    del parts["contracts"]
    if answer == "leave_out":
        return None
    what = "the rows are overwritten" if endless else "the ends were overwritten"
    reason = (
        f"{names} is a snapshot: one row a subscription, and {what}. The {payments:,} payments "
        "build the terms (--answer contracts=agreed reads the file instead)."
    )
    return Guess("contract.terms_from", '"payments"', (reason,))


def open_ended_note(parts: Parts, answers: Answers) -> str:
    """The question of a list of subscriptions that is read as terms, for the page; '' without."""
    question = answers.questions.get("contracts")
    return answers.check_note(question) if question and "contracts" in parts else ""


def _question(parts: Parts, names: str, payments: int, *, endless: bool) -> Question:
    rows = sum(part.source.rows for part in parts["contracts"])
    what = "without a column of the end" if endless else "whose ends were overwritten"
    changed = "" if endless else " as they changed"
    text = f"{names} has {rows:,} subscriptions, one row each, {what}{changed}."
    build = Answer("payments", f"the {payments:,} payments build the terms")
    agreed = Answer(
        "agreed",
        "each row is an open-ended term until it is cancelled"
        if endless
        else "the ends were agreed when the rows were written",
    )
    leave_out = Answer("leave_out", "the file is not read")
    return Question("contracts", text, (build, agreed) if payments else (agreed, leave_out))


def _refusal(parts: Parts, names: str) -> SnapshotRefused:
    rows = sum(part.source.rows for part in parts["contracts"])
    missing = "no payments"
    if "transactions" in parts:
        missing = "purchases that do not come regularly, so they are no payments for terms"
    fix = "Give init the payments or invoices of the same customers too: they pay for the terms."
    if "transactions" in parts:
        fix = "Give init the payments for these subscriptions too, if there are others."
    if {"transactions", "interactions"} & set(parts):
        fix = f"Leave {names} out: the other files are enough for a configuration. Or: {fix}"
    return SnapshotRefused(
        where=names,
        got=f"{rows:,} subscriptions, one row each, whose ends were overwritten as they changed; "
        f"and {missing}",
        rule="A term is a row, with the end that was agreed when it was recorded. In a row that "
        "is overwritten, the end of a customer who leaves is there before anybody knew it.",
        fix=f"{fix} Or export every change with the time when it was recorded (recorded_at).",
    )


def _count(connection: duckdb.DuckDBPyConnection, parts: Parts, table: str) -> int:
    return int(
        connection.execute(f"SELECT count(*) FROM ({union_select(parts[table])})").fetchall()[0][0]
    )


def _has_one_row_each(connection: duckdb.DuckDBPyConnection, parts: Parts) -> bool:
    plan = "plan" if any("plan" in part.cells for part in parts["contracts"]) else "NULL"
    rows, subscriptions = connection.execute(
        f"SELECT count(*), count(DISTINCT (customer_id, {plan})) "
        f"FROM ({union_select(parts['contracts'])})"
    ).fetchall()[0]
    return bool(rows <= ROWS_A_SUBSCRIPTION * subscriptions)


def _are_regular(connection: duckdb.DuckDBPyConnection, parts: Parts) -> bool:
    """Whether most purchases of a customer follow each other after a week, a month or a year."""
    near = " OR ".join(
        f"days BETWEEN {period} - {slack} AND {period} + {slack}" for period, slack in _PERIODS
    )
    time = "TRY_CAST(CAST(occurred_at AS VARCHAR) AS TIMESTAMP)"
    gaps, regular = connection.execute(
        f"SELECT count(days), count(*) FILTER ({near}) FROM (SELECT date_diff('day', lag(day) OVER "
        "(PARTITION BY customer_id ORDER BY day), day) AS days FROM (SELECT DISTINCT customer_id, "
        f"CAST({time} AS DATE) AS day FROM ({union_select(parts['transactions'])})))"
    ).fetchall()[0]
    return bool(gaps < _FEW_GAPS or regular >= _REGULAR * gaps)


def _ends_came(connection: duckdb.DuckDBPyConnection, parts: Parts) -> bool:
    """Whether the ends were written when they came, in files that know no withdrawal."""
    if any({"cancelled_at", "recorded_at"} & set(part.cells) for part in parts["contracts"]):
        return False
    if any("ends_at" not in part.cells for part in parts["contracts"]):
        return False

    def judge(connection: duckdb.DuckDBPyConnection, payments: str) -> bool:
        if looks_overwritten(read_signs(connection, payments)):
            return False  # asked about in its own way
        return ends_as_they_happen(connection) is not None

    return _judge_terms(connection, parts, judge)


def _open_ended(part: Part) -> Part:
    """The part with its ends as the days on which open-ended terms were cancelled."""
    reason = (
        f"{part.cells['ends_at'].column} is read as cancelled_at, known from that day on: hardly "
        "any running term has an end, so ends were written when they came. If they were agreed "
        "when a term began, write AS ends_at and select recorded_at, when each row was written."
    )
    # The alias of the column is the last word of its line in the SELECT.
    select = re.sub(r"\bAS ends_at\b", "AS cancelled_at", part.select)
    cells = {("cancelled_at" if n == "ends_at" else n): cell for n, cell in part.cells.items()}
    return replace(part, select=select, cells=cells, reasons=(*part.reasons, reason))


def _is_snapshot(connection: duckdb.DuckDBPyConnection, parts: Parts) -> bool:
    """Whether the typed terms show the signs of a snapshot; False where they cannot be read."""

    def judge(connection: duckdb.DuckDBPyConnection, payments: str) -> bool:
        return looks_overwritten(read_signs(connection, payments))

    return _judge_terms(connection, parts, judge)


def _judge_terms(
    connection: duckdb.DuckDBPyConnection,
    parts: Parts,
    judge: Callable[[duckdb.DuckDBPyConnection, str], bool],
) -> bool:
    """`judge` of the typed terms and payments; False where the terms cannot be read."""
    mapping = {"business": {"zone": "UTC"}, "tables": {"transactions": "SELECT 1"}}
    settings = settings_from_mapping(mapping, folder=Path(), where="init")

    def read(name: str) -> bool:
        with contextlib.suppress(InputRefused):
            select = union_select(parts[name])
            read_table(connection, CONTRACT[name], select, settings=settings)
            return True
        return False

    try:
        if not read("contracts"):
            return False
        payments = "main.transactions" if "transactions" in parts and read("transactions") else ""
        connection.execute("SET schema = 'main'")
        return judge(connection, payments)
    finally:
        connection.execute("SET schema = 'files'")
