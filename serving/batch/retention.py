"""`[retention] runs_days`: old runs are removed, but for those that something stands on.

How old a run is counts from the newest run and by as_of: a clock that was set wrong removes
nothing. Only published runs of this configuration are looked at; those in sample, of a backfill, or
not published were made on purpose, and stay.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features.core import latest_run
from features.core.errors import BadSetting, StoreFailed
from features.core.folder_lock import lock_folder
from features.core.instants import DAY_US
from features.core.language import mark
from features.core.settings import Settings, home
from features.core.staged_files import flush, staging_folder
from serving.batch import run_manifest, shift
from serving.batch.shift import FormerRun
from serving.campaigns.store import MANIFEST, campaigns_folder

REALISED = ("monitor", "realised.jsonl")
PAGE = ("report", "report.html")
NEWEST, COMPARED, CAMPAIGN, NOT_JUDGED, PAGE_SHOWN = (
    mark("LATEST names it"),
    mark("the newest run was compared with it"),
    mark("a campaign was decided by it"),
    mark("monitor has not judged it yet"),
    mark("it has the newest page"),
)


@dataclass(frozen=True)
class Pruned:
    """removed: the folders that went, or would go. stayed: why older ones stay, with their number.
    size: bytes of the folders that went.
    """

    removed: tuple[str, ...]
    stayed: dict[str, int]
    size: int
    dry_run: bool

    def report(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "dry_run": self.dry_run,
            "removed": list(self.removed),
            "bytes": self.size,
            "stayed": dict(self.stayed),
        }


def prune_runs(settings: Settings, *, dry_run: bool = False) -> Pruned:
    """Remove the runs that `[retention] runs_days` gives no room; what went, and why others stayed.

    BadSetting where it is not set; StoreFailed where a folder cannot be removed.
    """
    days, root = settings.retention.runs_days, home() / "scores"
    if days is None:
        raise BadSetting(
            where="[retention] runs_days",
            got="nothing",
            rule="Old runs go where the configuration says how many days they stay.",
            fix="Write, for example:\n[retention]\nruns_days = 400",
        )
    with _store_errors(), contextlib.ExitStack() as stack:
        if root.is_dir() and not dry_run:
            stack.enter_context(lock_folder(root, "score"))
        old, stayed = _old_runs(root, settings, days)
        size = sum(map(_size, old))
        if not dry_run:
            for folder in old:
                _remove(root, folder)
    names = tuple(folder.relative_to(root).as_posix() for folder in old)
    return Pruned(names, stayed, size, dry_run)


def _old_runs(root: Path, settings: Settings, days: int) -> tuple[list[Path], dict[str, int]]:
    digest = shift.configuration_digest(settings)
    runs = shift.published_runs(root, configuration=digest, before=2**62)
    if not runs:
        return [], {}
    reasons = _reasons(root, runs)
    old, stayed = [], dict.fromkeys(reasons, 0)
    for run in runs:
        if run.as_of >= runs[0].as_of - days * DAY_US:
            continue
        why = next((reason for reason, applies in reasons.items() if applies(run)), None)
        if why is None:
            old.append(run.folder)
        else:
            stayed[why] += 1
    return old, {reason: count for reason, count in stayed.items() if count}


def _reasons(root: Path, runs: list[FormerRun]) -> dict[str, Callable[[FormerRun], bool]]:
    """Why a run stays, and whether that holds for one."""
    latest = _latest(root)
    compared = _compared_with(latest, runs[0].folder)
    campaigns, judged = _campaign_instants(), _judged_runs()
    page = next((run.folder for run in runs if run.folder.joinpath(*PAGE).is_file()), None)
    return {
        NEWEST: lambda run: run.folder == latest,
        COMPARED: lambda run: run.id in compared,
        CAMPAIGN: lambda run: run.as_of in campaigns,
        NOT_JUDGED: lambda run: judged is not None and run.id not in judged,
        PAGE_SHOWN: lambda run: run.folder == page,
    }


def _latest(root: Path) -> Path | None:
    try:
        return latest_run.read_latest(root)[1]
    except (OSError, ValueError):
        return None


def _compared_with(*folders: Path | None) -> set[str]:
    """The runs with which the newest ones were compared: the next one needs such runs, too."""
    ids = set()
    for folder in folders:
        about = run_manifest.read_about(folder) if folder else None
        section = (about or {}).get("shift") or {}
        ids |= {str(each.get("run")) for each in section.get("compared_with", ())}
    return ids


def _campaign_instants() -> set[int]:
    instants = set()
    for path in campaigns_folder().glob(f"campaign=*/{MANIFEST}"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            instants.add(int(json.loads(path.read_bytes())["as_of"]))
    return instants


def _judged_runs() -> set[str] | None:
    """The runs that monitor has judged; None where nobody monitors. A damaged line judges none."""
    path = home().joinpath(*REALISED)
    if not path.is_file():
        return None
    judged = set()
    for line in path.read_bytes().splitlines():
        with contextlib.suppress(ValueError, KeyError, TypeError):
            judged.add(str(json.loads(line)["run"]))
    return judged


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _remove(root: Path, folder: Path) -> None:
    """By one rename, so that nobody sees a part of it; what a kill leaves is swept later."""
    with staging_folder(root) as staged:
        os.replace(folder, staged / "pruned")
        flush(folder.parent)
    with contextlib.suppress(OSError):  # other runs of the day are there
        folder.parent.rmdir()


@contextlib.contextmanager
def _store_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreFailed(
            where="scores/",
            got=error.strerror or "a folder that cannot be removed",
            rule="scores/ under LIFECYCLE_HOME must be writable.",
            fix="Correct the rights of the folder, and type the command again.",
        ) from error
