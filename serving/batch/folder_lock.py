"""One command at a time works on a folder of a home; the next one waits until it ends.

The lock is the kernel's, on a file in scores/ or decisions/: a job that was killed has none. Where
there are no such locks (Windows, some network disks) nobody waits.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from features.core.errors import StoreFailed
from features.core.file_locks import try_lock
from features.core.language import say
from features.core.progress import print_status, stop_if_interrupted

FILE = ".lock"
LOCK_WAIT_SECONDS = 600
POLL_SECONDS = 0.2


@contextlib.contextmanager
def lock_folder(root: Path, command: str) -> Iterator[None]:
    """Have the lock of the folder `root` in the block; StoreFailed after LOCK_WAIT_SECONDS.

    `command`: who works on it, for messages. OSError where the folder cannot be written.
    """
    root.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(root / FILE, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _wait_for_lock(descriptor, root.name, command)
        yield
    finally:
        os.close(descriptor)


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
                rule=f"One `lifecycle {command}` at a time works on a LIFECYCLE_HOME.",
                fix="Wait until the other one ends, or stop it; then run this one again.",
            )
        stop_if_interrupted()
        time.sleep(POLL_SECONDS)


def _has_lock(descriptor: int) -> bool:
    try:
        return try_lock(descriptor)
    except OSError:  # a file system without locks
        return True
