"""The batch job: scores of all customers at one instant, in a folder that is whole or absent.

`scores/as_of=<date>/run=<id>/`: scores.parquet, features.parquet, population.parquet, history/,
manifest.json; staged, hashed, renamed once. Then LATEST is updated, which only moves forward in
as_of. The run id hashes Known(as_of), the configuration, the release and whether as_of is stale: to
run again does nothing, and rows that are recorded later do not change it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.core.contract import CONTRACT
from features.core.errors import ArchetypeRefused, EmptyTable, ReleaseRefused, StoreFailed
from features.core.instants import day_text
from features.core.settings import Settings, home
from features.core.staged_files import staged_file, staged_folder
from features.engine.build import build, prospects
from features.recipes.population_stats import population_stats
from features.tables.history import History, Known, refuse_too_late
from serving.batch.writers import with_datetimes
from serving.release.release import Release, hash_files
from serving.release.score_table import REFUSED_ARCHETYPES, score_table


@dataclass(frozen=True)
class BatchRun:
    """One finished run: `as_of` in µs UTC, `rows` customers; `fresh` is False if it existed."""

    folder: Path
    id: str
    as_of: int
    rows: int
    fresh: bool


def score_batch(history: History, settings: Settings, release: Release, *, as_of: int) -> BatchRun:
    """Score all customers known at `as_of` (µs UTC) and write the run folder.

    AsOfTooLate, ReleaseRefused for another configuration, EmptyTable where nobody is known,
    StoreFailed; after an error no part of a folder is left.
    """
    stale = refuse_too_late(history, settings, as_of)
    refuse_other_configuration(release, settings)
    known = history.as_of(as_of)
    tables = {name: sort_known_table(known, name) for name in known.tables}
    name = run_id(known, tables, settings, release, stale=stale)
    root = home() / "scores"
    folder = root / f"as_of={day_text(as_of, zone=settings.zone)}" / f"run={name}"
    # The manifest is written last inside the staged folder, so with it the run is whole.
    fresh = not (folder / "manifest.json").is_file()
    if fresh:
        outputs = _build_outputs(known, settings, release, as_of=as_of, stale=stale)
        manifest = {
            "run": name,
            "as_of": as_of,
            "as_of_text": day_text(as_of, zone=settings.zone),
            "release": release.id,
            "status": release.scorer.status,
            "rows": outputs["scores"].num_rows,
        }
        _write_run(folder, outputs, tables, manifest)
    _update_latest(root, folder, as_of)
    rows = pq.read_metadata(folder / "scores.parquet").num_rows
    return BatchRun(folder, name, as_of, rows, fresh=fresh)


def _build_outputs(
    known: Known, settings: Settings, release: Release, *, as_of: int, stale: bool
) -> dict[str, pa.Table]:
    """The run's tables by file name: scores, features and population."""
    definitions = release.scorer.definitions
    population = population_stats(known, definitions)
    rows = build(known, population=population, definitions=definitions, columns=release.columns)
    scores = score_table(rows, release, prospects=prospects(known), as_of=as_of, stale=stale)
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


def sort_known_table(known: Known, name: str) -> pa.Table:
    """One known table, sorted by all its columns."""
    names = list(CONTRACT[name].names)
    return known.tables[name].sort(*names).collect(backend="pyarrow").to_native().combine_chunks()


def run_id(
    known: Known, tables: dict[str, pa.Table], settings: Settings, release: Release, *, stale: bool
) -> str:
    """16 hex digits over what was known, the configuration, the release and staleness."""
    digest = hashlib.sha256()
    for name, table in sorted(tables.items()):
        # Names too: equal values under another name are other data.
        digest.update(name.encode())
        for column in table.column_names:
            digest.update(column.encode() + column_bytes(table[column]))
    customers = known.customers.sort("customer_id").collect(backend="pyarrow").to_native()
    digest.update(column_bytes(customers["customer_id"]))
    context = json.dumps([settings.definitions(), release.id, known.as_of, stale], sort_keys=True)
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
    folder: Path,
    outputs: dict[str, pa.Table],
    tables: dict[str, pa.Table],
    manifest: dict[str, Any],
) -> None:
    """Write the run folder at once; the hashes of its files are added to the manifest."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with staged_folder(folder) as staged:
            for name, table in outputs.items():
                pq.write_table(table, staged / f"{name}.parquet")
            (staged / "history").mkdir()
            for name, table in tables.items():
                pq.write_table(table, staged / "history" / f"{name}.parquet")
            content = manifest | {"files": hash_files(staged)}
            text = json.dumps(content, indent=1, sort_keys=True)
            (staged / "manifest.json").write_text(text + "\n")
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
    pointer = root / "LATEST"
    if pointer.is_file():
        try:
            if json.loads(pointer.read_text())["as_of"] > as_of:
                return
        except (ValueError, KeyError, TypeError):
            pass  # an unreadable pointer is replaced
    value: dict[str, Any] = {"as_of": as_of, "folder": folder.relative_to(root).as_posix()}
    with staged_file(pointer) as staged:
        staged.write_text(json.dumps(value) + "\n")


def refuse_archetype(settings: Settings) -> None:
    """ArchetypeRefused where customers buy once and retention has no meaning."""
    if settings.business.archetype in REFUSED_ARCHETYPES:
        raise ArchetypeRefused(
            where="[business] archetype",
            got=settings.business.archetype,
            rule="Where customers buy once, retention has no meaning and nothing is scored.",
            fix="If customers do come back, set another archetype under [business].",
        )
