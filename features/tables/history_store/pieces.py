"""Pieces of a kept history: written once, sorted, and merged where there are many.

A row belongs to the bucket that the first eight hex digits of the MD5 of its customer id give, so
that any engine computes the same. Tables without a customer have one bucket. A piece may take rows
of earlier pieces back: of rows that are equal in every column the last one says whether they count.
"""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import duckdb

from features.core.contract import ALL_TABLES
from features.core.file_hashes import hash_file
from features.core.staged_files import PRIVATE, flush
from features.tables.history_store.manifest import PIECE, Manifest, Piece, TablePieces
from features.tables.parsing import literal, quote_identifier
from features.tables.versions import has_id, version_key

MOST_PIECES = 8
ROW_GROUP = 50_000
HASH = "CAST(('0x' || substr(md5(customer_id), 1, 8)) AS UBIGINT)"
# No attribute of customers has a dot in its name.
BUCKET, REMOVED, PLACE, KEY = (
    f'"lifecycle.{name}"' for name in ("bucket", "removed", "piece", "key")
)


def bucket_sql(columns: Sequence[str], buckets: int) -> str:
    """SQL for the bucket of a row."""
    return f"{HASH} % {buckets}" if "customer_id" in columns else "0"


def share_sql(
    columns: Sequence[str], buckets: int, *, first: int, last: int, part: int = 0, parts: int = 1
) -> str:
    """SQL that is true for the rows of a share (`history_store.shares`) of a history of `buckets`.

    Rows without a customer are in every share. The buckets are compared by the column of the
    pieces, which are sorted by it: what is outside is not read.
    """
    if "customer_id" not in columns:
        return "true"
    inside = f"{BUCKET} BETWEEN {first} AND {last}"
    return inside if parts == 1 else f"{inside} AND {HASH} // {buckets} % {parts} = {part}"


def piece_files(folder: Path, table: TablePieces) -> list[str]:
    """The files of a table's pieces for `read_parquet`, in order."""
    # A star in the name of a folder is a star, and `a=b` no column.
    return [glob.escape(str(folder / piece.file)) for piece in table.pieces]


def pieces_sql(
    folder: Path, table: TablePieces, *, with_removed: bool = False, where: str = "true"
) -> str:
    """SQL for the rows of all pieces that count; with_removed: also the others, and REMOVED.

    where: SQL that is equal for rows that are equal; those for which it is not true are not read.
    """
    columns = _listed(table.columns)
    parts = [
        f"SELECT {columns}, {REMOVED}, {place} AS {PLACE} "
        f"FROM read_parquet({literal(file)}, hive_partitioning = false) WHERE {where}"
        for place, file in enumerate(piece_files(folder, table))
    ]
    rows = " UNION ALL ".join(parts)
    if table.replaced:
        last = f"row_number() OVER (PARTITION BY {columns} ORDER BY {PLACE} DESC) = 1"
        rows = f"SELECT * FROM ({rows}) QUALIFY {last}"
    if with_removed:
        return f"SELECT {columns}, {REMOVED} FROM ({rows})"
    return f"SELECT {columns} FROM ({rows}) WHERE NOT {REMOVED}"


def identity_sql(
    name: str, columns: Sequence[str], select: Sequence[str]
) -> tuple[str, str] | None:
    """SQL that is true for rows that have an identity, and for it; None for plain events.

    A row that is new takes back a known one of the same identity. Without a clock of its own, a
    correction has the instant of its event, which may have been corrected itself. Of a row without
    an id, such as a complaint, it is all cells but those that come later, such as its answer.
    """
    table = ALL_TABLES[name]
    if table.attributes:
        return "true", "row(customer_id, valid_from)"
    if not table.version_of:
        late = {column.name for column in table.columns if column.known_at}
        late |= {str(column.known_at) for column in table.columns if column.known_at}
        if not late:
            return None
        others = [each for each in columns if each not in late and each != "recorded_at"]
        return "true", f"row({_listed(others)})"
    clock = ", recorded_at" if "recorded_at" in select else ""
    return has_id(table), f"row({version_key(table)}{clock})"


def staged_piece(place: Path) -> Path:
    """Where a piece is written before it has its name; `remove_strays` knows it."""
    return place / f".piece-{os.getpid()}"


def write_piece(
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    name: str,
    table: TablePieces,
    rows: str,
    *,
    manifest: Manifest,
) -> Piece | None:
    """Write the rows of the SQL `rows` (columns and REMOVED) as a piece; None without any. OSError.

    manifest: as it will be; its number of ingests names the piece.
    """
    clock = "recorded_at" if "recorded_at" in table.columns else "NULL"
    count, first, last = connection.execute(
        f"SELECT count(*), min({clock}), max({clock}) FROM ({rows})"
    ).fetchall()[0]
    if not count:
        return None
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    staged = staged_piece(place)
    order = ", ".join([BUCKET, *map(quote_identifier, table.order), REMOVED])
    bucket = bucket_sql(table.columns, manifest.buckets)
    try:
        connection.execute(
            f"COPY (SELECT CAST({bucket} AS INTEGER) AS {BUCKET}, {REMOVED}, "
            f"{_listed(table.columns)} FROM ({rows}) ORDER BY {order}) TO {literal(str(staged))} "
            f"(FORMAT PARQUET, COMPRESSION ZSTD, ROW_GROUP_SIZE {ROW_GROUP})"
        )
        staged.chmod(PRIVATE)  # it names customers
        flush(staged)
        about = hash_file(staged)
        file = f"{name}/{manifest.ingests:06d}-{about['sha256'][:12]}.parquet"
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
    manifest: Manifest,
) -> TablePieces:
    """The same rows in fewer pieces, where there are more than MOST_PIECES.

    The first piece stays where it has more rows than all others together: a new day costs its own
    size, and not that of the history. What others take back of it stays written, too.
    """
    pieces = table.pieces
    if len(pieces) <= MOST_PIECES:
        return table
    others = sum(piece.rows for piece in pieces[1:])
    stay = pieces[:1] if pieces[0].rows > others else ()
    part = replace(table, pieces=pieces[len(stay) :])
    if len(part.pieces) < 2:
        return table
    rows = pieces_sql(folder, part, with_removed=True)
    if not stay:
        rows = f"SELECT *, false AS {REMOVED} FROM ({pieces_sql(folder, part)})"
    merged = write_piece(connection, folder, name, table, rows, manifest=manifest)
    left = () if merged is None else (merged,)
    return replace(table, pieces=(*stay, *left), replaced=table.replaced and bool(stay))


def remove_strays(folder: Path, manifest: Manifest) -> None:
    """Remove pieces of former ingests that the manifest does not name: they were merged.

    By the ingest that follows, so that who reads meanwhile still has them. Nothing else is ever
    removed: neither other files, nor pieces of an ingest that the manifest does not know.
    """
    known = {piece.file for table in manifest.tables.values() for piece in table.pieces}
    for name in ALL_TABLES:
        for path in (folder / name).glob("*"):
            match = PIECE.fullmatch(f"{name}/{path.name}")
            is_former = match is not None and int(match[1]) <= manifest.ingests
            if (is_former and f"{name}/{path.name}" not in known) or _is_staged(path):
                with contextlib.suppress(OSError):
                    path.unlink()


def _is_staged(path: Path) -> bool:
    return path.name.startswith(".piece-") and path.name.removeprefix(".piece-").isdecimal()


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(map(quote_identifier, columns))
