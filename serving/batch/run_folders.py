"""The batch job: scores of all customers at one instant, in a folder that is whole or absent.

`scores/as_of=<date>/run=<id>/`: scores.parquet, features.parquet, population.parquet, history/,
manifest.json; staged, hashed, renamed once. Then LATEST is updated, which only moves forward in
as_of. The run id hashes Known(as_of), the configuration, the release and whether as_of is stale: to
run again only checks the hashes, and rows that are recorded later do not change it. A damaged
folder is replaced by one with the same bytes as before the damage.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.core import latest_run
from features.core.errors import ArchetypeRefused, ReleaseRefused, StoreFailed
from features.core.folder_lock import lock_folder
from features.core.forgotten import refuse_forgotten_since
from features.core.instants import day_text
from features.core.language import say
from features.core.progress import print_status
from features.core.settings import Settings, home
from features.core.staged_files import (
    flush,
    flush_folder,
    replace_folder,
    staged_file,
    staging_folder,
)
from features.engine.consent import with_consent
from features.tables.currencies import refuse_several_currencies
from features.tables.freshness import stale_tables
from features.tables.history import History, refuse_too_late
from serving.batch import run_manifest, shift
from serving.batch.known_rows import run_id
from serving.batch.run_content import Content, Scoring, WholeContent
from serving.batch.shared_content import SharedContent
from serving.release.release import Release
from serving.release.score_table import CANCELLED, REFUSED_ARCHETYPES, WITHOUT
from serving.release.seen_future import refuse_backfill_release, refuse_in_sample


@dataclass(frozen=True)
class BatchRun:
    """One finished run: `as_of` in µs UTC, `rows` customers.

    `fresh` is False if the run existed and was whole. `cancelled`: customers with running cover who
    have cancelled, so whom nothing keeps from cancelling. `warnings`: how a first run lies further
    from the newest training date than neighbouring training dates lie apart.
    """

    folder: Path
    id: str
    as_of: int
    rows: int
    fresh: bool
    cancelled: int
    warnings: tuple[str, ...] = ()


def score_batch(
    history: History,
    settings: Settings,
    release: Release,
    *,
    as_of: int,
    in_sample: bool = False,
    backfill: bool = False,
    accept_shift: str | None = None,
) -> BatchRun:
    """Score all customers known at `as_of` (µs UTC) and write the run folder.

    Where [consent] score needs it, only those who consented; the others are in no file of the run.

    `in_sample`: also where the release has learned the outcomes of as_of; every row and the
    manifest say so then. `backfill`: a past run by a release of its day. LATEST never names a run
    of either kind.
    `accept_shift`: the reason to publish a run that moved further from the former ones than any two
    training dates did; without it such a run waits beside, and RunNotPublished says where.
    AsOfTooLate, AsOfInSample, FeedSilent, ReleaseRefused for another configuration, EmptyTable
    where nobody is known, StoreFailed; after an error no part of a folder is left.
    """
    reason = shift.check_reason(accept_shift)
    refuse_several_currencies(history)
    stale = refuse_too_late(history, settings, as_of)
    if not backfill:
        refuse_backfill_release(release.seen, release.id)
    seen = refuse_in_sample(release.seen, [as_of], zone=settings.zone, allow=in_sample)
    refuse_other_configuration(release, settings)
    missing = sorted(stale_tables(history, settings, as_of))
    scoring = Scoring(settings, release, as_of, stale, tuple(missing))
    about: dict[str, Any] = {
        "as_of": as_of,
        "as_of_text": day_text(as_of, zone=settings.zone),
        "release": release.id,
        "status": release.scorer.status,
        "without": missing,
        "in_sample": seen,
        "backfill": backfill,
        "configuration": shift.configuration_digest(settings),
    }
    root = home() / "scores"
    parent = root / f"as_of={about['as_of_text']}"
    if os.path.lexists(parent) and not parent.is_dir():
        raise _in_the_way(parent, "no folder", "The runs of one as_of are in a folder.")
    with _store_errors(), lock_folder(root, "score"), _content(history, scoring, root) as content:
        refuse_forgotten_since(history.forgotten)
        about["run"] = run_id(
            content.tables,
            content.ids,
            settings,
            release,
            as_of=as_of,
            stale=stale,
            missing=missing,
            in_sample=seen,
        )
        folder = parent / f"run={about['run']}"
        about["shift"] = (run_manifest.read_about(folder) or {}).get("shift")
        fresh = not _is_finished(folder, about, list(content.tables))
        if fresh:
            # A damaged run that was accepted once is accepted again.
            reason = reason or (about["shift"] or {}).get("accepted")
            judged = shift.Judgement(shift.NOT_PUBLISHED)
            if not (seen or backfill):
                judged = shift.judge_run(root, content.scores(), release, settings, as_of=as_of)
            about["shift"] = judged.section
            waiting = root / shift.FOLDER / folder.relative_to(root)
            if judged.problems and reason is None:
                _write_run(waiting, content, about)
                raise shift.not_published_error(judged, waiting, settings, as_of=as_of)
            if judged.problems:
                about["shift"] = {**judged.section, "accepted": reason}
            _write_run(folder, content, about)
            shutil.rmtree(waiting, ignore_errors=True)
        if not (seen or backfill):
            _update_latest(root, folder, as_of)
    rows = pq.read_metadata(folder / "scores.parquet").num_rows
    return BatchRun(
        folder,
        str(about["run"]),
        as_of,
        rows,
        fresh=fresh,
        cancelled=_count_cancelled(folder),
        warnings=tuple((about["shift"] or {}).get("warnings", ())),
    )


def _count_cancelled(folder: Path) -> int:
    return _count_warnings(folder)[CANCELLED]


def _count_warnings(folder: Path) -> Counter[str]:
    warnings = pq.read_table(folder / "scores.parquet", columns=["warnings"])["warnings"]
    return Counter(pc.list_flatten(warnings).to_pylist())


def _is_finished(folder: Path, about: dict[str, Any], tables: list[str]) -> bool:
    """Whether the run folder is there and whole; a damaged one is reported."""
    if run_manifest.is_whole(folder, about, tables):
        return True
    if os.path.lexists(folder):
        name = f"scores/{folder.parent.name}/{folder.name}"
        print_status(say("{name} is damaged; it is computed again and replaced", name=name))
    return False


@contextlib.contextmanager
def _content(history: History, scoring: Scoring, root: Path) -> Iterator[Content]:
    """What the run is made of; of a history in shares in a folder that the block alone has."""
    if history.shares:
        with staging_folder(root, prefix=".parts-") as place:
            yield SharedContent(history, scoring, place)
    else:
        history = with_consent(history, scoring.settings, "score", at=scoring.as_of)
        yield WholeContent(history.as_of(scoring.as_of), scoring)


def refuse_other_configuration(release: Release, settings: Settings) -> None:
    """ReleaseRefused where the settings differ from those of the training."""
    current, trained = settings.definitions(), release.config
    names = sorted({*current, *trained})
    differs = [name for name in names if current.get(name) != trained.get(name)]
    if differs:
        raise ReleaseRefused(
            where=f"release {release.id}",
            got=f"a configuration that differs in {', '.join(differs)}",
            rule="A release scores under the configuration it was trained with.",
            fix="Train again with this configuration, or restore the one of the training.",
        )


def _write_run(folder: Path, content: Content, about: dict[str, Any]) -> None:
    """Write the run folder at once; a damaged one is replaced."""
    # Staged in scores/ itself, where the next job finds what a killed one left, for any as_of.
    folder.parent.parent.mkdir(exist_ok=True)
    names = list(content.tables)
    with staging_folder(folder.parent.parent) as staged:
        content.write(staged)
        text = run_manifest.manifest_text(staged, about, names)
        (staged / run_manifest.FILE).write_text(text, encoding="utf-8")
        # On the disk before it has its name: after a power failure a run is whole or absent.
        flush_folder(staged)
        folder.parent.mkdir(exist_ok=True)
        replace_folder(staged, folder)
        flush(folder.parent)
        flush(folder.parent.parent)


@contextlib.contextmanager
def _store_errors() -> Iterator[None]:
    """StoreFailed instead of an OSError of the block."""
    try:
        yield
    except OSError as error:
        raise StoreFailed(
            where="scores/",
            got=error.strerror or "a write that failed",
            rule="scores/ under LIFECYCLE_HOME must be writable, with free space.",
            fix="Free disk space, correct the folder's rights, or set LIFECYCLE_HOME; run again. "
            "Nothing half-written is left.",
        ) from error


def _update_latest(root: Path, folder: Path, as_of: int) -> None:
    """Let LATEST name this run; a run with an older as_of never replaces a newer one."""
    newest = _latest_as_of(root)
    if newest is None:
        # Of runs with the same as_of, this one.
        runs = [*_stored_runs(root), (as_of, folder)]
        newest, named = max(runs, key=lambda run: (run[0], run[1] == folder))
        if named != folder:
            where = f"scores/{named.parent.name}"
            print_status(say("LATEST named no run; now it names the newest, {run}", run=where))
        _write_latest(root, named, newest)
    elif newest <= as_of:
        _write_latest(root, folder, as_of)


def _latest_as_of(root: Path) -> int | None:
    """The as_of of the run that LATEST names; None where it names no run of its as_of."""
    try:
        as_of, folder = latest_run.read_latest(root)
        return as_of if run_manifest.read_as_of(folder) == as_of else None
    except (OSError, ValueError):
        return None


def _stored_runs(root: Path) -> list[tuple[int, Path]]:
    """(as_of, folder) of every run whose manifest can be read."""
    folders = [path.parent for path in sorted(root.glob(f"as_of=*/run=*/{run_manifest.FILE}"))]
    folders = [folder for folder in folders if run_manifest.may_be_latest(folder)]
    runs = [(run_manifest.read_as_of(folder), folder) for folder in folders]
    return [(as_of, folder) for as_of, folder in runs if as_of is not None]


def _write_latest(root: Path, folder: Path, as_of: int) -> None:
    if (root / latest_run.FILE).is_dir():
        raise _in_the_way(root / latest_run.FILE, "a folder", "LATEST is a file.")
    text = latest_run.latest_text(as_of, folder, root)
    # A run that is there already changes no file, so that a service does not load it again.
    if not _has_text(root / latest_run.FILE, text):
        with staged_file(root / latest_run.FILE) as staged:
            staged.write_text(text)
            flush(staged)
        flush(root)


def _has_text(path: Path, text: str) -> bool:
    try:
        # To open a pipe would wait for a writer.
        return path.is_file() and path.read_bytes() == text.encode()
    except OSError:
        return False


def _in_the_way(path: Path, got: str, rule: str) -> StoreFailed:
    """The error for something else at the place of a file or a folder of scores/."""
    return StoreFailed(
        where=f"scores/{path.name}",
        got=got,
        rule=rule,
        fix=f"Remove scores/{path.name} under LIFECYCLE_HOME, and run again.",
    )


def refuse_archetype(settings: Settings) -> None:
    """ArchetypeRefused where customers buy once and retention has no meaning."""
    if settings.business.archetype in REFUSED_ARCHETYPES:
        raise ArchetypeRefused(
            where="[business] archetype",
            got=settings.business.archetype,
            rule="Where customers buy once, retention has no meaning and nothing is scored.",
            fix="If customers do come back, set another archetype under [business].",
        )


def silent_tables(folder: Path) -> dict[str, int]:
    """How many customers of a run were scored without each table that had fallen silent."""
    return {
        mark.removeprefix(WITHOUT): count
        for mark, count in _count_warnings(folder).items()
        if mark.startswith(WITHOUT)
    }
