"""Locks of the kernel on open files and folders (flock): a dead process never keeps one.

A lock belongs to the open file, not to the process: two threads exclude each other too. Where the
system or the file system has no such locks, nothing is locked and nobody waits.
"""

from __future__ import annotations

import os
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

AVAILABLE = fcntl is not None


def open_folder(folder: Path) -> int:
    """A descriptor of the folder itself. OSError for a link, a file, or where there are no locks.

    Programs started meanwhile do not inherit it, so they cannot keep its lock.
    """
    if not AVAILABLE:
        raise OSError("no locks on this system")
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)


def try_lock(descriptor: int) -> bool:
    """Take the lock of an open file or folder at once; False where another one has it.

    It is free again when the descriptor is closed. OSError where the file system has no locks.
    """
    if not AVAILABLE:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
