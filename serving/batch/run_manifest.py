"""The manifest of a run folder: what the run is, and the hash of each of its files.

A manifest follows from the run and the files, so a folder is checked by writing its manifest anew
and comparing the bytes. What stands in the folder is never parsed, whatever somebody put there.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from features.core.file_hashes import hash_file

FILE = "manifest.json"
OUTPUTS = ("features.parquet", "population.parquet", "scores.parquet")


def manifest_text(folder: Path, about: dict[str, Any], tables: Sequence[str]) -> str:
    """The manifest as JSON: `about`, the number of scored customers, hash and size of each file.

    tables: the names of those under history/. OSError, ValueError or pa.ArrowException where a file
    is missing or cannot be read. Files that are not of the run are not looked at.
    """
    names = [*OUTPUTS, *(f"history/{name}.parquet" for name in tables)]
    files = {name: hash_file(folder / name) for name in names}
    rows = pq.read_metadata(folder / "scores.parquet").num_rows
    return json.dumps(about | {"rows": rows, "files": files}, indent=1, sort_keys=True) + "\n"


def is_whole(folder: Path, about: dict[str, Any], tables: Sequence[str]) -> bool:
    """Whether the folder has every file of this run, each as it was written."""
    try:
        return _read(folder) == manifest_text(folder, about, tables).encode()
    except (OSError, ValueError, pa.ArrowException):
        return False


def read_as_of(folder: Path) -> int | None:
    """The as_of (µs UTC) that the manifest of a run states; None where it cannot be read."""
    about = read_about(folder)
    return None if about is None else about["as_of"]


def read_about(folder: Path) -> dict[str, Any] | None:
    """The manifest of a run as an object with an as_of; None where it cannot be read."""
    try:
        content = json.loads(_read(folder))
        return content if type(content["as_of"]) is int else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def may_be_latest(folder: Path) -> bool:
    """Whether LATEST may name the run: none that is in sample or of a backfill."""
    about = read_about(folder)
    return about is not None and not (about.get("in_sample") or about.get("backfill"))


def _read(folder: Path) -> bytes:
    if not (folder / FILE).is_file():  # to open a pipe would wait for a writer
        raise FileNotFoundError(folder / FILE)
    return (folder / FILE).read_bytes()
