"""Whole files and whole folders, or none: write under a staging name, then rename once.

A reader that looks for the final name sees the old content or the new content, never a part. What
stood at the final name stays until the rename, and also after an error. A rename is atomic within
one file system, so the staging name lies beside the final one.

A killed process can leave a staging name behind, which no reader takes for a result. The next write
sweeps: it removes what is older than SWEEP_SECONDS and has no living owner. The owner of a staging
folder has the kernel's lock on it, which ends with its process; the name of a staging file ends in
the id of its process. Where the system has no such locks nothing is swept, and `lifecycle doctor`
lists old staging folders. A caller whose result must outlast a power failure flushes it (`flush`);
releases and runs are checked against the hashes in their manifests.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from features.core import file_locks

# A folder that was created this instant has no lock yet, and must not be taken for a leftover.
SWEEP_SECONDS = 60
PRIVATE = 0o600


@contextlib.contextmanager
def staged_file(path: Path, *, private: bool = False) -> Iterator[Path]:
    """Yield a staging name; the file written there replaces `path` when the block ends.

    With `private` the staging file exists from the start, and only its owner can read it (mode
    0600). After an error in the block or in the rename, `path` is as it was before and the staging
    file is removed. Errors pass through unchanged; OSError where the folder is missing, full or not
    writable.

    >>> with staged_file(folder / "LATEST") as staged:
    ...     staged.write_text("run-1")
    """
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        if private:
            _create_private(staged)
        yield staged
        _sweep_files(path, now=staged.stat().st_mtime)
        os.replace(staged, path)
    finally:
        # The error of the block is the one to report, not that of the cleanup.
        with contextlib.suppress(OSError):
            staged.unlink()


@contextlib.contextmanager
def staged_folder(folder: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield an empty staging folder beside `folder`; it gets that name when the block ends.

    With `replace` what stands there is replaced; without it, a folder that is not empty is an
    OSError and stays. After an error in the block, `folder` is as it was before. The parent folder
    must exist.
    """
    with staging_folder(folder.parent) as staged:
        yield staged
        if replace:
            replace_folder(staged, folder)
        else:
            os.replace(staged, folder)


@contextlib.contextmanager
def staging_folder(parent: Path, *, prefix: str = ".staged-") -> Iterator[Path]:
    """Yield a new empty folder in `parent`; it is removed unless `put_in_place` renames it.

    For results whose final name is known only once they are written, such as a hash over their
    files. Leftovers in `parent` with the same prefix are swept.
    """
    staged = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    try:
        with _own(staged):
            # The age of the others by the clock of the file system, which may be another machine's.
            _sweep_folders(parent, prefix, now=staged.stat().st_mtime)
            yield staged
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def put_in_place(staged: Path, path: Path) -> None:
    """Rename a staged file or folder to its final name. A file replaces an existing file."""
    os.replace(staged, path)


def replace_folder(staged: Path, folder: Path) -> None:
    """Rename a staged folder to its final name; whatever stands there goes, and never in part.

    Between two renames nothing stands there. After an error or an interrupt in between, the old
    content comes back.
    """
    with staging_folder(staged.parent) as place:
        removed = place / "replaced"
        with contextlib.suppress(FileNotFoundError):
            os.replace(folder, removed)
        try:
            os.replace(staged, folder)
        except BaseException:
            with contextlib.suppress(OSError):
                os.replace(removed, folder)
            raise


def flush(path: Path) -> None:
    """Flush a file, or the names in a folder, to the disk; OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def give_to_owner_of(path: Path, place: Path) -> None:
    """Let who owns `place` own `path`, where root works for another account; OSError."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        owner = place.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


def flush_folder(folder: Path) -> None:
    """Flush all files and names of a folder to the disk, its own name excepted; OSError."""
    for path in sorted(folder.rglob("*"), reverse=True):
        flush(path)
    flush(folder)


def _create_private(staged: Path) -> None:
    # A leftover of an earlier process with this id may have another mode.
    staged.unlink(missing_ok=True)
    os.close(os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE))


@contextlib.contextmanager
def _own(staged: Path) -> Iterator[None]:
    """Have the lock of the folder in the block, where there are such locks."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            descriptor = file_locks.open_folder(staged)
            stack.callback(os.close, descriptor)
            file_locks.try_lock(descriptor)
        yield


def _sweep_folders(parent: Path, prefix: str, *, now: float) -> None:
    """Remove staging folders of dead processes. Best effort: errors are ignored."""
    with contextlib.suppress(OSError), os.scandir(parent) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if entry.name.startswith(prefix) and entry.is_dir(follow_symlinks=False):
                    _remove_without_owner(Path(entry.path), now)


def _remove_without_owner(folder: Path, now: float) -> None:
    if now - folder.lstat().st_mtime <= SWEEP_SECONDS:
        return
    descriptor = file_locks.open_folder(folder)
    try:
        if file_locks.try_lock(descriptor):
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)


def _sweep_files(path: Path, *, now: float) -> None:
    """Remove staging files of dead processes for `path`. Best effort: errors are ignored."""
    prefix = f".{path.name}."
    with contextlib.suppress(OSError), os.scandir(path.parent) as entries:
        for entry in entries:
            owner = entry.name.removeprefix(prefix)
            if not (entry.name.startswith(prefix) and owner.isascii() and owner.isdecimal()):
                continue
            with contextlib.suppress(OSError):
                old = now - entry.stat(follow_symlinks=False).st_mtime > SWEEP_SECONDS
                if old and entry.is_file(follow_symlinks=False) and not is_alive(int(owner)):
                    os.unlink(entry.path)


def is_alive(number: int) -> bool:
    """Whether a process of this id exists; True where that cannot be known."""
    if os.name != "posix":
        return True  # there, os.kill would end it
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
