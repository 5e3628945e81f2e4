"""Where searches are stored: one journal file per study, used by one search at a time.

A journal (`mlruns/studies/*.log`) is lines of JSON that are only ever appended, so every prefix of
whole lines is the study as it was at some time. What a killed run left half written, or what was
damaged otherwise, is cut off and searched again. Only training/models/search.py knows what the
lines mean. A study only saves work; it may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from features.core.language import say
from features.core.progress import print_status
from features.core.settings import home

# Every change of data, features or settings begins a new study (up to a megabyte each).
MAX_STUDIES = 40
SUFFIX = ".log"


class StudyLocked(Exception):
    """Another search uses this study."""


def studies_folder() -> Path:
    return home() / "mlruns" / "studies"


def digest(parts: Iterable[object]) -> str:
    """16 hex digits over arrays (type, shape and bytes) and JSON values, in order."""
    hashed = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            hashed.update(f"{part.dtype.str}{part.shape}".encode())
            hashed.update(np.ascontiguousarray(part).data)
        else:
            hashed.update(json.dumps(part, sort_keys=True).encode())
    return hashed.hexdigest()[:16]


@contextlib.contextmanager
def open_study(name: str) -> Iterator[Path]:
    """The journal of study `name`, whole lines only, locked until the block or the process ends.

    StudyLocked if another search uses it; OSError where it cannot be written. Deletes old studies.
    """
    studies_folder().mkdir(parents=True, exist_ok=True)
    path = studies_folder() / f"{name}{SUFFIX}"
    with _locked(path):
        _remove_stale_lock(path)
        _cut_damaged_lines(path)
        os.utime(path)
        with contextlib.suppress(OSError):  # another search may be deleting the same ones
            _delete_old_studies()
        yield path


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """A lock of the operating system on the file.

    It ends with the process, so a killed process cannot leave a study locked.
    """
    import fcntl

    with open(path, "ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StudyLocked from None
        # Another search may have deleted the file between our opening and locking it.
        if not path.exists() or os.fstat(file.fileno()).st_ino != path.stat().st_ino:
            raise StudyLocked
        yield


def _remove_stale_lock(path: Path) -> None:
    """Remove Optuna's write lock (a link next to the journal) if a killed search left it.

    A dashboard that writes a note holds it for milliseconds; after a second its owner is dead.
    """
    link = path.with_name(path.name + ".lock")
    until = time.monotonic() + 1
    while link.is_symlink() and time.monotonic() < until:
        time.sleep(0.05)
    link.unlink(missing_ok=True)


def _cut_damaged_lines(path: Path) -> None:
    """Cut the journal after its last readable line."""
    whole = 0
    with open(path, "rb") as lines:
        for line in lines:
            if not _is_readable(line):
                break
            whole += len(line)
    if whole < path.stat().st_size:
        print_status(say("{file}: a damaged line; the lines before it are used", file=path.name))
        os.truncate(path, whole)


def _is_readable(line: bytes) -> bool:
    try:
        entry = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return False
    return (
        isinstance(entry, dict) and isinstance(entry.get("op_code"), int) and "worker_id" in entry
    )


def _delete_old_studies() -> None:
    """Keep the MAX_STUDIES studies used last, and every one that another search uses."""
    with os.scandir(studies_folder()) as entries:
        studies = [
            (entry.stat().st_mtime, entry.path) for entry in entries if entry.name.endswith(SUFFIX)
        ]
    for _, path in sorted(studies, reverse=True)[MAX_STUDIES:]:
        with contextlib.suppress(OSError, StudyLocked), _locked(Path(path)):
            os.unlink(path)
