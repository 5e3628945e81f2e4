"""Sessions of the page that a logout ended: no copy of their cookie opens anything any more.

A line for each in `<home>/ended_sessions`: the expiry and the hash of the cookie. All workers read
it. Expired lines are dropped once there are many.
"""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

from features.core.errors import StoreFailed
from features.core.settings import home
from features.core.staged_files import staged_file

FILE = "ended_sessions"
MANY_BYTES = 64 << 10


def end(session: str) -> None:
    """End a session that was valid until now; StoreFailed where that cannot be written down."""
    path = home() / FILE
    until = session.partition("-")[0]
    try:
        if path.is_file() and path.stat().st_size > MANY_BYTES:
            _drop_expired(path)
        with open(path, "a", encoding="ascii", opener=_open_private) as file:
            file.write(f"{until} {_hash(session)}\n")
    except OSError as error:
        raise StoreFailed(
            where=FILE,
            got=error.strerror or "a write that failed",
            rule="A logout is written down, so that no copy of the cookie stays valid.",
            fix="Free disk space, or correct the rights of LIFECYCLE_HOME.",
        ) from error


def is_ended(session: str) -> bool:
    """Whether a logout ended this session."""
    try:
        lines = (home() / FILE).read_text(encoding="ascii").splitlines()
    except FileNotFoundError:
        return False
    except (OSError, ValueError):
        return True  # in doubt a session is not valid
    return any(line.endswith(_hash(session)) for line in lines)


def _drop_expired(path: Path) -> None:
    lines = path.read_text(encoding="ascii").splitlines()
    kept = [line for line in lines if int(line.split()[0]) > time.time()]
    with staged_file(path, private=True) as staged:
        staged.write_text("".join(f"{line}\n" for line in kept), encoding="ascii")


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _hash(session: str) -> str:
    return hashlib.sha256(session.encode("utf-8", "surrogatepass")).hexdigest()
