"""`lifecycle ingest`: what the files have that the kept history does not becomes new pieces.

A row is known where all its cells are: so the files may be the whole export again, or the new day
alone, and a day that is ingested twice changes nothing. Rows that are gone from the files stay.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb

from features.core.errors import BadSetting, StoreFailed
from features.core.file_locks import try_lock
from features.core.language import say
from features.core.progress import print_status
from features.core.settings import Settings
from features.tables.history_store.manifest import (
    Manifest,
    TablePieces,
    check_pieces,
    check_settings,
    read_manifest,
    reading_settings,
    store_folder,
    write_manifest,
)
from features.tables.history_store.pieces import (
    identity_sql,
    merge_pieces,
    pieces_sql,
    remove_strays,
    write_piece,
)
from features.tables.parsing import quote_identifier
from features.tables.queries import first_value
from features.tables.sources import Reading, SourceTables, connect, read_tables
from features.tables.typed_tables import RowCounts

LOCK = ".lock"
BATCH_ROWS = 100_000


@dataclass(frozen=True)
class IngestedTable:
    """What became of the rows of one table.

    read = rejected + known + new. replaced: of the new ones, those in place of an older row of the
    same id and instant. absent: rows that were kept before, were recorded in the time that the
    files cover, and are not in them; total: all that are kept now.
    """

    read: int
    rejected: dict[str, int]
    known: int
    new: int
    replaced: int
    absent: int
    total: int

    @property
    def looks_whole(self) -> bool:
        """Whether the files look like a whole export, in which nothing should be absent."""
        return self.known > self.absent > 0


def ingest(settings: Settings) -> dict[str, IngestedTable]:
    """Read the files, and add what is new to the kept history; by table what became of its rows.

    BadSetting without [history] folder, for other settings than those of the history, and where
    equal rows are to count twice; InputRefused as `read_tables`; StoreFailed where another ingest
    runs or the folder cannot be written. After any error, and after a kill, the history is as it
    was.
    """
    _refuse_equal_rows(settings)
    folder = store_folder(settings)
    with _store_errors(), _lock(folder):
        before = read_manifest(folder)
        if before is None:
            before = Manifest(reading_settings(settings), settings.history.buckets)
        check_settings(before, settings)
        check_pieces(folder, before)
        remove_strays(folder, dict(before.tables))
        print_status(say("reading the files"))
        tables = read_tables(settings, Reading(may_be_empty=frozenset(before.tables)))
        now, ingested = _add(folder, settings, before, tables)
        write_manifest(folder, now)
    return ingested


def _add(
    folder: Path, settings: Settings, before: Manifest, tables: SourceTables
) -> tuple[Manifest, dict[str, IngestedTable]]:
    now = replace(before, ingests=before.ingests + 1)
    ingested = {}
    connection = connect(memory=settings.engine.memory, threads=settings.engine.threads)
    try:
        for name, counts in tables.counts.items():
            if name not in settings.selects:
                continue  # terms that are built from payments are built again when they are read
            if not counts.read:
                ingested[name] = IngestedTable(0, {}, 0, 0, 0, 0, before.tables[name].rows)
                continue  # nothing happened on a new day
            print_status(say("what is new in {table}", table=name))
            state = _state_of(tables.connection, name, counts, before.tables.get(name))
            _load(connection, tables.connection, name, state)
            state, ingested[name] = _add_table(connection, folder, name, state, counts, now)
            now = now.with_table(name, state)
    finally:
        connection.close()
    return now, ingested


def _state_of(
    read: duckdb.DuckDBPyConnection, name: str, counts: RowCounts, before: TablePieces | None
) -> TablePieces:
    """The table before its new piece; BadSetting where the SELECT has other columns now."""
    described = read.execute(f"DESCRIBE {quote_identifier(name)}").fetchall()
    columns = tuple(row[0] for row in described)
    order = tuple(column for column in columns if column in counts.columns)
    if before is None:
        return TablePieces(
            columns,
            order,
            tuple(counts.columns),
            tuple(counts.attributes),
            dict(counts.money.currencies),
        )
    if (before.columns, set(before.select)) != (columns, set(counts.columns)):
        raise BadSetting(
            where=f"[tables] {name}",
            got="other columns than those that were ingested before",
            rule="All rows of a kept history have the same columns.",
            fix="Give the SELECT the former columns; or give [history] folder another name and "
            "ingest all files anew.",
            values=sorted({*before.select} ^ {*counts.columns}),
        )
    currencies = dict(before.currencies)
    for currency, rows in counts.money.currencies.items():
        currencies[currency] = currencies.get(currency, 0) + rows
    return replace(before, currencies=currencies)


def _load(
    connection: duckdb.DuckDBPyConnection,
    read: duckdb.DuckDBPyConnection,
    name: str,
    state: TablePieces,
) -> None:
    """Copy the rows that were read into `incoming`."""
    columns = ", ".join(map(quote_identifier, state.columns))
    rows = read.sql(f"SELECT {columns} FROM {quote_identifier(name)}")
    batches = rows.to_arrow_reader(BATCH_ROWS)
    connection.register("batches", batches)
    connection.execute("CREATE OR REPLACE TEMP TABLE incoming AS SELECT * FROM batches")
    connection.unregister("batches")


def _add_table(
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    name: str,
    state: TablePieces,
    counts: RowCounts,
    manifest: Manifest,
) -> tuple[TablePieces, IngestedTable]:
    """The table with a piece of what is new, and what became of the rows."""
    columns = ", ".join(map(quote_identifier, state.columns))
    near = replace(state, pieces=tuple(_near_pieces(connection, state)))
    if near.pieces:
        known = f"SELECT {columns} FROM ({pieces_sql(folder, near, name)})"
        fresh = f"SELECT {columns} FROM incoming EXCEPT {known}"
        connection.execute(f"CREATE OR REPLACE TEMP TABLE fresh AS {fresh}")
        replaced, absent = _count_changes(connection, name, state, known, columns)
    else:
        connection.execute("CREATE OR REPLACE TEMP TABLE fresh AS SELECT * FROM incoming")
        replaced, absent = 0, 0
    new = first_value(connection, "SELECT count(*) FROM fresh")
    piece = write_piece(
        connection,
        folder,
        name,
        state,
        "SELECT * FROM fresh",
        buckets=manifest.buckets,
        number=manifest.ingests,
    )
    state = replace(
        state,
        pieces=(*state.pieces, *([] if piece is None else [piece])),
        replaced=state.replaced or replaced > 0,
    )
    state = merge_pieces(
        connection, folder, name, state, buckets=manifest.buckets, number=manifest.ingests
    )
    rejected = dict(counts.rejected)
    known_rows = counts.read - sum(rejected.values()) - new
    total = state.rows
    if state.replaced:
        total = first_value(connection, f"SELECT count(*) FROM ({pieces_sql(folder, state, name)})")
    return state, IngestedTable(
        counts.read, rejected, known_rows, new, replaced, absent - replaced, total
    )


def _near_pieces(connection: duckdb.DuckDBPyConnection, state: TablePieces) -> Iterator[Any]:
    """The pieces that may have a row of `incoming`: equal rows were recorded at one instant."""
    if "recorded_at" not in state.columns:
        yield from state.pieces
        return
    first, last = connection.execute(
        "SELECT min(recorded_at), max(recorded_at) FROM incoming"
    ).fetchall()[0]
    for piece in state.pieces:
        if (
            piece.first is None
            or piece.last is None
            or first is None
            or (piece.first <= last and first <= piece.last)
        ):
            yield piece


def _count_changes(
    connection: duckdb.DuckDBPyConnection, name: str, state: TablePieces, known: str, columns: str
) -> tuple[int, int]:
    """(rows in place of known ones; known rows of the covered time that are not in the files)."""
    replaced = 0
    if (key := identity_sql(name)) is not None:
        is_one, of = key
        replaced = first_value(
            connection,
            f"SELECT count(*) FROM (SELECT {of} FROM fresh WHERE {is_one} "
            f"INTERSECT SELECT {of} FROM ({known}) WHERE {is_one})",
        )
    covered = known
    if "recorded_at" in state.columns:
        covered = (
            f"SELECT {columns} FROM ({known}) WHERE recorded_at BETWEEN "
            "(SELECT min(recorded_at) FROM incoming) AND (SELECT max(recorded_at) FROM incoming)"
        )
    absent = first_value(
        connection,
        f"SELECT count(*) FROM ({covered} EXCEPT SELECT {columns} FROM incoming)",
    )
    return replaced, absent


def _refuse_equal_rows(settings: Settings) -> None:
    if settings.contract.exact_duplicates == "keep":
        raise BadSetting(
            where="[contract] exact_duplicates",
            got="keep",
            rule="A kept history counts rows that are equal in every column once: it could not "
            "tell a second sale from a file that is ingested twice.",
            fix='Write exact_duplicates = "drop", and give equal rows an id if they are several.',
        )


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """One ingest at a time; StoreFailed where another one runs."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not try_lock(descriptor):
            raise StoreFailed(
                where="the kept history",
                got="another `lifecycle ingest` that is at work",
                rule="One ingest works on a history at a time.",
                fix="Wait until it ends, and type the command again.",
            )
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _store_errors() -> Iterator[None]:
    try:
        yield
    except (OSError, duckdb.IOException) as error:
        words = getattr(error, "strerror", None) or "a write that failed"
        raise StoreFailed(
            where="the kept history",
            got=words,
            rule="The folder of [history] is written to.",
            fix="Free disk space or correct the folder's rights; type the command again. The "
            "history is as it was.",
        ) from error
