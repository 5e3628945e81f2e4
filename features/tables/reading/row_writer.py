"""Writes rows of text cells to temporary Parquet files, with the row's number in its file.

A new column in the middle (JSON lines may bring one) begins a new file; the reader unites them by
name.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.tables.file_rows import ROW
from features.tables.reading.temporary import TemporaryFolder, open_private

BATCH_ROWS = 20_000


class RowWriter:
    """Use it in a `with`; afterwards `paths` are the files and `rows` counts the rows."""

    def __init__(self, folder: TemporaryFolder, names: Sequence[str]) -> None:
        self.folder, self.names = folder, list(names)
        self.paths: list[Path] = []
        self.rows = 0
        self._numbers: list[int] = []
        self._batch: list[Sequence[str | None]] = []
        self._writer: pq.ParquetWriter | None = None
        self._file: pa.NativeFile | None = None

    def __enter__(self) -> RowWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self._flush()
            if not self.paths:
                self._open()  # a header alone still has its columns
        self._close()

    def write(self, number: int, cells: Sequence[str | None]) -> None:
        """Add one row with a cell for each name; an empty cell becomes null."""
        self._numbers.append(number)
        self._batch.append(cells)
        if len(self._batch) >= BATCH_ROWS:
            self._flush()

    def add_columns(self, names: Sequence[str]) -> None:
        """Further columns, at the end; rows before have no value there."""
        self._flush()
        self._close()
        self.names += names

    def _open(self) -> pq.ParquetWriter:
        if self._writer is None:
            schema = pa.schema([(name, pa.string()) for name in self.names] + [(ROW, pa.int64())])
            path = self.folder.new_path(".parquet")
            self.paths.append(path)
            self._file = os.fdopen(open_private(path), "wb")
            self._writer = pq.ParquetWriter(self._file, schema, compression="zstd")
        return self._writer

    def _flush(self) -> None:
        if not self._batch:
            return
        writer = self._open()
        columns = [
            _without_blanks(pa.array(column, pa.string()))
            for column in zip(*self._batch, strict=True)
        ]
        writer.write_table(
            pa.Table.from_arrays(
                [*columns, pa.array(self._numbers, pa.int64())], schema=writer.schema
            )
        )
        self.rows += len(self._batch)
        self._batch, self._numbers = [], []

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        if self._file is not None:
            self._file.close()
        self._writer = self._file = None


def _without_blanks(cells: pa.Array) -> pa.Array:
    return pc.if_else(pc.equal(cells, ""), pa.scalar(None, pa.string()), cells)
