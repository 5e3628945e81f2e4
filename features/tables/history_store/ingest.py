"""`lifecycle ingest`: what the files have that the kept history does not becomes new pieces.

A row is known where all its cells are: so the files may be the whole export again, or the new day
alone, and a day that is ingested twice adds nothing. Rows that are gone from the files stay; those
that a new row corrects are taken back.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb

from features.core.contract import FURTHER_TABLES
from features.core.errors import BadSetting, StoreFailed
from features.core.language import say
from features.core.progress import print_status
from features.core.settings import Settings
from features.tables.history_store.manifest import (
    Manifest,
    TablePieces,
    check_pieces,
    check_settings,
    lock_history,
    read_manifest,
    reading_settings,
    store_folder,
    write_manifest,
)
from features.tables.history_store.pieces import (
    KEY,
    REMOVED,
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

BATCH_ROWS = 100_000


@dataclass(frozen=True)
class IngestedTable:
    """What became of the rows of one table.

    read = rejected + known + new. replaced: rows that were kept before and that a new one corrects.
    absent: further ones that were kept before, were recorded in the time that the files cover, and
    are not in them; total: all that are kept now.
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
    does not end or the folder cannot be written. After any error, and after a kill, the history is
    as it was.
    """
    _refuse_equal_rows(settings)
    folder = store_folder(settings)
    with _store_errors(), lock_history(folder):
        before = read_manifest(folder)
        if before is None:
            before = Manifest(reading_settings(settings), settings.history.buckets)
        check_settings(before, settings)
        check_pieces(folder, before)
        print_status(say("reading the files"))
        may_be_empty = frozenset({*before.tables, *FURTHER_TABLES})
        tables = read_tables(settings, Reading(may_be_empty=may_be_empty))
        if not before.ingests:
            write_manifest(folder, before)  # before the first piece: a folder of ours from now on
        remove_strays(folder, before)
        now, ingested = _add(folder, settings, before, tables)
        write_manifest(folder, now)
    return ingested


def _add(
    folder: Path, settings: Settings, before: Manifest, tables: SourceTables
) -> tuple[Manifest, dict[str, IngestedTable]]:
    now = replace(before, ingests=before.ingests + 1, settings=reading_settings(settings))
    ingested = {}
    connection = connect(memory=settings.engine.memory, threads=settings.engine.threads)
    try:
        for name, counts in tables.counts.items():
            if name not in settings.selects:
                continue  # terms that are built from payments are built again when they are read
            if not counts.read:
                ingested[name] = _nothing_new(connection, folder, before.tables.get(name))
                continue  # nothing happened on a new day
            print_status(say("what is new in {table}", table=name))
            state = _state_of(tables.connection, name, counts, before.tables.get(name))
            _load(connection, tables.connection, name, state)
            state, ingested[name] = _add_table(connection, folder, name, state, counts, now)
            now = now.with_table(name, state)
    finally:
        connection.close()
    return now, ingested


def _nothing_new(
    connection: duckdb.DuckDBPyConnection, folder: Path, state: TablePieces | None
) -> IngestedTable:
    total = 0 if state is None else _count_rows(connection, folder, state)
    return IngestedTable(0, {}, 0, 0, 0, 0, total)


def _count_rows(connection: duckdb.DuckDBPyConnection, folder: Path, state: TablePieces) -> int:
    if not state.replaced:
        return state.rows
    return first_value(connection, f"SELECT count(*) FROM ({pieces_sql(folder, state)})")


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
            dict(counts.money.every_currency),
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
    for currency, rows in counts.money.every_currency.items():
        currencies[currency] = max(currencies.get(currency, 0), rows)
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
    known = pieces_sql(folder, near) if near.pieces else "SELECT * FROM incoming WHERE false"
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE fresh AS "
        f"SELECT {columns} FROM incoming EXCEPT SELECT {columns} FROM ({known})"
    )
    everything = pieces_sql(folder, state) if state.pieces else known
    replaced = _take_back(connection, name, state, everything, columns)
    absent = _count_absent(connection, state, known, columns)
    new = first_value(connection, "SELECT count(*) FROM fresh")
    rows = (
        f"SELECT {columns}, false AS {REMOVED} FROM fresh UNION ALL "
        f"SELECT {columns}, true AS {REMOVED} FROM superseded"
    )
    piece = write_piece(connection, folder, name, state, rows, manifest=manifest)
    state = replace(
        state,
        pieces=(*state.pieces, *([] if piece is None else [piece])),
        replaced=state.replaced or replaced > 0,
    )
    state = merge_pieces(connection, folder, name, state, manifest=manifest)
    rejected = dict(counts.rejected)
    known_rows = counts.read - sum(rejected.values()) - new
    total = _count_rows(connection, folder, state)
    return state, IngestedTable(counts.read, rejected, known_rows, new, replaced, absent, total)


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


def _take_back(
    connection: duckdb.DuckDBPyConnection, name: str, state: TablePieces, known: str, columns: str
) -> int:
    """Gather in `superseded` the known rows that a new row corrects; how many there are.

    Of the same identity, not in the files any more, and (where rows have no clock of their own) not
    earlier than the new row: an earlier one is a former version, as in files.
    """
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE superseded AS SELECT {columns} FROM fresh WHERE false"
    )
    identity = identity_sql(name, state.columns, state.select)
    if identity is None or not state.pieces:
        return 0
    has_identity, key = identity
    by_event = "recorded_at" in state.columns and "recorded_at" not in state.select
    first = "min(recorded_at)" if by_event else "0"
    later = "known.recorded_at >= fresh.first_at" if by_event else "true"
    connection.execute(
        f"""INSERT INTO superseded
        SELECT {columns} FROM (
            SELECT known.* EXCLUDE ({KEY}) FROM
            (SELECT *, {key} AS {KEY} FROM ({known}) WHERE {has_identity}) AS known
            JOIN (SELECT {key} AS {KEY}, {first} AS first_at FROM fresh
                  WHERE {has_identity} GROUP BY 1) AS fresh
            ON known.{KEY} IS NOT DISTINCT FROM fresh.{KEY} AND {later}
        ) EXCEPT SELECT {columns} FROM incoming"""
    )
    return first_value(connection, "SELECT count(*) FROM superseded")


def _count_absent(
    connection: duckdb.DuckDBPyConnection, state: TablePieces, known: str, columns: str
) -> int:
    """The known rows of the time that the files cover that are not in them, nor corrected."""
    covered = known
    if "recorded_at" in state.columns:
        covered = (
            f"SELECT {columns} FROM ({known}) WHERE recorded_at BETWEEN "
            "(SELECT min(recorded_at) FROM incoming) AND (SELECT max(recorded_at) FROM incoming)"
        )
    return first_value(
        connection,
        f"SELECT count(*) FROM (SELECT {columns} FROM ({covered}) "
        f"EXCEPT SELECT {columns} FROM incoming EXCEPT SELECT {columns} FROM superseded)",
    )


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
