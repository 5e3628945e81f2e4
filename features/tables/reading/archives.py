"""gz and zip: the one member is unpacked into a temporary file, within limits, and read again."""

from __future__ import annotations

import gzip
import os
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import IO

from features.tables.reading.reading import Unreadable
from features.tables.reading.temporary import (
    TemporaryFolder,
    gigabytes,
    open_private,
    require_disk,
)

CHUNK = 2**20
# Text shrinks by 3 to 30 times. Far beyond that, and above this size, it is no export.
MOST_RATIO, RATIO_FROM = 200, 100 * 10**6
MOST_UNPACKED = 200 * 10**9
_IGNORED = ("__MACOSX/", ".DS_Store", "Thumbs.db")


def list_members(path: Path) -> list[str]:
    """The files in a zip that a person put there. Raises Unreadable."""
    with zipfile.ZipFile(path) as archive:
        names = [member.filename for member in archive.infolist() if not member.is_dir()]
    return [
        name
        for name in names
        if not name.startswith(_IGNORED[0]) and PurePosixPath(name).name not in _IGNORED
    ]


def unpack_zip(path: Path, member: str | None, folder: TemporaryFolder) -> tuple[Path, str]:
    """The unpacked member and its name; without a name, the only one. Raises Unreadable."""
    names = list_members(path)
    name = _choose(names, member, path)
    _refuse_outside(name)
    with zipfile.ZipFile(path) as archive:
        details = archive.getinfo(name)
        if details.flag_bits & 1:
            raise Unreadable(
                got="an archive with a password",
                rule="An archive has no password.",
                fix="Unpack it, and name the unpacked file.",
            )
        _refuse_size(details.file_size, max(details.compress_size, 1))
        require_disk(details.file_size, f"unpacking {name}")
        target = folder.new_path(_ending(name))
        try:
            with archive.open(details) as source:
                _copy(source, target, max(details.compress_size, 1))
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise _damaged() from error
    return target, name


def unpack_gzip(path: Path, folder: TemporaryFolder) -> tuple[Path, str]:
    """The unpacked file, and its name (that of the archive without its ending)."""
    size = path.stat().st_size
    name = path.name[: -len(path.suffix)] if path.suffix.lower() in (".gz", ".gzip") else path.name
    require_disk(size * 4, f"unpacking {path.name}")
    target = folder.new_path(_ending(name))
    try:
        with gzip.open(path) as source:
            _copy(source, target, size)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise _damaged() from error
    return target, name


def _ending(name: str) -> str:
    ending = PurePosixPath(name).suffix.lower()
    return ending if ending[1:].isalnum() else ""


def _choose(names: Sequence[str], member: str | None, path: Path) -> str:
    if member is not None:
        match = [name for name in names if name == member]
        match = match or [name for name in names if PurePosixPath(name).name == member]
        if len(match) == 1:
            return match[0]
    elif len(names) == 1:
        return names[0]
    shown = ", ".join(f"'{name}'" for name in names[:10])
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    raise Unreadable(
        got=(
            f"no file '{member}' in it; it has {shown}{more}"
            if member is not None
            else f"an archive with {len(names)} files: {shown}{more}"
        )
        if names
        else "an empty archive",
        rule="One file of an archive is one table; the text after # names it.",
        fix=f'Name the file after #, such as "{path.name}#{names[0]}".'
        if names
        else "Download or export it again.",
    )


def _refuse_outside(name: str) -> None:
    parts = PurePosixPath(name.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts or name[1:2] == ":":
        raise Unreadable(
            got="an archive with a path that leads outside of it",
            rule="The files of an archive stay inside of it.",
            fix="Do not unpack it. Ask its sender what it is, or archive the file again.",
        )


def _refuse_size(unpacked: int, packed: int) -> None:
    is_bomb = unpacked > RATIO_FROM and unpacked > MOST_RATIO * packed
    if is_bomb or unpacked > MOST_UNPACKED:
        raise Unreadable(
            got=f"an archive of {gigabytes(packed)} that unpacks to {gigabytes(unpacked)} or more",
            rule=f"What is unpacked is at most {MOST_RATIO} times as large as the archive (above "
            f"{gigabytes(RATIO_FROM)}), and at most {gigabytes(MOST_UNPACKED)}.",
            fix="If the file is what you expect, unpack it yourself and name the unpacked file.",
        )


def _copy(source: IO[bytes] | gzip.GzipFile, target: Path, packed: int) -> None:
    """Unpack in pieces; what the archive says of its size is not trusted."""
    written = checked = 0
    with os.fdopen(open_private(target), "wb") as file:
        while chunk := source.read(CHUNK):
            written += len(chunk)
            _refuse_size(written, packed)
            if written - checked > 64 * CHUNK:
                require_disk(64 * CHUNK, "unpacking")
                checked = written
            file.write(chunk)


def _damaged() -> Unreadable:
    return Unreadable(
        got="a damaged archive",
        rule="An archive is complete.",
        fix="Download or export it again.",
    )
