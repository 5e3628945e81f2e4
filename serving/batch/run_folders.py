"""The batch job: scores of all customers at one instant, in a folder that is whole or absent.

`scores/as_of=<date>/run=<id>/`: scores.parquet, features.parquet, population.parquet, history/,
manifest.json; staged, hashed, renamed once. Then LATEST is updated, which only moves forward in
as_of. The run id hashes Known(as_of), the configuration, the release and whether as_of is stale: to
run again only checks the hashes, and rows that are recorded later do not change it. A damaged
folder is replaced by one with the same bytes as before the damage.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.core import latest_run
from features.core.contract import ALL_TABLES
from features.core.errors import ArchetypeRefused, EmptyTable, ReleaseRefused, StoreFailed
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
from features.engine.build import build, prospects
from features.engine.business_columns import feature_tables
from features.engine.consent import with_consent
from features.recipes.population_stats import population_stats
from features.tables.currencies import refuse_several_currencies
from features.tables.freshness import stale_tables
from features.tables.history import History, Known, refuse_too_late
from serving.batch import run_manifest, shift
from serving.batch.writers import with_datetimes
from serving.release.release import Release
from serving.release.score_table import CANCELLED, REFUSED_ARCHETYPES, WITHOUT, score_table
from serving.release.seen_future import refuse_backfill_release, refuse_in_sample

# Rows of the history that are read together: few, so that one customer is read quickly.
GROUP_ROWS = 16_384


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
    history = with_consent(history, settings, "score", at=as_of)
    known = history.as_of(as_of)
    tables = known_tables(history, known, settings)
    day = day_text(as_of, zone=settings.zone)
    about: dict[str, Any] = {
        "run": run_id(
            known, tables, settings, release, stale=stale, missing=missing, in_sample=seen
        ),
        "as_of": as_of,
        "as_of_text": day,
        "release": release.id,
        "status": release.scorer.status,
        "without": missing,
        "in_sample": seen,
        "backfill": backfill,
        "configuration": shift.configuration_digest(settings),
    }
    root = home() / "scores"
    folder = root / f"as_of={day}" / f"run={about['run']}"
    if os.path.lexists(folder.parent) and not folder.parent.is_dir():
        raise _in_the_way(folder.parent, "no folder", "The runs of one as_of are in a folder.")
    with _store_errors(), lock_folder(root, "score"):
        refuse_forgotten_since(history.forgotten)
        about["shift"] = (run_manifest.read_about(folder) or {}).get("shift")
        fresh = not _is_finished(folder, about, list(tables))
        if fresh:
            outputs = _build_outputs(
                known, settings, release, as_of=as_of, stale=stale, missing=missing
            )
            # A damaged run that was accepted once is accepted again.
            reason = reason or (about["shift"] or {}).get("accepted")
            judged = shift.Judgement(shift.NOT_PUBLISHED)
            if not (seen or backfill):
                judged = shift.judge_run(root, outputs["scores"], release, settings, as_of=as_of)
            about["shift"] = judged.section
            waiting = root / shift.FOLDER / folder.relative_to(root)
            if judged.problems and reason is None:
                _write_run(waiting, outputs, tables, about)
                raise shift.not_published_error(judged, waiting, settings, as_of=as_of)
            if judged.problems:
                about["shift"] = {**judged.section, "accepted": reason}
            _write_run(folder, outputs, tables, about)
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


def _build_outputs(
    known: Known,
    settings: Settings,
    release: Release,
    *,
    as_of: int,
    stale: bool,
    missing: Collection[str],
) -> dict[str, pa.Table]:
    """The run's tables by file name: scores, features and population."""
    definitions = release.scorer.definitions
    population = population_stats(known, definitions)
    rows = build(known, population=population, definitions=definitions, columns=release.columns)
    others = prospects(known, contractual=definitions.contractual)
    scores = score_table(rows, release, prospects=others, as_of=as_of, stale=stale, missing=missing)
    if not scores.num_rows:
        raise EmptyTable(
            where="--as-of",
            got=f"no customer known before {day_text(as_of, zone=settings.zone)}",
            rule="A run scores at least one customer.",
            fix="Give a later --as-of.",
        )
    return {
        "scores": with_datetimes(scores),
        "features": with_datetimes(rows),
        "population": pa.Table.from_pylist([asdict(population)]),
    }


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


def known_tables(history: History, known: Known, settings: Settings) -> dict[str, pa.Table]:
    """What scores are made of, by table: treatments too, where they are features."""
    return {name: sort_known_table(known, name) for name in feature_tables(history, settings)}


def sort_known_table(known: Known, name: str) -> pa.Table:
    """One known table, sorted by all its columns."""
    names = list(ALL_TABLES[name].names)
    rows = known.tables[name] if name in known.tables else known.switched[name]
    return rows.sort(*names).collect(backend="pyarrow").to_native().combine_chunks()


def run_id(
    known: Known,
    tables: dict[str, pa.Table],
    settings: Settings,
    release: Release,
    *,
    stale: bool,
    missing: Collection[str] = (),
    in_sample: bool = False,
) -> str:
    """16 hex digits over what was known, configuration, release, stale tables and in sample."""
    digest = hashlib.sha256()
    for name, table in sorted(tables.items()):
        # Names too: equal values under another name are other data.
        digest.update(name.encode())
        for column in table.column_names:
            digest.update(column.encode() + column_bytes(table[column]))
    customers = known.customers.sort("customer_id").collect(backend="pyarrow").to_native()
    digest.update(column_bytes(customers["customer_id"]))
    state = [settings.definitions(), release.id, known.as_of, stale, list(missing), in_sample]
    context = json.dumps(state, sort_keys=True)
    return hashlib.sha256(digest.digest() + context.encode()).hexdigest()[:16]


def column_bytes(column: pa.ChunkedArray) -> bytes:
    """The values of a column as bytes that depend neither on chunks nor on values under nulls."""
    null = np.packbits(pc.is_null(column).to_numpy()).tobytes()
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        text = pc.fill_null(column, "")
        lengths = pc.binary_length(text).to_numpy().astype(np.int64).tobytes()
        return null + lengths + "".join(text.to_pylist()).encode()
    # Values under nulls are arbitrary, so they are set to one value.
    filled = pc.fill_null(column, False if pa.types.is_boolean(kind) else 0)
    return null + np.ascontiguousarray(filled.to_numpy()).tobytes()


def _write_run(
    folder: Path, outputs: dict[str, pa.Table], tables: dict[str, pa.Table], about: dict[str, Any]
) -> None:
    """Write the run folder at once; a damaged one is replaced."""
    # Staged in scores/ itself, where the next job finds what a killed one left, for any as_of.
    folder.parent.parent.mkdir(exist_ok=True)
    with staging_folder(folder.parent.parent) as staged:
        for name, table in outputs.items():
            pq.write_table(table, staged / f"{name}.parquet")
        (staged / "history").mkdir()
        for name, table in tables.items():
            pq.write_table(table, staged / "history" / f"{name}.parquet", row_group_size=GROUP_ROWS)
        text = run_manifest.manifest_text(staged, about, list(tables))
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
