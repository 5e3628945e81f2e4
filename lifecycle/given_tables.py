"""A table as it is given in Python: a frame, or the path of a file."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pyarrow.parquet as pq

from features.core.settings import Settings
from lifecycle.frames import from_frame

FRAME = "frame.parquet"
Read = TypeVar("Read")


def read_given(given: Any, settings: Settings, read: Callable[[Path, Settings], Read]) -> Read:
    """What `read` reads of a path or a frame; its errors."""
    if isinstance(given, str | Path):
        return read(Path(given), settings)
    with tempfile.TemporaryDirectory(prefix="lifecycle-given-") as place:
        # By way of a file a frame is read by the same rules as a file.
        path = Path(place) / FRAME
        pq.write_table(from_frame(given), path)
        return read(path, settings)
