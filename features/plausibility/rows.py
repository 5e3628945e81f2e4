"""Rows that do not count: too many rejected, too many superseded, versions of another kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import narwhals as nw

from features.core.contract import ALL_TABLES
from features.core.errors import SHOWN_VALUES
from features.core.instants import DAY_US, day_text
from features.core.settings import Settings
from features.plausibility.finding import Finding, percent_of
from features.tables.history import History
from features.tables.queries import first_value
from features.tables.reading.reading import FileReport
from features.tables.repeated_rows import REPEATED, may_repeat
from features.tables.typed_tables import RowCounts
from features.tables.versions import IS_REFUND, has_id

MOST_REJECTED, MOST_SUPERSEDED = 0.05, 0.05
FAR_FUTURE_US = 2**62


def find_rows(
    history: History, counts: Mapping[str, RowCounts], settings: Settings
) -> Iterator[Finding]:
    """Rows left out, many rejects, superseded rows, versions of other kinds, load times."""
    for name, file in history.files.items():
        yield from _left_out(name, file)
    for name, table in counts.items():
        yield from _rejected(name, table)
    yield from _superseded(history)
    yield from _kinds(history)
    yield from _recorded_later(history, settings)


def superseded_rows(history: History, name: str) -> int:
    """Rows that a later version replaced or a void withdrew, over all that is recorded."""
    if name not in history.versioned:
        return 0
    remaining = history.cut(name, FAR_FUTURE_US).select(nw.len()).collect(backend="pyarrow")
    rows = first_value(history.connection, f"SELECT count(*) FROM {name}")
    return int(rows - remaining.to_native()[0][0].as_py())


def refunds_of_orders(history: History) -> int:
    """Refunds that stand under the transaction_id of a purchase of the same customer."""
    if "transactions" not in history.names or "transactions" in history.unique_ids:
        return 0
    bought = "SELECT customer_id, transaction_id FROM transactions WHERE kind = 'purchase'"
    return int(
        first_value(
            history.connection,
            f"SELECT count(*) FROM transactions WHERE {IS_REFUND} AND transaction_id IS NOT NULL "
            f"AND (customer_id, transaction_id) IN ({bought} AND transaction_id IS NOT NULL)",
        )
    )


def _left_out(name: str, file: FileReport) -> Iterator[Finding]:
    """Rows of a file that are no rows of its table."""
    if file.bad_rows:
        shown = "; ".join(f"row {bad.row:,}: {bad.reason}" for bad in file.examples[:SHOWN_VALUES])
        more = ", …" if file.bad_rows > SHOWN_VALUES else ""
        all_rows = file.rows + file.bad_rows
        yield Finding(
            "rows_left_out",
            name,
            f"{file.bad_rows:,} of {all_rows:,} rows of {file.path} are left out, because "
            f"they cannot be read ({shown}{more}).",
            f"Correct these rows in {file.path}, or export it again; lifecycle check --json lists "
            "the first 1,000 of a file.",
            counts={"rows": all_rows, "left_out": file.bad_rows},
        )


def _rejected(name: str, table: RowCounts) -> Iterator[Finding]:
    rejected = sum(table.rejected.values())
    if rejected > MOST_REJECTED * table.read:
        reasons = sorted(table.rejected.items(), key=lambda item: -item[1])
        words = ", ".join(f"{reason} {rows:,}" for reason, rows in reasons[:3])
        yield Finding(
            "many_rejected",
            name,
            f"{rejected:,} of {table.read:,} rows ({percent_of(rejected, table.read)}) are "
            f"rejected: {words}.",
            "Write them to a file with: lifecycle check --rejects rejects.csv; then correct the "
            f"SELECT of {name}, or leave the rows out there on purpose.",
            counts={"read": table.read, "rejected": rejected},
        )


def _superseded(history: History) -> Iterator[Finding]:
    # A later version of a contract or of a lead is the usual way to record a change.
    if "transactions" not in history.names:
        return
    rows = first_value(history.connection, "SELECT count(*) FROM transactions")
    # A void is no row that another one replaced; what it withdraws is.
    voids = first_value(history.connection, "SELECT count(*) FROM transactions WHERE kind = 'void'")
    superseded = superseded_rows(history, "transactions") - voids
    if superseded > MOST_SUPERSEDED * rows:
        yield Finding(
            "superseded_rows",
            "transactions",
            f"{superseded:,} of {rows:,} rows ({percent_of(superseded, rows)}) do not count, "
            "because a later row has the same transaction_id.",
            "If they are lines of one order, sum them per order in the SELECT; if they are rows of "
            "their own, leave transaction_id out.",
            counts={"rows": rows, "superseded": superseded},
        )


def _kinds(history: History) -> Iterator[Finding]:
    if "transactions" not in history.names or "transactions" in history.unique_ids:
        return
    table = ALL_TABLES["transactions"]
    key = ", ".join(table.version_of)
    if not may_repeat(history.connection, "transactions", key, where=has_id(table)):
        return
    changed = first_value(
        history.connection,
        f"SELECT count(*) FROM (SELECT 1 FROM transactions WHERE {has_id(table)} "
        f"AND hash({key}) IN (SELECT digest FROM {REPEATED}) "
        f"AND kind NOT IN ('void', 'refund') GROUP BY {key} "
        "HAVING count(DISTINCT kind) > 1 OR (min(amount) < 0 AND max(amount) >= 0))",
    )
    if changed:
        yield Finding(
            "versions_change_kind",
            "transactions",
            f"{changed:,} transaction_ids have rows of several kinds, or of both signs under one "
            "kind: the latest recorded one counts.",
            "Give a failed attempt or a correction an id of its own, or kind 'refund' to what was "
            "paid back.",
            counts={"transaction_ids": changed},
        )


def _recorded_later(history: History, settings: Settings) -> Iterator[Finding]:
    """Rows recorded long after they happened: a load time, or one that hides the past."""
    for name in history.names:
        if name == "customers":
            continue
        clock = "starts_at" if name == "contracts" else "occurred_at"
        [(rows, days, stamps)] = history.connection.execute(
            f"SELECT sum(rows), count(DISTINCT day), count(DISTINCT stamp) FROM (SELECT "
            f"{clock} // {DAY_US} AS day, recorded_at // {DAY_US} AS stamp, count(*) AS rows "
            f"FROM {name} GROUP BY ALL)"
        ).fetchall()
        if rows and rows >= 30 and days >= 10 and stamps == 1:
            newest = first_value(history.connection, f"SELECT max(recorded_at) FROM {name}")
            day = day_text(newest // DAY_US * DAY_US, zone="UTC")
            yield Finding(
                "recorded_at_is_a_load_time",
                name,
                f"all {rows:,} rows were recorded on one day ({day}): nothing was known before it, "
                "so no earlier date can be trained on or scored.",
                f"Leave recorded_at out of the SELECT of {name} if it is the time of the export.",
                counts={"rows": rows, "days": days},
                values=(day,),
            )
