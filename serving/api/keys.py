"""API keys: who may send requests. The service knows only their sha256.

They come from LIFECYCLE_API_KEYS, or from a file that only its owner reads. A key is 32 random
bytes, so its hash does not reveal it. A page session is an expiry signed with that hash: who can
read the file could open the pages, therefore it is written for its owner alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path

from features.core.errors import StoreFailed
from features.core.settings import api_keys, home
from features.core.staged_files import staged_file

FILE = "keys.json"
SESSION_SECONDS = 12 * 3600


@dataclass(frozen=True)
class Keys:
    """`hashes` of the accepted keys, their `source`, the `problem` of the file ('' for none)."""

    source: str
    hashes: tuple[str, ...]
    problem: str = ""

    @property
    def count(self) -> int:
        """How many keys are accepted."""
        return len(self.hashes)

    def accepts(self, key: str) -> bool:
        """Whether this is one of the keys; every hash is compared, in constant time."""
        # No early end: the time must not depend on which key matches.
        given = _hash(key)
        return bool(sum([hmac.compare_digest(given, known) for known in self.hashes]))

    def new_session(self, *, now: float) -> str:
        """A value for the page's cookie: an expiry (seconds since 1970), a name, a signature."""
        content = f"{int(now) + SESSION_SECONDS}-{secrets.token_hex(8)}"
        return f"{content}.{_sign(self.hashes[0], content)}"

    def is_session(self, value: str, *, now: float) -> bool:
        """Whether `value` is a session of `new_session` that has not expired."""
        content, _, signature = value.partition(".")
        # compare_digest takes text only if it is ASCII, so bytes are compared.
        given = signature.encode("utf-8", "surrogatepass")
        matches = [
            hmac.compare_digest(_sign(known, content).encode(), given) for known in self.hashes
        ]
        return bool(sum(matches)) and float(content.partition("-")[0]) > now


def load_keys() -> Keys:
    """The keys of LIFECYCLE_API_KEYS (comma separated), else of `<home>/keys.json`, else none."""
    configured = api_keys()
    if configured:
        return Keys("environment", tuple(_hash(key) for key in configured))
    path = home() / FILE
    if not path.is_file():
        return Keys("none", ())
    problem = ""
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        problem = "the key file can be read or written by others"
    try:
        return Keys("file", _read_hashes(path), problem)
    except (OSError, ValueError, KeyError, TypeError):
        return Keys("file", (), "the key file cannot be read")


def _read_hashes(path: Path) -> tuple[str, ...]:
    return tuple(str(key["sha256"]) for key in json.loads(path.read_text())["keys"])


def make_key() -> str:
    """A new key; its hash is added to `<home>/keys.json` (mode 0600).

    The key itself is returned once and stored nowhere. StoreFailed where the file cannot be
    written.
    """
    key, path = secrets.token_urlsafe(32), home() / FILE
    known: list[dict[str, str]] = []
    if path.is_file():
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            known = [{"sha256": value} for value in _read_hashes(path)]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with staged_file(path, private=True) as staged:
            content = {"keys": [*known, {"sha256": _hash(key)}]}
            staged.write_text(json.dumps(content, indent=1) + "\n")
    except OSError as error:
        raise StoreFailed(
            where=FILE,
            got=error.strerror or "a write that failed",
            rule="LIFECYCLE_HOME must be writable.",
            fix="Free disk space, correct the folder's rights, or set LIFECYCLE_API_KEYS.",
        ) from error
    return key


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _sign(known: str, content: str) -> str:
    message = content.encode("utf-8", "surrogatepass")
    return hmac.new(known.encode(), message, hashlib.sha256).hexdigest()
