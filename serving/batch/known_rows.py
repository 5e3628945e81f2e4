"""What a run knew, as sorted tables, and the hash over it that names the run.

The hash is over whole columns: over tables in memory, or column by column over the files of a run
that is too large for it. Both give the same name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.core.contract import ALL_TABLES
from features.core.settings import Settings
from features.tables.history import Known
from serving.release.release import Release

Chunks = Callable[[], Iterable[pa.ChunkedArray]]
Columns = Mapping[str, Chunks]


def sort_known_table(known: Known, name: str) -> pa.Table:
    """One known table, sorted by all its columns."""
    names = list(ALL_TABLES[name].names)
    rows = known.tables[name] if name in known.tables else known.switched[name]
    return rows.sort(*names).collect(backend="pyarrow").to_native().combine_chunks()


def sort_known_tables(known: Known, settings: Settings) -> dict[str, pa.Table]:
    """What scores are made of, by table: treatments too, where they are features."""
    switched = known.switched if settings.features.treatments else ()
    return {name: sort_known_table(known, name) for name in (*known.tables, *switched)}


def known_ids(known: Known) -> pa.Table:
    """`customer_id` of everybody known, sorted."""
    return known.customers.sort("customer_id").collect(backend="pyarrow").to_native()


def run_id(
    tables: Mapping[str, Columns],
    ids: Columns,
    settings: Settings,
    release: Release,
    *,
    as_of: int,
    stale: bool,
    missing: Collection[str] = (),
    in_sample: bool = False,
) -> str:
    """16 hex digits over what was known, configuration, release, stale tables and in sample."""
    digest = hashlib.sha256()
    for name, columns in sorted(tables.items()):
        # Names too: equal values under another name are other data.
        digest.update(name.encode())
        for column, chunks in columns.items():
            digest.update(column.encode())
            for part in _column_parts(chunks):
                digest.update(part)
    for part in _column_parts(ids["customer_id"]):
        digest.update(part)
    state = [settings.definitions(), release.id, as_of, stale, list(missing), in_sample]
    context = json.dumps(state, sort_keys=True)
    return hashlib.sha256(digest.digest() + context.encode()).hexdigest()[:16]


def table_columns(table: pa.Table) -> Columns:
    """The columns of a table in memory for `run_id`."""
    return {name: partial(_only_chunk, table[name]) for name in table.column_names}


def _only_chunk(column: pa.ChunkedArray) -> Iterator[pa.ChunkedArray]:
    yield column


def file_columns(path: Path) -> Columns:
    """The columns of a Parquet file for `run_id`, read by row group (each of 8 n rows)."""
    with pq.ParquetFile(path) as file:
        names = file.schema_arrow.names
    return {name: partial(_read_column, path, name) for name in names}


def _read_column(path: Path, name: str) -> Iterator[pa.ChunkedArray]:
    with pq.ParquetFile(path) as file:
        if not file.num_row_groups:
            yield file.schema_arrow.empty_table()[name]
        for group in range(file.num_row_groups):
            yield file.read_row_group(group, columns=[name])[name]


def column_bytes(column: pa.ChunkedArray) -> bytes:
    """The values of a column as bytes that depend neither on chunks nor on values under nulls."""
    return b"".join(_column_parts(lambda: [column]))


def _column_parts(chunks: Chunks) -> Iterator[bytes]:
    """The bytes of a column one after another; each chunk but the last has 8 n values."""
    kind = None
    for chunk in chunks():
        kind = chunk.type
        yield np.packbits(pc.is_null(chunk).to_numpy()).tobytes()
    if kind is not None and (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        for chunk in chunks():
            lengths = pc.binary_length(pc.fill_null(chunk, ""))
            yield lengths.to_numpy().astype(np.int64).tobytes()
        for chunk in chunks():
            yield "".join(pc.fill_null(chunk, "").to_pylist()).encode()
        return
    for chunk in chunks():
        # Values under nulls are arbitrary, so they are set to one value.
        filled = pc.fill_null(chunk, False if pa.types.is_boolean(kind) else 0)
        yield np.ascontiguousarray(filled.to_numpy()).tobytes()
