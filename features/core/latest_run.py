"""scores/LATEST, the pointer to the newest run: the batch job writes it, the service follows it."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath

FILE = "LATEST"


def read_latest(root: Path) -> tuple[int, Path]:
    """The as_of (µs UTC) and the folder of the run that `root`/LATEST names.

    OSError where the file cannot be read, ValueError where it is no pointer into `root`.
    """
    if not (root / FILE).is_file():  # to open a pipe would wait for a writer
        raise FileNotFoundError(root / FILE)
    try:
        value = json.loads((root / FILE).read_bytes())
        as_of, name = value["as_of"], PurePosixPath(value["folder"])
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError("not an object with as_of and folder") from error
    if type(as_of) is not int or name.is_absolute() or ".." in name.parts:
        raise ValueError("not a run under scores/")
    return as_of, root / name


def latest_text(as_of: int, folder: Path, root: Path) -> str:
    """The content of LATEST for a run folder below `root`."""
    return json.dumps({"as_of": as_of, "folder": folder.relative_to(root).as_posix()}) + "\n"
