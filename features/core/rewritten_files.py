"""Several files are replaced together: all of them, also when the process is killed in between.

The new files are written beside the old ones under a staging name. Then a journal says which name
each gets, and the files are renamed. Where a journal is left, `finish_rewriting` ends what it says;
without one the former files stand as they were, and staged ones are nothing that anybody reads.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from features.core.errors import StoreFailed
from features.core.staged_files import flush, give_to_owner_of, staged_file

STAGED = ".forget"


def staged_name(path: Path) -> Path:
    """Where the new content of a file is written first."""
    return path.with_name(f".{path.name}{STAGED}")


def rewrite_together(journal: Path, paths: Sequence[Path]) -> None:
    """Let the staged file of each path replace it, in this order; OSError.

    After a kill `finish_rewriting` replaces those that are left.
    """
    for path in paths:
        staged = staged_name(path)
        before = path.stat()
        staged.chmod(before.st_mode & 0o777)
        # What is the newest run of a day is told by these times.
        os.utime(staged, ns=(before.st_atime_ns, before.st_mtime_ns))
        give_to_owner_of(staged, path)
        flush(staged)
    with staged_file(journal, private=True) as staged:
        staged.write_text(json.dumps([str(path) for path in paths]), encoding="utf-8")
        flush(staged)
    flush(journal.parent)
    _replace_all(paths)
    journal.unlink()
    flush(journal.parent)


def finish_rewriting(journal: Path) -> bool:
    """End what a killed command began; whether there was anything. StoreFailed, OSError."""
    if not journal.is_file():
        return False
    try:
        names = json.loads(journal.read_text(encoding="utf-8"))
        paths = [Path(name) for name in names]
    except (ValueError, TypeError, RecursionError) as error:
        raise StoreFailed(
            where=journal.name,
            got="a list of files that cannot be read",
            rule="It says which files a killed command was about to replace.",
            fix="Put a backup of LIFECYCLE_HOME back, or remove this file and type the command "
            "again.",
        ) from error
    _replace_all(paths)
    journal.unlink()
    flush(journal.parent)
    return True


def _replace_all(paths: Sequence[Path]) -> None:
    for path in paths:
        staged = staged_name(path)
        # One that is not there was renamed before the process was killed.
        if staged.exists():
            os.replace(staged, path)
    for folder in {path.parent for path in paths}:
        if folder.is_dir():
            flush(folder)
