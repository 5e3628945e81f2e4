"""Whether a file of contracts holds terms as they were agreed, or rows that were overwritten."""

from __future__ import annotations

import contextlib
from pathlib import Path

import duckdb

from features.core.contract import CONTRACT
from features.core.errors import InputRefused, SnapshotRefused
from features.core.settings import settings_from_mapping
from features.tables.snapshots import looks_overwritten, read_signs
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

    None where they are terms. SnapshotRefused where no payments can take their place.
    """
    if "contracts" not in parts or not _is_snapshot(connection, parts):
        return None
    names = ", ".join(part.source.path.name for part in parts["contracts"])
    subscriptions = sum(part.source.rows for part in parts["contracts"])
    if "transactions" not in parts or not _are_regular(connection, parts):
        missing = "no payments"
        if "transactions" in parts:
            missing = "purchases that do not come regularly, so they are no payments for terms"
        raise SnapshotRefused(
            where=names,
            got=f"{subscriptions:,} subscriptions, one row each, whose ends were overwritten as "
            f"they changed; and {missing}",
            rule="A term is a row, with the end that was agreed when it was recorded. In a row "
            "that is overwritten, the end of a customer who leaves is there before anybody knew "
            "it.",
            fix="Give init the payments or invoices of the same customers too: they pay for the "
            "terms. Or export every change with the time when it was recorded (recorded_at).",
        )
    payments = connection.execute(
        f"SELECT count(*) FROM ({union_select(parts['transactions'])})"
    ).fetchall()[0][0]
    question = Question(
        "contracts",
        f"{names} has {subscriptions:,} subscriptions, one row each, whose ends were overwritten "
        "as they changed.",
        (
            Answer("payments", f"the {payments:,} payments build the terms"),
            Answer("agreed", "the ends were agreed when the rows were written"),
        ),
    )
    if answers.ask(question) != "payments":
        return None
    del parts["contracts"]
    reason = (
        f"{names} is a snapshot: one row a subscription, and the ends were overwritten. The "
        f"{payments:,} payments build the terms (--answer contracts=agreed reads the file instead)."
    )
    return Guess("contract.terms_from", '"payments"', (reason,))


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


def _is_snapshot(connection: duckdb.DuckDBPyConnection, parts: Parts) -> bool:
    """Whether the typed terms show the signs of a snapshot; False where they cannot be read."""
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
        return looks_overwritten(read_signs(connection, payments))
    finally:
        connection.execute("SET schema = 'files'")
