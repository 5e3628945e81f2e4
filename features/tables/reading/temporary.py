"""A private folder for converted files, which goes when its connection does.

Nobody else may read it (the folder 0700, its files 0600). Free disk is checked before anything is
written to it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from pathlib import Path

import duckdb

from features.tables.reading.reading import Unreadable

# What must stay free for everybody else.
RESERVED_BYTES = 200 * 2**20


class TemporaryFolder:
    """Names for files in a folder that is created at its first use."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._files = 0

    def new_path(self, ending: str) -> Path:
        """A path that does not exist yet."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="lifecycle-files-"))
        self._files += 1
        return self._folder / f"{self._files}{ending}"

    def remove(self) -> None:
        """Delete the folder and all its files; it may be used again."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def alias(self, path: Path) -> Path:
        """A plain name for a path that the engine would take for a pattern (`*`, `?`, `[`)."""
        if not set("*?[]{}") & set(str(path)):
            return path
        link = self.new_path(path.suffix if path.suffix.isalnum() else "")
        link.symlink_to(path)
        return link


_FOLDERS: weakref.WeakKeyDictionary[duckdb.DuckDBPyConnection, TemporaryFolder] = (
    weakref.WeakKeyDictionary()
)


def folder_of(connection: duckdb.DuckDBPyConnection) -> TemporaryFolder:
    """The folder of this connection. It is removed with the connection, or when Python ends."""
    if connection not in _FOLDERS:
        folder = TemporaryFolder()
        weakref.finalize(connection, folder.remove)
        _FOLDERS[connection] = folder
    return _FOLDERS[connection]


def has_disk(needed: int) -> bool:
    """Whether the temporary folder has room for `needed` bytes, and for everybody else."""
    return needed + RESERVED_BYTES <= shutil.disk_usage(tempfile.gettempdir()).free


def require_disk(needed: int, what: str) -> None:
    """Unreadable where the temporary folder has less room than `needed` bytes."""
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    if not has_disk(needed):
        raise Unreadable(
            got=f"{what} needs {gigabytes(needed)} of disk in {folder}, "
            f"where {gigabytes(free)} are free",
            rule="A file of this format is converted into a temporary file before it is read.",
            fix="Free some disk, or set TMPDIR to a folder with more room.",
        )


def gigabytes(size: int) -> str:
    """`1.5 GB`, or MB below a tenth of it."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e8 else f"{size / 1e6:,.1f} MB"


def open_private(path: Path) -> int:
    """A file descriptor of a new file that only its owner can read."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
