"""Predictions as they are given in Python: a frame, the path of a file, the id of a training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from features.core.settings import Settings
from lifecycle.given_tables import read_given
from training.compare import PredictionSet, read_set
from training.predictions_file import read_predictions


def given_set(name: str, given: Any, settings: Settings) -> PredictionSet:
    """A set to compare: a frame by its name, or what `lifecycle compare` takes."""
    if isinstance(given, str | Path):
        return read_set(str(given), settings)
    return PredictionSet(name, read_given(given, settings, read_predictions))
