"""Where a search is kept: one journal file a study under `mlruns/studies/`, held by one search at a time.

A journal is lines of JSON that are only ever appended, so every prefix of whole lines is the study as it once was:
what a killed run tore off, or something else spoilt, is cut away and searched again. What the lines mean is known in
training/models/search.py alone. A study is a memory of work and never the only copy of anything; it may be deleted.
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

from features.core.progress import say
from features.core.settings import home

# Every change of data, features or settings asks a new question and leaves its study behind (up to a megabyte each).
KEPT = 40
SUFFIX = ".log"


class StudyLocked(Exception):
    """Another search holds this study."""


def folder() -> Path:
    return home() / "mlruns" / "studies"


def digest(parts: Iterable[object]) -> str:
    """16 hex digits over arrays (type, shape and bytes) and whatever JSON can say, in order."""
    hashed = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            hashed.update(f"{part.dtype.str}{part.shape}".encode())
            hashed.update(np.ascontiguousarray(part))
        else:
            hashed.update(json.dumps(part, sort_keys=True).encode())
    return hashed.hexdigest()[:16]


@contextlib.contextmanager
def held(name: str) -> Iterator[Path]:
    """The journal of study `name`, whole lines only, ours until the block ends or the process dies.

    Busy if another search holds it; OSError where it cannot be written. Old studies are forgotten on the way.
    """
    folder().mkdir(parents=True, exist_ok=True)
    path = folder() / f"{name}{SUFFIX}"
    with _locked(path):
        _free(path)
        _mend(path)
        os.utime(path)
        with contextlib.suppress(OSError):  # another search may be forgetting the same ones
            _forget_old()
        yield path


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """The file's own lock: it ends with the process, so nothing a kill leaves behind can hold a study for ever."""
    import fcntl

    with open(path, "ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StudyLocked from None
        # Somebody may have forgotten the file between our opening and locking it.
        if not path.exists() or os.fstat(file.fileno()).st_ino != path.stat().st_ino:
            raise StudyLocked
        yield


def _free(path: Path) -> None:
    """Remove the writing lock (a link beside the journal) that a search killed in the middle of a line left behind.

    A dashboard that is just writing a note takes milliseconds; whoever holds it for a second is dead.
    """
    link = path.with_name(path.name + ".lock")
    until = time.monotonic() + 1
    while link.is_symlink() and time.monotonic() < until:
        time.sleep(0.05)
    link.unlink(missing_ok=True)


def _mend(path: Path) -> None:
    """Cut the journal behind its last readable line."""
    whole = 0
    with open(path, "rb") as lines:
        for line in lines:
            if not _readable(line):
                break
            whole += len(line)
    if whole < path.stat().st_size:
        say(f"{path.name}: a torn or damaged line; what stands before it is kept")
        os.truncate(path, whole)


def _readable(line: bytes) -> bool:
    try:
        found = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return False
    return (
        isinstance(found, dict) and isinstance(found.get("op_code"), int) and "worker_id" in found
    )


def _forget_old() -> None:
    """Keep the KEPT studies used last, and every one that somebody holds."""
    with os.scandir(folder()) as entries:
        found = [
            (entry.stat().st_mtime, entry.path) for entry in entries if entry.name.endswith(SUFFIX)
        ]
    for _, path in sorted(found, reverse=True)[KEPT:]:
        with contextlib.suppress(OSError, StudyLocked), _locked(Path(path)):
            os.unlink(path)
