"""`<home>/keys.json`: the hashes of the keys, with a name and the day of each.

Only its owner reads it. A key is 32 random bytes and stands nowhere; what is shown of it is its id,
the first eight hex digits of its sha256. One command at a time changes the file, and it is replaced
as a whole: a killed command and a full disk leave the former file.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from features.core.errors import BadSetting, StoreFailed
from features.core.folder_lock import lock_folder
from features.core.settings import api_keys, home
from features.core.staged_files import flush, staged_file

FILE = "keys.json"
UNREADABLE = (OSError, ValueError, KeyError, TypeError, RecursionError)
_SHA256, _ID = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{8}")
_NAME = re.compile(r"[^\W_][\w.-]{0,31}")


@dataclass(frozen=True)
class StoredKey:
    """What is known of a key. Files of before have neither `name` nor `day` (YYYY-MM-DD, UTC)."""

    sha256: str
    name: str | None = None
    day: str | None = None

    @property
    def id(self) -> str:
        """What may be shown of the key, whether it has a name or not."""
        return self.sha256[:8]

    @property
    def details(self) -> dict[str, str | None]:
        """Id, name and day, for an answer: no key, and no whole hash."""
        return {"id": self.id, "name": self.name, "created": self.day}


@dataclass(frozen=True)
class NewKey:
    """A key's own `text`, which is shown once, and what is `stored` of it."""

    text: str
    stored: StoredKey


def hash_key(key: str) -> str:
    """The sha256 of a key, in hex."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def key_path() -> Path:
    """Where the file is, under LIFECYCLE_HOME."""
    return home() / FILE


def environment_keys() -> list[StoredKey]:
    """The keys of LIFECYCLE_API_KEYS, without name and day."""
    return [StoredKey(hash_key(key)) for key in api_keys()]


def parse_keys(path: Path) -> list[StoredKey]:
    """The keys of the file; one of UNREADABLE where it is damaged or may not be read."""
    return [_parse_key(entry) for entry in json.loads(path.read_text("utf-8"))["keys"]]


def _parse_key(entry: dict[str, Any]) -> StoredKey:
    sha256, name, day = entry["sha256"], entry.get("name"), entry.get("created")
    if not _SHA256.fullmatch(sha256) or any(not isinstance(one, str | None) for one in (name, day)):
        raise ValueError("no key")
    return StoredKey(sha256, name, day)


def stored_keys() -> list[StoredKey]:
    """The keys of the file, none where there is no file; StoreFailed where it cannot be read."""
    path = key_path()
    try:
        return parse_keys(path)
    except FileNotFoundError:
        return []
    except UNREADABLE as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: BaseException) -> StoreFailed:
    quoted = shlex.quote(str(path))
    refused = isinstance(error, PermissionError)
    return StoreFailed(
        where=FILE,
        got=(isinstance(error, OSError) and error.strerror) or "a file that holds no list of keys",
        rule=f"{FILE} is a list of hashes that the account of the service alone reads and writes.",
        fix="Type the command as the account of the service, which owns the file."
        if refused
        else f"Put a copy of it back; or type: mv {quoted} {quoted}.damaged && lifecycle key new "
        "(then no former key opens anything).",
    )


def make_key(name: str | None = None) -> NewKey:
    """A new key; its hash is added to the file (mode 0600), and the key itself stands nowhere.

    BadSetting for a `name` that is taken or against the rule; StoreFailed where the file cannot be
    read or written, and then it is as it was.
    """
    with _changing_keys() as keys:
        if name is not None:
            _check_name(name, keys)
        taken = {key.id for key in keys} | {key.name for key in keys}
        while True:
            text = secrets.token_urlsafe(32)
            stored = StoredKey(hash_key(text), name, datetime.now(UTC).date().isoformat())
            if stored.id not in taken:
                break
        keys.append(stored)
    return NewKey(text, stored)


def _check_name(name: str, keys: list[StoredKey]) -> None:
    if not _NAME.fullmatch(name) or _ID.fullmatch(name):
        raise BadSetting(
            where="--name",
            got=f"a name of {len(name)} characters that breaks the rule",
            rule="A name is 1 to 32 letters, digits, dots, dashes and underscores; it begins with "
            "a letter or digit, and is no id of eight hex digits.",
            fix="lifecycle key new --name crm",
        )
    if name in {key.name for key in keys}:
        raise BadSetting(
            where="--name",
            got="a name that another key has",
            rule="Each key has its own name.",
            fix=f"Give another name, or type first: lifecycle key revoke {name}",
            values=[name],
        )


def revoke_key(name: str) -> tuple[StoredKey, int]:
    """Take the key of this name or id out of the file: (the key, how many are left).

    BadSetting for a key that is not there, and for one of LIFECYCLE_API_KEYS; StoreFailed where the
    file cannot be read or written, and then it is as it was.
    """
    if name in {key.id for key in environment_keys()}:
        raise BadSetting(
            where="key revoke",
            got="a key of LIFECYCLE_API_KEYS",
            rule=f"This command takes keys out of {FILE} alone.",
            fix="Take the key out of LIFECYCLE_API_KEYS where the service is started, and start "
            "the service again.",
            values=[name],
        )
    with _changing_keys() as keys:
        revoked = [key for key in keys if name in (key.name, key.id)]
        if not revoked:
            raise _no_such_key(keys)
        keys[:] = [key for key in keys if key not in revoked]
    return revoked[0], len(keys)


def _no_such_key(keys: list[StoredKey]) -> BadSetting:
    # What was typed is not repeated: it may be a whole key.
    return BadSetting(
        where="key revoke",
        got=f"a name or id that none of the {len(keys)} keys of {FILE} has",
        rule="A key is named by its name or its id, never by itself.",
        fix="Choose one that this lists: lifecycle key list",
    )


@contextlib.contextmanager
def _changing_keys() -> Iterator[list[StoredKey]]:
    """The keys of the file, which the block changes in place; written when it ends, by one command
    at a time. After an error in the block the file is as it was.
    """
    path = key_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # By the folder: root may work on the keys of another account.
        with lock_folder(path.parent, "key", by_file=False):
            keys = stored_keys()
            yield keys
            _write(path, keys)
    except OSError as error:
        raise StoreFailed(
            where=FILE,
            got=error.strerror or "a write that failed",
            rule="LIFECYCLE_HOME must be writable.",
            fix="Free disk space, correct the folder's rights, or set LIFECYCLE_API_KEYS.",
        ) from error


def _write(path: Path, keys: list[StoredKey]) -> None:
    """Replace the file, on the disk when this returns: no power failure brings back a revoked key.

    Who writes it for the account of the service, as root, leaves it to that account.
    """
    entries = [
        {"sha256": key.sha256, "name": key.name, "created": key.day}
        if key.name or key.day
        else {"sha256": key.sha256}
        for key in keys
    ]
    owner = (path if path.exists() else path.parent).stat()
    with staged_file(path, private=True) as staged, staged.open("w", encoding="utf-8") as file:
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
        file.write(json.dumps({"keys": entries}, indent=1, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
    with contextlib.suppress(OSError):
        flush(path.parent)
