"""One `lifecycle score` at a time works on a home; the next one waits until it ends.

The lock is the kernel's, on a file in scores/: a job that was killed has none. Where there are no
such locks (Windows, some network disks) nobody waits.
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

FILE = ".score-lock"
LOCK_WAIT_SECONDS = 600
POLL_SECONDS = 0.2


@contextlib.contextmanager
def lock_scores(root: Path) -> Iterator[None]:
    """Have the lock of the folder `root` in the block; StoreFailed after LOCK_WAIT_SECONDS.

    OSError where the folder cannot be written.
    """
    root.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(root / FILE, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _wait_for_lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def _wait_for_lock(descriptor: int) -> None:
    if _has_lock(descriptor):
        return
    print_status(say("waiting for another `lifecycle score` to end"))
    until = time.monotonic() + LOCK_WAIT_SECONDS
    while not _has_lock(descriptor):
        if time.monotonic() >= until:
            raise StoreFailed(
                where="scores/",
                got=f"another `lifecycle score` that did not end in {LOCK_WAIT_SECONDS:,} seconds",
                rule="One `lifecycle score` at a time works on a LIFECYCLE_HOME.",
                fix="Wait until the other one ends, or stop it; then run this one again.",
            )
        stop_if_interrupted()
        time.sleep(POLL_SECONDS)


def _has_lock(descriptor: int) -> bool:
    try:
        return try_lock(descriptor)
    except OSError:  # a file system without locks
        return True
