"""Predictions as they are given in Python: a frame, the path of a file, the id of a training."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from features.core.settings import Settings
from lifecycle.frames import from_frame
from training.compare import PredictionSet, read_set
from training.predictions_file import Predictions, read_predictions

FRAME = "frame.parquet"


def given_predictions(given: Any, settings: Settings) -> Predictions:
    """The predictions of a path or a frame; the errors of `read_predictions`."""
    if isinstance(given, str | Path):
        return read_predictions(Path(given), settings)
    with tempfile.TemporaryDirectory(prefix="lifecycle-predictions-") as place:
        # By way of a file a frame is read by the same rules as a file.
        path = Path(place) / FRAME
        pq.write_table(from_frame(given), path)
        return read_predictions(path, settings)


def given_set(name: str, given: Any, settings: Settings) -> PredictionSet:
    """A set to compare: a frame by its name, or what `lifecycle compare` takes."""
    if isinstance(given, str | Path):
        return read_set(str(given), settings)
    return PredictionSet(name, given_predictions(given, settings))
