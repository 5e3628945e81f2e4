"""From an entry under [files] to a file, and the sheet or member of it that the entry names.

`shop.xlsx#Orders` is the sheet Orders of shop.xlsx, unless a file has that whole name.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path, PurePosixPath

from features.tables.reading.reading import Unreadable

_ADDRESS = re.compile(r"(^|/)(https?|ftp|s3|gs|abfss?|az):/", re.IGNORECASE)


def split_member(path: Path) -> tuple[Path, str | None]:
    """The file, and the sheet or member after `#`; None where none is named."""
    text = str(path)
    if _exists(path):
        return path, None
    at = text.find("#")
    while at >= 0:
        file = Path(text[:at])
        if at and _exists(file) and not file.is_dir():
            return file, text[at + 1 :]
        at = text.find("#", at + 1)
    return path, None


def table_stem(path: Path) -> str:
    """The name of a file without endings; of a sheet or member its own: `book.xlsx#Orders`, Orders.

    >>> table_stem(Path("exports.zip#2024/orders.csv.gz"))
    'orders'
    """
    _, member = split_member(path)
    return PurePosixPath(member or path.name).name.split(".")[0]


def size_bytes(path: Path) -> int:
    """The size of the file that an entry names, of a folder that of all its files."""
    file, _ = split_member(path)
    if file.is_dir():
        return sum(each.stat().st_size for each in file.rglob("*") if each.is_file())
    return file.stat().st_size


def _exists(path: Path) -> bool:
    return os.path.lexists(path)  # False for a name too long, where Path.exists is an OSError


def is_address(path: Path) -> bool:
    """Whether the path was meant as an address, such as https://…"""
    return bool(_ADDRESS.search(path.as_posix()))


def require_openable(path: Path) -> None:
    """Unreadable for an address, a broken link, a device, or a file without rights.

    A path that does not exist is for the caller.
    """
    if is_address(path):
        raise Unreadable(
            got="an address in the web",
            rule="A path under [files] is a file or a folder of this computer.",
            fix="Download the file, and name the downloaded file.",
        )
    if path.is_symlink() and not os.path.exists(path):
        raise Unreadable(
            got=f"a link to {os.readlink(path)}, which does not exist",
            rule="A link under [files] leads to a file or a folder.",
            fix="Correct the link, or name the file itself.",
        )
    mode = os.stat(path).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise Unreadable(
            got="a device or a pipe",
            rule="A path under [files] is a file or a folder.",
            fix="Write its content to a file, and name that.",
        )
    if not os.access(path, os.R_OK | (os.X_OK if stat.S_ISDIR(mode) else 0)):
        raise Unreadable(
            got="a file that you may not read",
            rule="Every path under [files] can be read by the account that runs the command.",
            fix=f'Give the account the right: chmod u+r "{path.name}", or ask its owner.',
        )
