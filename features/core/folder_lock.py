"""One command at a time works on a folder; the next one waits until it ends.

The lock is the kernel's, on a file in the folder or on the folder itself: a job that was killed has
none. Where there are no such locks (Windows, some network disks) nobody waits.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from features.core.errors import StoreFailed
from features.core.file_locks import open_folder, try_lock
from features.core.language import say
from features.core.progress import print_status, stop_if_interrupted

FILE = ".lock"
LOCK_WAIT_SECONDS = 600
POLL_SECONDS = 0.05


@contextlib.contextmanager
def lock_folder(root: Path, command: str, *, by_file: bool = True) -> Iterator[None]:
    """Have the lock of the folder `root` in the block; StoreFailed after LOCK_WAIT_SECONDS.

    command: who works on it, for messages. by_file: the lock is on the file `.lock`; otherwise on
    the folder itself, for folders in which accounts work that could not open each other's file.
    OSError where the folder cannot be written.
    """
    root.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        descriptor = _open(root, by_file=by_file)
        if descriptor is not None:
            stack.callback(os.close, descriptor)
            _wait_for_lock(descriptor, root.name, command)
        yield


def _open(root: Path, *, by_file: bool) -> int | None:
    """None where a folder has no lock."""
    if by_file:
        return os.open(root / FILE, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        return open_folder(root)
    except OSError:
        return None


def _wait_for_lock(descriptor: int, folder: str, command: str) -> None:
    if _has_lock(descriptor):
        return
    print_status(say("waiting for another `lifecycle {command}` to end", command=command))
    until = time.monotonic() + LOCK_WAIT_SECONDS
    while not _has_lock(descriptor):
        if time.monotonic() >= until:
            raise StoreFailed(
                where=f"{folder}/",
                got=f"another `lifecycle {command}` that did not end in {LOCK_WAIT_SECONDS:,} "
                "seconds",
                rule=f"One `lifecycle {command}` at a time works on this folder.",
                fix="Wait until the other one ends, or stop it; then run this one again.",
            )
        stop_if_interrupted()
        time.sleep(POLL_SECONDS)


def _has_lock(descriptor: int) -> bool:
    try:
        return try_lock(descriptor)
    except OSError:  # a file system without locks
        return True
