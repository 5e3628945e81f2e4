"""The tables of a kept history, as reading its files would give them, row by row."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import duckdb

from features.core.contract import ALL_TABLES, FURTHER_TABLES
from features.core.errors import FileMissing
from features.core.settings import Settings
from features.tables.forgotten_rows import delete_forgotten, hide_forgotten
from features.tables.history_store.manifest import (
    Manifest,
    TablePieces,
    check_pieces,
    check_settings,
    missing_history,
    read_manifest,
    store_folder,
)
from features.tables.history_store.pieces import pieces_sql, share_sql
from features.tables.history_store.shares import Share
from features.tables.margins import require_margin
from features.tables.money_signs import MoneySigns
from features.tables.parsing import SQL_TYPES, literal, quote_identifier
from features.tables.payment_terms import build_terms
from features.tables.queries import first_value
from features.tables.sources import SourceTables, connect
from features.tables.stored_rows import EMPTY_REJECTS
from features.tables.typed_tables import RowCounts


def read_store(settings: Settings) -> SourceTables:
    """The tables of the kept history in canonical order, and their row counts.

    Rejected rows were counted when they were ingested. FileMissing where nothing was ingested;
    BadSetting for another configuration; QueryFailed for damaged pieces.
    """
    folder, manifest = open_store(settings)
    check_pieces(folder, manifest)
    return _read(settings, folder, manifest, "TABLE")


def read_share(settings: Settings, share: Share) -> SourceTables:
    """The rows of a share alone, of the tables that features read; else as `read_store`.

    The pieces are not compared with their hashes: who plans the shares does it once for all.
    Periods of terms that are built from payments would be those of the share.
    """
    folder, manifest = open_store(settings)
    return _read(settings, folder, manifest, "TABLE", share)


def read_outline(settings: Settings) -> SourceTables:
    """As `read_store`, with views over the pieces in place of tables: rows in no certain order."""
    folder, manifest = open_store(settings)
    check_pieces(folder, manifest)
    return _read(settings, folder, manifest, "VIEW")


def open_store(settings: Settings) -> tuple[Path, Manifest]:
    """The folder and the manifest; FileMissing without one, BadSetting for other settings."""
    folder = store_folder(settings)
    manifest = read_manifest(folder)
    if manifest is None:
        raise missing_history(folder)
    check_settings(manifest, settings)
    return folder, manifest


def _read(
    settings: Settings,
    folder: Path,
    manifest: Manifest,
    kind: Literal["TABLE", "VIEW"],
    share: Share | None = None,
) -> SourceTables:
    connection = connect(memory=settings.engine.memory, threads=settings.engine.threads)
    counts = {}
    for name in _in_order(manifest):
        if share is not None and name in FURTHER_TABLES:
            continue
        table = manifest.tables[name]
        columns = ", ".join(map(quote_identifier, table.columns))
        order = ", ".join(map(quote_identifier, table.order))
        where = (
            "true" if share is None else share_sql(table.columns, manifest.buckets, **vars(share))
        )
        rows = f"SELECT {columns} FROM ({pieces_sql(folder, table, where=where)})"
        in_order = f" ORDER BY {order}" if kind == "TABLE" else ""
        connection.execute(f"CREATE {kind} {name} AS {rows}{in_order}")
        if kind == "TABLE":
            delete_forgotten(connection, name)
        else:
            hide_forgotten(connection, name, rows)
        counts[name] = _counts(table, first_value(connection, f"SELECT count(*) FROM {name}"))
        if name == "transactions" and settings.value.reads_margins:
            require_margin(table.select)
    for name in sorted({*settings.selects} - {*manifest.tables}):
        if share is None or name not in FURTHER_TABLES:
            counts[name] = _make_empty(connection, name)
    if settings.built_terms and "contracts" in settings.tables:
        counts["contracts"] = build_terms(connection, settings.contract.term_days)
    connection.execute(EMPTY_REJECTS)
    if kind == "VIEW":
        pieces = [folder / piece.file for each in manifest.tables.values() for piece in each.pieces]
        allowed = ", ".join(literal(str(path)) for path in pieces)
        connection.execute(f"SET allowed_paths = [{allowed}]")
    connection.execute("SET enable_external_access = false")
    return SourceTables(connection, counts, {})


def _make_empty(connection: duckdb.DuckDBPyConnection, name: str) -> RowCounts:
    """A table in which nothing was ever written; FileMissing for one that features read."""
    if name not in FURTHER_TABLES:
        raise FileMissing(
            where=f"[tables] {name}",
            got="a table that was not ingested yet",
            rule="With [history] folder, commands read what `lifecycle ingest` has kept.",
            fix="Type: lifecycle ingest",
        )
    columns = ", ".join(
        f"{quote_identifier(column.name)} {SQL_TYPES[column.type]}"
        for column in FURTHER_TABLES[name].columns
    )
    connection.execute(f"CREATE TABLE {name} ({columns})")
    return RowCounts()


def _in_order(manifest: Manifest) -> list[str]:
    return [name for name in ALL_TABLES if name in manifest.tables]


def _counts(table: TablePieces, rows: int) -> RowCounts:
    return RowCounts(
        read=rows,
        kept=rows,
        attributes=list(table.attributes),
        columns=list(table.select),
        money=MoneySigns(dict(table.currencies) if len(table.currencies) > 1 else {}),
    )
