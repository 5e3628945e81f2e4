"""One verification of a release for all workers of a service: who comes first leaves a mark.

A child process that loads a release and rebuilds its golden rows costs seconds and memory, and each
of several workers would start one at the same moment. The marks are in a folder that the supervisor
makes for its own workers (mode 0700, gone with it), so nobody but the account of the service can
write one, and none outlives the code and the libraries that it speaks for. A mark is named by the
release's id, the hash of its files, which every worker compares by itself all the same.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from features.core.file_locks import try_lock

POLL_SECONDS = 0.05


@contextlib.contextmanager
def verification(marks: Path | None, release: str) -> Iterator[bool]:
    """Whether the release was verified already; if not, the block does, and the others wait.

    The mark is left where the block ends without an error. `marks`: None where nobody shares them.
    """
    if marks is None:
        yield False
        return
    mark = marks / f"{release}.verified"
    descriptor = os.open(marks / f"{release}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        # The kernel's lock: a worker that was killed in the middle has none.
        with contextlib.suppress(OSError):  # a file system without locks: each verifies by itself
            while not try_lock(descriptor):
                time.sleep(POLL_SECONDS)
        is_verified = mark.is_file()
        yield is_verified
        if not is_verified:
            mark.touch(mode=0o600)
    finally:
        os.close(descriptor)
