"""`lifecycle forget`: customers are taken out of everything that this home keeps of them.

First their hashes are written, so that whatever reads tables from now on leaves them out, and jobs
that read before refuse to write. Then each folder is rewritten under its lock. A command that is
killed leaves every folder as it was or as it is to be; the same command again ends it.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from features.core import forgotten as hashes
from features.core.errors import BadSetting, StoreFailed
from features.core.folder_lock import lock_folder
from features.core.forgotten import Forgotten, read_forgotten, write_forgotten
from features.core.language import say
from features.core.progress import print_status
from features.core.rewritten_files import finish_rewriting
from features.core.settings import Settings, file_path, home
from features.core.staged_files import flush, give_to_owner_of, staged_file
from features.tables.history_store.forget import forget_in_history
from features.tables.history_store.manifest import lock_history, store_folder
from features.tables.remove_rows import SUFFIXES, Removed
from serving.batch.destinations.send import POSTGRESQL, parse_destination
from serving.forget.databases import forget_in_duckdb, forget_in_postgresql
from serving.forget.id_list import IdList
from serving.forget.still_there import find_in_files, find_releases
from serving.forget.stored_files import FilesReport, forget_in_files

JOURNAL, RECEIPTS = "rewriting.json", "receipts"
# By the word of the receipt: the folder below the home, and the command whose lock it has.
PLACES = {
    "runs": ("scores", "score"),
    "campaigns": ("decisions", "decide"),
    "monitoring": ("monitor", "monitor"),
    "predictions": ("mlruns/holdout", None),
    "backtests": ("mlruns/backtests", None),
}


@dataclass
class _Work:
    """What one command does: to whom, and what it took out so far."""

    forgotten: Forgotten
    journal: Path
    dry_run: bool
    removed: dict[str, dict[str, Removed]] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)

    def add(self, place: str, report: FilesReport) -> None:
        self.removed.setdefault(place, {}).update(report.files)
        self.unreadable += report.unreadable

    @property
    def by_file(self) -> dict[str, Removed]:
        return {name: each for files in self.removed.values() for name, each in files.items()}


def forget(
    settings: Settings,
    listed: IdList,
    *,
    also: Sequence[str] = (),
    table: str | None = None,
    dry_run: bool = False,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Forget the customers; the receipt, which names none of them.

    also: places that commands wrote to elsewhere: folders, files, databases (with `table`).
    dry_run: count alone, and change nothing. now: for the name of the receipt's file.
    BadSetting for a place that is none, or has files of the configuration; StoreFailed where
    something cannot be written, after which the same command goes on; QueryFailed for a damaged
    kept history.
    """
    places = [_check_place(place, settings, table) for place in also]
    with contextlib.ExitStack() as stack:
        stack.enter_context(_store_errors())
        root = home() / hashes.FOLDER
        if not dry_run:
            hashes.make_own_folder(root)
            stack.enter_context(lock_folder(root, "forget"))
            finish_rewriting(root / JOURNAL)
        before = read_forgotten()
        target = replace(before, hashes=frozenset(map(before.hash_id, listed.ids)))
        if not dry_run:
            write_forgotten(replace(before, hashes=before.hashes | target.hashes))
        work = _Work(target, root / JOURNAL, dry_run)
        _forget_at_home(work)
        _forget_history(work, settings)
        for place in places:
            _forget_elsewhere(work, *place, listed)
        receipt = _receipt(work, settings, listed, already=len(target.hashes & before.hashes))
        if not dry_run:
            receipt["receipt"] = _write_receipt(root / RECEIPTS, receipt, now)
    return receipt


def let_go(settings: Settings, *, dry_run: bool = False) -> dict[str, Any]:
    """Stop leaving out those whom no table of the files has any more; how many, and who is left.

    BadSetting with a kept history, whose files may be of one day. StoreFailed; errors of reading.
    """
    if settings.history.folder is not None:
        raise BadSetting(
            where="--let-go",
            got="a configuration with a kept history",
            rule="Who is in no file of one day may be in the next one.",
            fix='Name whole exports under [files], and add: --set history.folder=""',
        )
    root = home() / hashes.FOLDER
    with contextlib.ExitStack() as stack:
        stack.enter_context(_store_errors())
        if not dry_run:
            hashes.make_own_folder(root)
            stack.enter_context(lock_folder(root, "forget"))
        before = read_forgotten()
        places, standing = find_in_files(settings, before)
        if places["not_read"]:
            raise StoreFailed(
                where="--let-go",
                got=f"tables that cannot be read ({places['not_read']})",
                rule="Nobody is let go unless every table was read.",
                fix="Correct it: lifecycle check",
            )
        now = replace(before, hashes=frozenset(map(before.hash_id, standing.ids)))
        if not dry_run:
            write_forgotten(now)
    return {
        "dry_run": dry_run,
        "let_go": len(before.hashes) - len(now.hashes),
        "forgotten": len(now.hashes),
        "still_in_files": places["tables"],
    }


def _forget_at_home(work: _Work) -> None:
    for place, (name, command) in PLACES.items():
        root = home() / name
        if not root.is_dir():
            continue
        print_status(say("forgetting in {folder}", folder=f"{name}/"))
        with contextlib.ExitStack() as stack:
            if command is not None and not work.dry_run:
                stack.enter_context(lock_folder(root, command))
            work.add(place, _forget_files(work, root, ours=True))


def _forget_files(work: _Work, root: Path, *, ours: bool) -> FilesReport:
    return forget_in_files(
        root, work.forgotten, work.journal, home=home(), ours=ours, dry_run=work.dry_run
    )


def _forget_history(work: _Work, settings: Settings) -> None:
    if settings.history.folder is None:
        return
    folder = store_folder(settings)
    if not folder.is_dir():
        return
    print_status(say("forgetting in {folder}", folder=settings.history.folder))
    with contextlib.ExitStack() as stack:
        if not work.dry_run:
            stack.enter_context(lock_history(folder))
        removed = forget_in_history(folder, work.forgotten, dry_run=work.dry_run)
    work.removed["kept history"] = removed


def _check_place(place: str, settings: Settings, table: str | None) -> tuple[str, str, str]:
    """(kind, place, table) of a place; BadSetting."""
    path = Path(place)
    if place.startswith(POSTGRESQL) or path.suffix == ".duckdb":
        checked = parse_destination(place, *([table] if table else []))
        return checked.kind, checked.place, checked.table
    if not (path.is_dir() or (path.suffix in SUFFIXES and path.is_file())):
        raise BadSetting(
            where="--also",
            got="no folder, no .csv, .parquet or .duckdb file, and no address of PostgreSQL",
            rule="--also names what a command wrote outside of LIFECYCLE_HOME.",
            fix="Correct the path.",
            values=[] if "://" in place else [place],
        )
    files = [file_path(settings, entry) for entry in settings.files.values()]
    if any(file.is_relative_to(path.resolve()) for file in files):
        raise BadSetting(
            where="--also",
            got="a place with files that the configuration names under [files]",
            rule="The files that tables are read from are yours: this command changes none.",
            fix="Delete the rows there by your own means, and name another place.",
            values=[place],
        )
    return "files", str(path.resolve()), ""


def _forget_elsewhere(work: _Work, kind: str, place: str, table: str, listed: IdList) -> None:
    if kind == "files":
        work.add("elsewhere", _forget_files(work, Path(place), ours=False))
        return
    print_status(say("forgetting in a database"))
    if kind == "postgresql":
        removed = forget_in_postgresql(place, table, listed.ids, dry_run=work.dry_run)
    else:
        removed = forget_in_duckdb(Path(place), table, listed.ids, dry_run=work.dry_run)
    databases = work.removed.setdefault("databases", {})
    # Not the address, which may hold a name and a password.
    databases[f"{kind} {len(databases) + 1}: {table}"] = removed


def _receipt(work: _Work, settings: Settings, listed: IdList, *, already: int) -> dict[str, Any]:
    places, standing = find_in_files(settings, work.forgotten)
    ids, first = set(standing.ids), Removed()
    first.add(standing)
    for each in work.by_file.values():
        ids |= each.ids
        first.add(each)
    return {
        "dry_run": work.dry_run,
        "ids": len(listed.ids),
        "repeated": listed.repeated,
        "already_forgotten": already,
        "nowhere": len(listed.ids) - len(ids & {*listed.ids}),
        "rows": {
            place: sum(each.rows for each in files.values())
            for place, files in work.removed.items()
        },
        "files": {name: each.rows for name, each in sorted(work.by_file.items())},
        "unreadable": sorted(work.unreadable),
        "releases": find_releases(first.first, work.by_file),
        "still_in_files": places["tables"],
        "files_not_read": places["not_read"],
    }


def _write_receipt(folder: Path, receipt: dict[str, Any], now: datetime | None) -> str:
    """Write the receipt for its owner alone; its path relative to the home."""
    hashes.make_own_folder(folder)
    at = (now or datetime.now(UTC)).strftime("%Y-%m-%dT%H%M%SZ")
    names = (f"{at}{suffix}.json" for suffix in ("", *(f"-{n}" for n in range(2, 10_000))))
    path = next(folder / name for name in names if not os.path.lexists(folder / name))
    with staged_file(path, private=True) as staged:
        text = json.dumps({"at": at, **receipt}, indent=1, ensure_ascii=False)
        staged.write_text(text + "\n", encoding="utf-8")
        give_to_owner_of(staged, folder)
        flush(staged)
    return path.relative_to(home()).as_posix()


@contextlib.contextmanager
def _store_errors() -> Iterator[None]:
    try:
        yield
    except (OSError, duckdb.IOException, pa.ArrowException) as error:
        raise StoreFailed(
            where="forget",
            got=getattr(error, "strerror", None) or "a write that failed",
            rule="LIFECYCLE_HOME and the places of --also can be written, with space for the "
            "largest folder of a run once more.",
            fix="Free disk space or correct the folder's rights; type the command again. What was "
            "done is done, and the rest is as it was.",
        ) from error
