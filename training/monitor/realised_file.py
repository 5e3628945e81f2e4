"""<home>/monitor/realised.jsonl: what became of each run, a line for each, added and never changed.

A line is added by a new file that replaces the old one at once, so a command that is killed leaves
the lines of before. Each line carries the hash of all lines before it: a changed, missing or half
line is seen. One command at a time adds (`lock_history`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from features.core.errors import StoreFailed
from features.core.folder_lock import lock_folder
from features.core.settings import home
from features.core.staged_files import staged_file

FOLDER, FILE, BEFORE = "monitor", "realised.jsonl", "before"
KEYS = frozenset({"run", "as_of", "customers", "left", "expected", "judged_on", BEFORE})
Line = dict[str, Any]


def history_path() -> Path:
    """Where the history lies."""
    return home() / FOLDER / FILE


@contextlib.contextmanager
def lock_history() -> Iterator[None]:
    """Have the history for oneself in the block; StoreFailed where it cannot be had."""
    with _store_errors(), lock_folder(home() / FOLDER, "monitor"):
        yield


def read_lines() -> list[Line]:
    """The lines, oldest first; [] without a file. StoreFailed where one is damaged."""
    path = history_path()
    try:
        raw = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise _damaged("it cannot be read") from error
    if raw and not raw.endswith(b"\n"):
        raise _damaged("its last line has no end")
    lines, digest = [], hashlib.sha256()
    for number, text in enumerate(raw.splitlines(), start=1):
        try:
            line = json.loads(text)
            if not set(line) >= KEYS or line[BEFORE] != digest.hexdigest()[:16]:
                raise ValueError("another line")
        except (ValueError, TypeError, RecursionError) as error:
            raise _damaged(f"line {number:,} is not as it was written") from error
        digest.update(text + b"\n")
        lines.append(line)
    return lines


def add_lines(new: Sequence[Line]) -> list[Line]:
    """All lines, after those of `new` whose run has none were added. To be locked by the caller.

    StoreFailed where the file is damaged, which stays as it is, or cannot be written.
    """
    lines = read_lines()
    known = {line["run"] for line in lines}
    added = [line for line in new if line["run"] not in known]
    if not added:
        return lines
    path = history_path()
    raw = path.read_bytes() if path.exists() else b""
    for line in added:
        before = hashlib.sha256(raw).hexdigest()[:16]
        lines.append(line | {BEFORE: before})
        raw += json.dumps(lines[-1], sort_keys=True, ensure_ascii=False).encode() + b"\n"
    with staged_file(path) as staged:
        staged.write_bytes(raw)
    return lines


@contextlib.contextmanager
def _store_errors() -> Iterator[None]:
    """StoreFailed instead of an OSError of the block."""
    try:
        yield
    except OSError as error:
        raise StoreFailed(
            where=f"{FOLDER}/",
            got=error.strerror or "a write that failed",
            rule=f"{FOLDER}/ under LIFECYCLE_HOME must be writable, with free space.",
            fix="Free disk space, correct the folder's rights, or set LIFECYCLE_HOME; run again. "
            "Nothing half-written is left.",
        ) from error


def _damaged(got: str) -> StoreFailed:
    return StoreFailed(
        where=f"{FOLDER}/{FILE}",
        got=got,
        rule="The history is only ever added to, by lifecycle monitor.",
        fix=f"Nothing was changed. Put back {FOLDER}/{FILE} from a backup; or move it away: the "
        "runs that are still there are then judged anew.",
    )
