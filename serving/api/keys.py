"""Who may ask: API keys, known here only by their sha256. The environment names them, or a file only its owner reads.

A key is 32 random bytes: nobody finds it from its hash. A page session is an expiry signed with that hash, so who reads
the file could read the pages; it is written for its owner alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path

from features.core.errors import StoreFailed
from features.core.settings import api_keys, home

FILE = "keys.json"
SESSION_SECONDS = 12 * 3600


@dataclass(frozen=True)
class Keys:
    """`hashes` of the keys that open the service, where they came from, and what is wrong with the file ('' if nothing)."""

    source: str
    hashes: tuple[str, ...]
    problem: str = ""

    @property
    def count(self) -> int:
        return len(self.hashes)

    def opens(self, key: str) -> bool:
        """Whether this key is one of ours; every hash is compared, in constant time."""
        given = _hash(key)
        return bool(sum([hmac.compare_digest(given, known) for known in self.hashes]))

    def session(self, *, now: float) -> str:
        """A value for the page's cookie: an expiry (seconds) and its signature."""
        until = str(int(now) + SESSION_SECONDS)
        return f"{until}.{_sign(self.hashes[0], until)}"

    def in_session(self, value: str, *, now: float) -> bool:
        until, _, signature = value.partition(".")
        given = signature.encode(
            "utf-8", "surrogatepass"
        )  # compared as bytes: as text it may only be ASCII
        signed = sum(
            [hmac.compare_digest(_sign(known, until).encode(), given) for known in self.hashes]
        )
        return bool(signed) and until.isdecimal() and float(until) > now


def found() -> Keys:
    """The keys of LIFECYCLE_API_KEYS (comma separated), else of `<home>/keys.json`, else none."""
    stated = api_keys()
    if stated:
        return Keys("environment", tuple(_hash(key) for key in stated))
    path = home() / FILE
    if not path.is_file():
        return Keys("none", ())
    problem = ""
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        problem = "the key file can be read or written by others"
    try:
        return Keys("file", _stored(path), problem)
    except (OSError, ValueError, KeyError, TypeError):
        return Keys("file", (), "the key file cannot be read")


def _stored(path: Path) -> tuple[str, ...]:
    return tuple(str(key["sha256"]) for key in json.loads(path.read_text())["keys"])


def make() -> str:
    """A new key, its hash written to `<home>/keys.json` (mode 0600) beside the others; the key itself is returned once."""
    key, path = secrets.token_urlsafe(32), home() / FILE
    known: list[dict[str, str]] = []
    if path.is_file():
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            known = [{"sha256": value} for value in _stored(path)]
    staged = path.with_name(f".{FILE}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_private(
            staged, json.dumps({"keys": [*known, {"sha256": _hash(key)}]}, indent=1) + "\n"
        )
        os.replace(staged, path)
    except OSError as error:
        raise StoreFailed(
            where=FILE,
            got=error.strerror or "a write that failed",
            rule="LIFECYCLE_HOME must be writable.",
            fix="Free space or rights, or name keys in LIFECYCLE_API_KEYS.",
        ) from error
    finally:
        with contextlib.suppress(OSError):
            staged.unlink()
    return key


def _write_private(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _sign(known: str, until: str) -> str:
    return hmac.new(
        known.encode(), until.encode("utf-8", "surrogatepass"), hashlib.sha256
    ).hexdigest()
