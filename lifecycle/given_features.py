"""A feature table as it is given in Python: a frame, or the path of a file."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from features.audit import read_feature_table
from features.audit.feature_table.reading import FeatureTable
from features.core.settings import Settings
from lifecycle.frames import from_frame

FRAME = "frame.parquet"


def given_features(given: Any, settings: Settings) -> FeatureTable:
    """The table of a path or a frame; the errors of `read_feature_table`."""
    if isinstance(given, str | Path):
        return read_feature_table(Path(given), settings)
    with tempfile.TemporaryDirectory(prefix="lifecycle-features-") as place:
        # By way of a file a frame is read by the same rules as a file.
        path = Path(place) / FRAME
        pq.write_table(from_frame(given), path)
        return read_feature_table(path, settings)
