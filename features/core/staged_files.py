"""Whole files and whole folders, or none: write under a staging name, then rename once.

A reader that looks for the final name sees the old content or the new content, never a part. What
stood at the final name stays until the rename, and also after an error. A rename is atomic within
one file system, so the staging name lies beside the final one.

A killed process can leave a staging name behind, which no reader takes for a result: `lifecycle
doctor` lists old staging folders, and the next write with the same process id replaces a staging
file. Nothing is flushed to the disk (no fsync): after a power failure, releases and runs are
checked against the hashes in their manifests.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def staged_file(path: Path) -> Iterator[Path]:
    """Yield a staging name; the file written there replaces `path` when the block ends.

    After an error in the block or in the rename, `path` is as it was before and the staging file is
    removed. Errors pass through unchanged; OSError where the folder is missing, full or not
    writable.

    >>> with staged_file(folder / "LATEST") as staged:
    ...     staged.write_text("run-1")
    """
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield staged
        os.replace(staged, path)
    finally:
        # The error of the block is the one to report, not that of the cleanup.
        with contextlib.suppress(OSError):
            staged.unlink()


@contextlib.contextmanager
def staged_folder(folder: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield an empty staging folder beside `folder`; it gets that name when the block ends.

    With `replace` a folder of that name is removed just before the rename; without it, one that is
    not empty is an OSError and stays. After an error in the block, `folder` is as it was before.
    The parent folder must exist.
    """
    with staging_folder(folder.parent) as staged:
        yield staged
        if replace:
            shutil.rmtree(folder, ignore_errors=True)
        os.replace(staged, folder)


@contextlib.contextmanager
def staging_folder(parent: Path, *, prefix: str = ".staged-") -> Iterator[Path]:
    """Yield a new empty folder in `parent`; it is removed unless `put_in_place` renames it.

    For results whose final name is known only once they are written, such as a hash over their
    files.
    """
    staged = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    try:
        yield staged
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def put_in_place(staged: Path, path: Path) -> None:
    """Rename a staged file or folder to its final name. A file replaces an existing file."""
    os.replace(staged, path)
