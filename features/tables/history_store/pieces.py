"""Pieces of a kept history: written once, sorted, and merged where there are many.

A row belongs to the bucket that the first eight hex digits of the MD5 of its customer id give, so
that any engine computes the same. Tables without a customer have one bucket.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

import duckdb

from features.core.contract import ALL_TABLES
from features.core.file_hashes import hash_file
from features.core.staged_files import PRIVATE
from features.tables.history_store.manifest import Piece, TablePieces, flush
from features.tables.parsing import literal, quote_identifier
from features.tables.versions import has_id, version_key

MOST_PIECES = 8
ROW_GROUP = 50_000
BUCKET = "bucket"


def bucket_sql(columns: Sequence[str], buckets: int) -> str:
    """SQL for the bucket of a row."""
    if "customer_id" not in columns:
        return "0"
    return f"CAST(('0x' || substr(md5(customer_id), 1, 8)) AS UBIGINT) % {buckets}"


def pieces_sql(folder: Path, table: TablePieces, name: str) -> str:
    """SQL for the rows of all pieces that count, with their columns.

    Where two rows are one (equal ids and instants of knowledge; of customers equal ids and
    valid_from), that of the later piece counts.
    """
    columns = _listed(table.columns)
    files = [literal(str(folder / piece.file)) for piece in table.pieces]
    parts = [
        f"SELECT {columns}, {number} AS _piece FROM read_parquet({file})"
        for number, file in enumerate(files)
    ]
    rows = " UNION ALL ".join(parts)
    key = identity_sql(name)
    if key is None or not table.replaced:
        return f"SELECT {columns} FROM ({rows})"
    is_one, of = key
    ranked = f"SELECT *, row_number() OVER (PARTITION BY {of} ORDER BY _piece DESC) AS _turn"
    return f"SELECT {columns} FROM ({ranked} FROM ({rows})) WHERE _turn = 1 OR NOT ({is_one})"


def identity_sql(name: str) -> tuple[str, str] | None:
    """SQL that is true for rows that have an identity, and for that; None for plain events."""
    table = ALL_TABLES[name]
    if table.attributes:
        return "true", "customer_id, valid_from"
    if not table.version_of:
        return None
    return has_id(table), f"{version_key(table)}, recorded_at"


def write_piece(
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    name: str,
    table: TablePieces,
    rows: str,
    *,
    buckets: int,
    number: int,
) -> Piece | None:
    """Write the rows of the SQL `rows` as a piece; None where there are none. OSError."""
    clock = "recorded_at" if "recorded_at" in table.columns else "NULL"
    count, first, last = connection.execute(
        f"SELECT count(*), min({clock}), max({clock}) FROM ({rows})"
    ).fetchall()[0]
    if not count:
        return None
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    staged = place / f".piece-{os.getpid()}"
    order = ", ".join([BUCKET, *map(quote_identifier, table.order)])
    bucket = bucket_sql(table.columns, buckets)
    try:
        connection.execute(
            f"COPY (SELECT CAST({bucket} AS INTEGER) AS {BUCKET}, {_listed(table.columns)} "
            f"FROM ({rows}) ORDER BY {order}) TO {literal(str(staged))} "
            f"(FORMAT PARQUET, COMPRESSION ZSTD, ROW_GROUP_SIZE {ROW_GROUP})"
        )
        staged.chmod(PRIVATE)  # it names customers
        flush(staged)
        about = hash_file(staged)
        file = f"{name}/{number:06d}-{about['sha256'][:12]}.parquet"
        os.replace(staged, folder / file)
        flush(place)
    finally:
        with contextlib.suppress(OSError):
            staged.unlink()
    return Piece(file, int(count), about["size"], about["sha256"], first, last)


def merge_pieces(
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    name: str,
    table: TablePieces,
    *,
    buckets: int,
    number: int,
) -> TablePieces:
    """The same rows in fewer pieces, where there are more than MOST_PIECES.

    The first piece stays where it has more rows than all others together: a new day costs its own
    size, and not that of the history.
    """
    pieces = table.pieces
    if len(pieces) <= MOST_PIECES:
        return table
    others = sum(piece.rows for piece in pieces[1:])
    stay = pieces[:1] if pieces[0].rows > others else ()
    part = _with_pieces(table, pieces[len(stay) :])
    if len(part.pieces) < 2:
        return table
    merged = write_piece(
        connection,
        folder,
        name,
        table,
        pieces_sql(folder, part, name),
        buckets=buckets,
        number=number,
    )
    assert merged is not None
    return _with_pieces(table, (*stay, merged))


def remove_strays(folder: Path, tables: dict[str, TablePieces]) -> None:
    """Remove files that no manifest names: of a killed ingest, or merged by the one before.

    They are removed by the ingest that follows, so that who reads meanwhile still has them.
    """
    known = {folder / piece.file for table in tables.values() for piece in table.pieces}
    for path in folder.glob("*/*"):
        if path not in known and (path.suffix == ".parquet" or path.name.startswith(".piece-")):
            with contextlib.suppress(OSError):
                path.unlink()


def _with_pieces(table: TablePieces, pieces: Sequence[Piece]) -> TablePieces:
    return TablePieces(
        table.columns,
        table.order,
        table.select,
        table.attributes,
        table.currencies,
        table.replaced,
        tuple(pieces),
    )


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(map(quote_identifier, columns))
