"""Rows of forgotten customers in the files of a home: runs, pages, campaigns, predictions.

Files that have one manifest change together with it (`features.core.rewritten_files`); a hash in it
is written anew where the file was as the manifest said. A damaged file stays a damaged one.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from features.core import file_locks
from features.core.file_hashes import hash_file
from features.core.forgotten import Forgotten
from features.core.rewritten_files import STAGED, rewrite_together, staged_name
from features.core.staged_files import is_alive
from features.tables.remove_rows import SUFFIXES, Removed, remove_rows
from serving.campaigns.store import ROWS_TAKEN_OUT

MANIFEST, PLAN, SCORES = "manifest.json", "plan.parquet", "scores.parquet"


@dataclass
class FilesReport:
    """What was taken out of the files below one folder.

    files: by path, relative to the home. unreadable: files that may have rows of them still.
    """

    files: dict[str, Removed] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)


def forget_in_files(
    root: Path,
    forgotten: Forgotten,
    journal: Path,
    *,
    home: Path,
    ours: bool,
    dry_run: bool = False,
) -> FilesReport:
    """Take the customers out of every table below `root`; OSError where a write fails.

    journal: the file that says what a killed command was about to replace. ours: whether nobody
    else writes below `root`, so that what killed commands left there can go.
    """
    report = FilesReport()
    report.unreadable += [f"{_name(path, home)} (a link)" for path in _links(root)]
    if not dry_run:
        _remove_leftovers(root, ours=ours)
    for folder, paths in _units(root):
        changed: dict[Path, Removed] = {}
        for path in paths:
            try:
                removed = remove_rows(path, forgotten, None if dry_run else staged_name(path))
            except (ValueError, pa.ArrowException):
                report.unreadable.append(_name(path, home))
                continue
            if removed.rows:
                changed[path] = removed
        report.files |= {_name(path, home): removed for path, removed in changed.items()}
        if changed and not dry_run:
            manifest = _write_manifest(folder, changed)
            rewrite_together(journal, [*changed, *manifest])
    return report


def _name(path: Path, home: Path) -> str:
    return path.relative_to(home).as_posix() if path.is_relative_to(home) else str(path)


def _units(root: Path) -> Iterator[tuple[Path, list[Path]]]:
    """Folders with a manifest and all tables below; other tables one by one."""
    if root.is_file():
        yield root.parent, [root]
        return
    owned: set[Path] = set()
    for manifest in sorted(root.rglob(MANIFEST)):
        paths = [path for path in _tables(manifest.parent) if path not in owned]
        owned.update(paths)
        yield manifest.parent, paths
    for path in _tables(root):
        if path not in owned:
            yield path.parent, [path]


def _tables(folder: Path) -> list[Path]:
    # A link may lead out of the home, to a file of somebody else. What has a point before its name
    # is being written, or was when a command was killed.
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix in SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
        and not path.is_symlink()
    )


def _links(folder: Path) -> list[Path]:
    """Links that may lead to tables: nobody is taken out behind them, which is said."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_symlink() and (path.suffix in SUFFIXES or path.is_dir())
    )


def _write_manifest(folder: Path, changed: dict[Path, Removed]) -> list[Path]:
    """Stage the manifest of the folder with the new hashes; [] where it names none of the files."""
    path = folder / MANIFEST
    try:
        about: dict[str, Any] = json.loads(path.read_bytes())
        is_run = isinstance(about.get("files"), dict)
        hashes = about["files"] if is_run else {PLAN: about["sha256"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return []
    named = {file.relative_to(folder).as_posix(): file for file in changed}
    named = {name: file for name, file in named.items() if name in hashes}
    if not named:
        return []
    for name, file in named.items():
        if hashes[name] == hash_file(file):
            hashes[name] = hash_file(staged_name(file))
    if is_run and SCORES in named:
        about["rows"] = pq.read_metadata(staged_name(named[SCORES])).num_rows
    if not is_run:
        about["sha256"] = hashes[PLAN]
    rows = sum(changed[file].rows for file in named.values())
    about[ROWS_TAKEN_OUT] = int(about.get(ROWS_TAKEN_OUT, 0)) + rows
    text = json.dumps(about, indent=1 if is_run else 2, sort_keys=True, ensure_ascii=is_run)
    staged_name(path).write_text(text + "\n" if is_run else text, encoding="utf-8")
    return [path]


def _remove_leftovers(root: Path, *, ours: bool) -> None:
    """Remove what killed commands were writing: it may have rows of anybody."""
    if not root.is_dir():
        return
    for path in sorted(root.rglob(".*")):
        with contextlib.suppress(OSError):
            if path.is_symlink():
                continue
            if path.is_dir():
                if ours and path.name.startswith(".staged-"):
                    _remove_without_owner(path)
            elif path.suffix == STAGED or (ours and _has_dead_writer(path)):
                path.unlink()


def _has_dead_writer(path: Path) -> bool:
    owner = path.suffix.removeprefix(".")
    return owner.isascii() and owner.isdecimal() and not is_alive(int(owner))


def _remove_without_owner(folder: Path) -> None:
    descriptor = file_locks.open_folder(folder)
    try:
        if file_locks.try_lock(descriptor):
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)
