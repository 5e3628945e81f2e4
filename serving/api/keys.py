"""API keys: who may send requests. The service knows only their sha256.

They come from LIFECYCLE_API_KEYS, or from a file that only its owner reads (`key_file`). A key is
32 random bytes, so its hash does not reveal it. A page session is an expiry signed with the hash of
the key that logged in, and ends with that key: who can read the file could open the pages,
therefore it is written for its owner alone.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import stat
import time
from dataclasses import dataclass

from serving.api.key_file import UNREADABLE, environment_keys, hash_key, key_path, parse_keys

SESSION_SECONDS = 12 * 3600
LOOK_SECONDS = 1
CANNOT_BE_READ = "the key file cannot be read"
log = logging.getLogger("lifecycle.service")


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

    @property
    def unreadable(self) -> bool:
        """Whether nothing is known, because the file cannot be read."""
        return self.problem == CANNOT_BE_READ

    def accepts(self, key: str) -> bool:
        """Whether this is one of the keys; every hash is compared, in constant time."""
        # No early end: the time must not depend on which key matches.
        given = hash_key(key)
        return bool(sum([hmac.compare_digest(given, known) for known in self.hashes]))

    def new_session(self, key: str, *, now: float) -> str:
        """A value for the page's cookie: an expiry (seconds since 1970), a name, a signature.

        `key`: an accepted one, which logged in; the session ends with it.
        """
        content = f"{int(now) + SESSION_SECONDS}-{secrets.token_hex(8)}"
        return f"{content}.{_sign(hash_key(key), content)}"

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
    configured = environment_keys()
    if configured:
        return Keys("environment", tuple(key.sha256 for key in configured))
    path = key_path()
    if not path.is_file():
        return Keys("none", ())
    problem = ""
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        problem = "the key file can be read or written by others"
    try:
        return Keys("file", tuple(key.sha256 for key in parse_keys(path)), problem)
    except UNREADABLE:
        return Keys("file", (), CANNOT_BE_READ)


class CurrentKeys:
    """The keys as they are now: a running service accepts new ones and refuses revoked ones.

    The file is looked at when a request comes, at most once in LOOK_SECONDS. While it cannot be
    read the former keys stay, and the log says so once; a file that is gone holds no key.
    """

    def __init__(self) -> None:
        # The stamp first: what changes in between is noticed at the next look.
        self._stamp, self._known = _file_stamp(), load_keys()
        self._looked_at, self._problem = time.monotonic(), ""
        if not self._known.count:
            why = self._known.problem or "there is none yet"
            log.warning("no key is accepted (%s); lifecycle key new makes one", why)

    def read(self) -> Keys:
        """What is accepted at this moment."""
        now = time.monotonic()
        if now - self._looked_at >= LOOK_SECONDS and self._known.source != "environment":
            self._looked_at = now
            self._look()
        return self._known

    def _look(self) -> None:
        stamp = _file_stamp()
        if stamp == self._stamp:
            return
        try:
            known = load_keys()
        except OSError:
            known = Keys("file", (), CANNOT_BE_READ)
        if not known.unreadable:
            self._stamp, self._known, self._problem = stamp, known, ""
            log.info("the keys changed: %d are accepted", known.count)
        elif known.problem != self._problem:
            self._problem = known.problem
            log.error("%s: the former %d are accepted", known.problem, self._known.count)


def _file_stamp() -> tuple[int, ...] | None:
    """What differs between two versions of the key file; None without one."""
    try:
        status = key_path().stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size


def _sign(known: str, content: str) -> str:
    message = content.encode("utf-8", "surrogatepass")
    return hmac.new(known.encode(), message, hashlib.sha256).hexdigest()
