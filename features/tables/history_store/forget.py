"""Forgotten customers are taken out of a kept history: pieces with them are written anew."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.core.file_hashes import hash_file
from features.core.forgotten import Forgotten
from features.core.staged_files import PRIVATE, flush, give_to_owner_of
from features.tables.history_store.manifest import (
    Manifest,
    Piece,
    TablePieces,
    check_pieces,
    read_manifest,
    write_manifest,
)
from features.tables.history_store.pieces import remove_strays, staged_piece
from features.tables.remove_rows import Removed, remove_rows


def forget_in_history(
    folder: Path, forgotten: Forgotten, *, dry_run: bool = False
) -> dict[str, Removed]:
    """Take the customers out of every piece; what was taken out of each file.

    By a command that has the lock of the history. The new pieces stand beside the old ones until
    the manifest names them: a kill leaves the history whole, and this again ends it. {} where there
    is no history. QueryFailed where it is damaged; OSError.
    """
    before = read_manifest(folder)
    if before is None:
        return {}
    check_pieces(folder, before)
    removed: dict[str, Removed] = {}
    now = before
    for name, table in before.tables.items():
        pieces = tuple(
            _without(folder, table, piece, forgotten, removed, dry_run=dry_run)
            for piece in table.pieces
        )
        now = now.with_table(name, replace(table, pieces=pieces))
    if not dry_run:
        if now != before:
            write_manifest(folder, now)
        _remove_old_pieces(folder, now)
    return removed


def _remove_old_pieces(folder: Path, now: Manifest) -> None:
    # At once: whoever reads them meanwhile has to read again.
    remove_strays(folder, now)
    for name in now.tables:
        if (folder / name).is_dir():
            flush(folder / name)


def _without(
    folder: Path,
    table: TablePieces,
    piece: Piece,
    forgotten: Forgotten,
    removed: dict[str, Removed],
    *,
    dry_run: bool,
) -> Piece:
    """The piece without the customers, with what was taken out in `removed`; itself where none."""
    staged = staged_piece((folder / piece.file).parent)
    try:
        result = remove_rows(folder / piece.file, forgotten, None if dry_run else staged)
        if not result.rows:
            return piece
        removed[piece.file] = result
        return piece if dry_run else _put_in_place(folder, table, piece, staged)
    finally:
        staged.unlink(missing_ok=True)


def _put_in_place(folder: Path, table: TablePieces, piece: Piece, staged: Path) -> Piece:
    staged.chmod(PRIVATE)
    give_to_owner_of(staged, folder / piece.file)
    flush(staged)
    about = hash_file(staged)
    first = last = None
    if "recorded_at" in table.columns:
        ends = pc.min_max(pq.read_table(staged, columns=["recorded_at"])["recorded_at"]).as_py()
        first, last = ends["min"], ends["max"]
    rows = pq.read_metadata(staged).num_rows
    # The number of the ingest stays: it says which pieces are older.
    number = Path(piece.file).name.split("-")[0]
    file = f"{piece.file.split('/')[0]}/{number}-{about['sha256'][:12]}.parquet"
    os.replace(staged, folder / file)
    flush((folder / file).parent)
    return Piece(file, rows, about["size"], about["sha256"], first, last)
