"""manifest.json of a kept history: its settings, its tables, and the pieces of each with hashes.

What it does not name is not there: a piece is written before the manifest that names it. The folder
belongs to the history alone, and has a manifest before it has a piece: pieces without one are a
damaged history, and nothing is taken for a new one but an empty folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from features.core import folder_lock
from features.core.errors import BadSetting, FileMissing, QueryFailed
from features.core.file_hashes import hash_file
from features.core.settings import Settings
from features.core.staged_files import flush, give_to_owner_of, staged_file

FILE, LOCK = "manifest.json", folder_lock.FILE
FORMAT = 1
PIECE = re.compile(r"[a-z]+/(\d{6})-[0-9a-f]{12}\.parquet")


@dataclass(frozen=True)
class Piece:
    """A file with rows of one table, sorted by bucket and then in canonical order.

    first, last: the smallest and the largest `recorded_at` (µs); None in a table without it.
    """

    file: str
    rows: int
    size: int
    sha256: str
    first: int | None
    last: int | None


@dataclass(frozen=True)
class TablePieces:
    """The pieces of one table, the oldest first.

    columns: of the pieces, but for `bucket`. order: those that the SELECT has, which order the
    rows. select: the columns of the SELECT. replaced: whether a piece takes rows of an earlier one
    back. currencies: of those that were seen in the files, the most rows of one ingest.
    """

    columns: tuple[str, ...]
    order: tuple[str, ...]
    select: tuple[str, ...]
    attributes: tuple[str, ...] = ()
    currencies: Mapping[str, int] = field(default_factory=dict)
    replaced: bool = False
    pieces: tuple[Piece, ...] = ()

    @property
    def rows(self) -> int:
        """The rows of all pieces, also those that take others back."""
        return sum(piece.rows for piece in self.pieces)


@dataclass(frozen=True)
class Manifest:
    """settings: `reading_settings` of the first ingest. ingests: how many there were."""

    settings: Mapping[str, Any]
    buckets: int
    tables: Mapping[str, TablePieces] = field(default_factory=dict)
    ingests: int = 0

    def with_table(self, name: str, table: TablePieces) -> Manifest:
        """With another state of one table."""
        return replace(self, tables={**self.tables, name: table})


def reading_settings(settings: Settings) -> dict[str, Any]:
    """The settings that decide how a row of a file is read, as JSON."""
    contract = settings.contract
    return {
        "tables": dict(sorted(settings.selects.items())),
        "business.zone": settings.zone,
        "business.currency": settings.business.currency,
        "contract.exact_duplicates": contract.exact_duplicates,
        "contract.arrives_after_hours": contract.arrives_after_hours,
        "contract.scales": {kind: list(ends) for kind, ends in sorted(contract.scales.items())},
        "contract.constant_attributes": sorted(contract.constant_attributes),
        "contract.terms_from": contract.terms_from,
        "features.sensitive_allowed": sorted(settings.features.sensitive_allowed),
    }


def store_folder(settings: Settings) -> Path:
    """The folder of the kept history; BadSetting where none is configured."""
    if settings.history.folder is None:
        raise BadSetting(
            where="[history] folder",
            got="no folder",
            rule="The kept history has a folder.",
            fix='Write, for example:\n[history]\nfolder = "history"',
        )
    return (settings.folder / settings.history.folder).resolve()


@contextlib.contextmanager
def lock_history(folder: Path) -> Iterator[None]:
    """Have the history for oneself in the block; StoreFailed after a wait, OSError."""
    with folder_lock.lock_folder(folder, "ingest"):
        yield


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a folder; None where the folder is empty or not there.

    QueryFailed for a damaged manifest, and for a folder with other content and none.
    """
    path = folder / FILE
    if not os.path.lexists(path):
        if folder.is_dir() and any(each.name != LOCK for each in folder.iterdir()):
            raise _damaged(FILE, "a folder with other content and without a manifest")
        return None
    try:
        if not path.is_file():  # to open a pipe would wait for a writer
            raise ValueError("no file")
        content = _checked_content(json.loads(path.read_text(encoding="utf-8")))
        tables = {
            name: TablePieces(
                **{key: tuple(each[key]) for key in ("columns", "order", "select", "attributes")},
                currencies=each["currencies"],
                replaced=each["replaced"],
                pieces=tuple(Piece(**piece) for piece in each["pieces"]),
            )
            for name, each in content.pop("tables").items()
        }
        files = [piece.file for table in tables.values() for piece in table.pieces]
        if len(files) != len(set(files)) or not all(map(PIECE.fullmatch, files)):
            raise ValueError("other names")
        return Manifest(**content, tables=tables)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _damaged(FILE, "a manifest that cannot be read") from error


def _checked_content(read: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = read["content"]
    if read["sha256"] != _digest(content) or content.pop("format") != FORMAT:
        raise ValueError("another content or format")
    return content


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace the manifest at once, flushed to the disk; OSError."""
    content = json.loads(json.dumps({"format": FORMAT, **asdict(manifest)}))
    text = json.dumps({"content": content, "sha256": _digest(content)}, indent=1, sort_keys=True)
    with staged_file(folder / FILE) as staged:
        staged.write_text(text, encoding="utf-8")
        give_to_owner_of(staged, folder)
        flush(staged)
    flush(folder)


def check_settings(manifest: Manifest, settings: Settings) -> None:
    """BadSetting where the history was ingested under other settings, with the names of them."""
    now = json.loads(json.dumps(reading_settings(settings)))
    other = [key for key, value in now.items() if manifest.settings.get(key) != value]
    if "tables" in other:
        before = dict(manifest.settings.get("tables", {}))
        # A further table may join: what was read before is not read otherwise.
        changed = sorted(name for name in before if before[name] != now["tables"].get(name))
        other = [key for key in other if key != "tables"]
        other = [f"[tables] {', '.join(changed)}", *other] if changed else other
    if manifest.buckets != settings.history.buckets:
        other.append("history.buckets")
    if other:
        raise BadSetting(
            where="[history] folder",
            got=f"a history that was ingested with other {'; '.join(other)}",
            rule="All rows of a kept history were read under the same settings.",
            fix="Take the former settings again; or give [history] folder another name and ingest "
            "all files anew.",
        )


def check_pieces(folder: Path, manifest: Manifest) -> None:
    """QueryFailed where a piece is missing or not as it was written."""
    for table in manifest.tables.values():
        for piece in table.pieces:
            try:
                about = hash_file(folder / piece.file)
            except OSError as error:
                raise _damaged(piece.file, "a piece that is missing") from error
            if about != {"sha256": piece.sha256, "size": piece.size}:
                raise _damaged(piece.file, "a piece that is not as it was written")


def missing_history(folder: Path) -> FileMissing:
    """The error where [history] names a folder into which nothing was ingested."""
    return FileMissing(
        where="[history] folder",
        got="a folder without a kept history",
        rule="With [history] folder, commands read what `lifecycle ingest` has kept.",
        fix="Type: lifecycle ingest",
        values=[folder.name],
    )


def _damaged(name: str, got: str) -> QueryFailed:
    return QueryFailed(
        where=f"the kept history, {name}",
        got=got,
        rule="The folder is the history's alone; each piece has the hash that the manifest says.",
        fix="Restore the whole folder from a backup; or give [history] folder the name of an empty "
        "folder and ingest all files anew.",
    )
