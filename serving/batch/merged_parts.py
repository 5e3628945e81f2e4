"""Sorted parts of a table become one sorted file, without all of it in memory.

The file is byte for byte what `pq.write_table` makes of the whole sorted table.
"""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import duckdb
import narwhals as nw
import pyarrow as pa
import pyarrow.parquet as pq

from features.tables.parsing import literal

BATCH_ROWS = 8_192


def merge_parts(
    connection: duckdb.DuckDBPyConnection,
    parts: Sequence[Path],
    target: Path,
    *,
    schema: pa.Schema,
    order: Sequence[str],
    group_rows: int,
    change: Callable[[pa.Table], pa.Table] = lambda table: table,
) -> int:
    """Write the rows of the Parquet files `parts`, sorted by the columns `order`; how many.

    schema: of the tables that became the parts: a file does not keep the names inside of lists.

    The engine sorts within its memory limit, and on disk beyond. `change` is applied to every group
    of `group_rows` rows. OSError where the file cannot be written.
    """
    files = ", ".join(literal(glob.escape(str(path))) for path in parts)
    rows = connection.sql(f"SELECT * FROM read_parquet([{files}], hive_partitioning = false)")
    ordered = nw.from_native(rows).sort(*order).to_native()
    count = 0
    with pq.ParquetWriter(target, change(schema.empty_table()).schema) as writer:
        for group in _groups(ordered.to_arrow_reader(BATCH_ROWS), schema, group_rows):
            writer.write_table(change(group), row_group_size=group_rows)
            count += group.num_rows
    return count


def _groups(batches: Iterable[pa.RecordBatch], schema: pa.Schema, rows: int) -> Iterator[pa.Table]:
    """The rows of the batches in tables of exactly `rows` rows each, but for the last."""
    waiting = schema.empty_table()
    for batch in batches:
        waiting = pa.concat_tables([waiting, pa.Table.from_batches([batch]).cast(schema)])
        while waiting.num_rows >= rows:
            yield waiting.slice(0, rows).combine_chunks()
            waiting = waiting.slice(rows)
    if waiting.num_rows:
        yield waiting.combine_chunks()
