"""Whole files or none: tables out as parquet or CSV, staged and renamed. And the clock that doors may read."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from features.core.errors import BadSetting, StoreFailed


def write(table: pa.Table, path: Path) -> None:
    """Write .parquet or .csv at once; what stood there before stays until the new file is whole."""
    if path.suffix not in (".parquet", ".csv"):
        raise BadSetting(
            where="--out",
            got=f"a name ending in '{path.suffix}'",
            rule="It ends in .parquet or .csv.",
            fix="Rename it.",
        )
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".parquet":
            pq.write_table(table, staged)
        else:
            pa.csv.write_csv(table, staged)
        os.replace(staged, path)
    except OSError as error:
        raise StoreFailed(
            where="--out",
            got=error.strerror or "a write that failed",
            rule="The folder must be writable, with room.",
            fix="Free space or rights; run again.",
        ) from error
    finally:
        staged.unlink(missing_ok=True)
