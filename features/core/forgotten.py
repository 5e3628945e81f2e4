"""<home>/forgotten/ids.json: whom `lifecycle forget` forgot, as keyed hashes, for its owner alone.

A hash is BLAKE2b of the id with a random key of this home, so that the hashes of two homes cannot
be compared, and those in a log or a list name nobody. Who has key and hashes can try ids: the file
is as secret as the ids were. It is the one file that every reading of tables looks at by itself, so
that no command can forget to leave these customers out.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from features.core.errors import StoreFailed
from features.core.settings import home
from features.core.staged_files import flush, give_to_owner_of, staged_file

FOLDER, FILE = "forgotten", "ids.json"
KEY_BYTES, HASH_BYTES = 32, 16


@dataclass(frozen=True)
class Forgotten:
    """Keyed hashes of ids."""

    key: bytes
    hashes: frozenset[bytes]

    def __bool__(self) -> bool:
        return bool(self.hashes)

    @property
    def mark(self) -> str:
        """16 hex digits that change with the hashes; '' where nobody is forgotten."""
        text = b"".join(sorted(self.hashes))
        return hashlib.sha256(text).hexdigest()[:16] if text else ""

    def hash_id(self, name: str) -> bytes:
        """The hash of an id."""
        text = name.encode("utf-8", "surrogatepass")
        return hashlib.blake2b(text, key=self.key, digest_size=HASH_BYTES).digest()

    def among(self, ids: Iterable[str | None]) -> list[str]:
        """Those of the ids that are forgotten, in their order."""
        if not self.hashes:
            return []
        return [name for name in ids if name is not None and self.hash_id(name) in self.hashes]


def forgotten_path() -> Path:
    return home() / FOLDER / FILE


def read_forgotten() -> Forgotten:
    """Whom this home forgot; with a new key and nobody where there is no file.

    StoreFailed where the file is damaged: then nobody can be left out.
    """
    path = forgotten_path()
    try:
        if not os.path.lexists(path):
            return Forgotten(secrets.token_bytes(KEY_BYTES), frozenset())
        content = json.loads(path.read_text(encoding="ascii"))
        key, hashes = bytes.fromhex(content["key"]), content["hashes"]
        return Forgotten(key, frozenset(map(bytes.fromhex, hashes)))
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise StoreFailed(
            where=f"{FOLDER}/{FILE}",
            got="a file that cannot be read",
            rule="It holds whom this home forgot; without it they would come back.",
            fix="Put a copy of it back, or correct its rights. If there is no copy: remove it, and "
            "type lifecycle forget with the ids of everybody who was ever to be forgotten.",
        ) from error


def make_own_folder(folder: Path) -> None:
    """A folder for the owner of the home alone; OSError."""
    if not folder.is_dir():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        give_to_owner_of(folder, folder.parent)


def write_forgotten(forgotten: Forgotten) -> None:
    """Replace the file (mode 0600, flushed to the disk); OSError."""
    path = forgotten_path()
    make_own_folder(path.parent)
    content = {
        "key": forgotten.key.hex(),
        "hashes": sorted(each.hex() for each in forgotten.hashes),
    }
    with staged_file(path, private=True) as staged:
        staged.write_text(json.dumps(content, indent=0) + "\n", encoding="ascii")
        give_to_owner_of(staged, path.parent)
        flush(staged)
    flush(path.parent)


def refuse_forgotten_since(mark: str) -> None:
    """StoreFailed where somebody was forgotten since tables were read with this mark.

    What was computed of those tables would bring them back.
    """
    if read_forgotten().mark != mark:
        raise StoreFailed(
            where=f"{FOLDER}/{FILE}",
            got="customers who were forgotten, or let go, while this command was at work",
            rule="Nothing is written of a customer who is forgotten.",
            fix="Type the command again: it reads the tables without them.",
        )
