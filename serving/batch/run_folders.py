"""The nightly job: scores of everybody at one instant, in a folder that is whole or not there.

`scores/as_of=<date>/run=<id>/`: scores.parquet, features.parquet, base.parquet, history/, manifest.json; staged,
hashed, renamed once; then LATEST, which moves only forward in as_of. The run id hashes Known(as_of), configuration,
release and whether as_of passes data_until: a re-run is a no-op, and rows recorded later do not change it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.core.contract import CONTRACT
from features.core.errors import ArchetypeRefused, EmptyTable, ReleaseRefused, StoreFailed
from features.core.instants import day_text
from features.core.settings import Settings, home
from features.engine.build import build, prospects
from features.recipes.population_stats import PopulationStats, population_stats
from features.tables.history import History, Known, refuse_too_late
from serving.release.release import Release, hashes
from serving.release.score_table import REFUSED_ARCHETYPES, score_table


@dataclass(frozen=True)
class Run:
    """One finished batch run; `fresh` is False where it was there already."""

    folder: Path
    id: str
    as_of: int
    rows: int
    fresh: bool


def score(history: History, settings: Settings, release: Release, *, as_of: int) -> Run:
    """Score everybody known at `as_of`; errors: AsOfTooLate, ReleaseRefused, StoreFailed. Nothing is half written."""
    stale = refuse_too_late(history, settings, as_of)
    refuse_other_configuration(release, settings)
    known = history.as_of(as_of)
    tables = {name: ordered(known, name) for name in known.tables}
    name = run_id(known, tables, settings, release, stale=stale)
    root = home() / "scores"
    folder = root / f"as_of={day_text(as_of, zone=settings.zone)}" / f"run={name}"
    if (folder / "manifest.json").is_file():
        rows = pq.read_metadata(folder / "scores.parquet").num_rows
        _point(root, folder, as_of)
        return Run(folder, name, as_of, rows, fresh=False)
    base = population_stats(known, release.scorer.definitions)
    rows = build(known, base=base, definitions=release.scorer.definitions, columns=release.columns)
    scores = score_table(rows, release, extra=prospects(known), as_of=as_of, stale=stale)
    if not scores.num_rows:
        raise EmptyTable(
            where="--as-of",
            got=f"nobody known before {day_text(as_of, zone=settings.zone)}",
            rule="An empty selection is not success.",
            fix="Name a later as_of.",
        )
    _write(
        folder, {"scores": scores, "features": rows}, tables, base, name, release, as_of, settings
    )
    _point(root, folder, as_of)
    return Run(folder, name, as_of, scores.num_rows, fresh=True)


def refuse_other_configuration(release: Release, settings: Settings) -> None:
    now, then = settings.definitions(), release.made_for
    differs = sorted(key for key in {*now, *then} if now.get(key) != then.get(key))
    if differs:
        raise ReleaseRefused(
            where=f"release {release.id}",
            got=f"a configuration that differs in {', '.join(differs)}",
            rule="A release scores under the configuration it was trained for.",
            fix="Train again with this configuration, or restore the former one.",
        )


def ordered(known: Known, name: str) -> pa.Table:
    """One known table in canonical order."""
    names = list(CONTRACT[name].names)
    return known.tables[name].sort(*names).collect(backend="pyarrow").to_native().combine_chunks()


def run_id(
    known: Known, tables: dict[str, pa.Table], settings: Settings, release: Release, *, stale: bool
) -> str:
    """16 hex digits over what was known, the configuration, the release and staleness."""
    digest = hashlib.sha256()
    for name, table in sorted(tables.items()):
        digest.update(name.encode())
        for column in table.column_names:
            digest.update(column.encode() + column_bytes(table[column]))
    people = known.customers.sort("customer_id").collect(backend="pyarrow").to_native()
    digest.update(column_bytes(people["customer_id"]))
    stated = json.dumps([settings.definitions(), release.id, known.as_of, stale], sort_keys=True)
    return hashlib.sha256(digest.digest() + stated.encode()).hexdigest()[:16]


def column_bytes(column: pa.ChunkedArray) -> bytes:
    """The values of a column as bytes that do not depend on chunks or on what lies under nulls."""
    import pyarrow.compute as pc

    null = np.packbits(pc.is_null(column).to_numpy()).tobytes()
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        text = pc.fill_null(column, "")
        lengths = pc.binary_length(text).to_numpy().astype(np.int64).tobytes()
        return null + lengths + "".join(text.to_pylist()).encode()
    filled = pc.fill_null(column, False if pa.types.is_boolean(kind) else 0)
    return null + np.ascontiguousarray(filled.to_numpy()).tobytes()


def _write(
    folder,
    outputs,
    tables,
    base: PopulationStats,
    name: str,
    release: Release,
    as_of: int,
    settings: Settings,
) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        staged = Path(tempfile.mkdtemp(prefix=".staged-", dir=folder.parent))
    except OSError as error:
        raise _store(error) from error
    try:
        for file, table in outputs.items():
            pq.write_table(table, staged / f"{file}.parquet")
        pq.write_table(pa.Table.from_pylist([asdict(base)]), staged / "base.parquet")
        (staged / "history").mkdir()
        for file, table in tables.items():
            pq.write_table(table, staged / "history" / f"{file}.parquet")
        about = {
            "run": name,
            "as_of": as_of,
            "as_of_text": day_text(as_of, zone=settings.zone),
            "release": release.id,
            "status": release.scorer.status,
            "rows": outputs["scores"].num_rows,
            "files": hashes(staged),
        }
        (staged / "manifest.json").write_text(json.dumps(about, indent=1, sort_keys=True) + "\n")
        os.replace(staged, folder)
    except OSError as error:
        raise _store(error) from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _store(error: OSError) -> StoreFailed:
    return StoreFailed(
        where="scores/",
        got=error.strerror or "a write that failed",
        rule="scores/ under LIFECYCLE_HOME must be writable, with room.",
        fix="Free space or rights, or set LIFECYCLE_HOME; run again, nothing half-written is left.",
    )


def _point(root: Path, folder: Path, as_of: int) -> None:
    """LATEST names the run with the newest as_of; an older one never takes its place."""
    pointer = root / "LATEST"
    if pointer.is_file():
        try:
            if json.loads(pointer.read_text())["as_of"] > as_of:
                return
        except (ValueError, KeyError, TypeError):
            pass  # an unreadable pointer is replaced
    value: dict[str, Any] = {"as_of": as_of, "folder": folder.relative_to(root).as_posix()}
    staged = root / f".LATEST-{os.getpid()}"
    staged.write_text(json.dumps(value) + "\n")
    os.replace(staged, pointer)


def refuse_archetype(settings: Settings) -> None:
    """ArchetypeRefused where retention has no meaning."""
    if settings.business.archetype in REFUSED_ARCHETYPES:
        raise ArchetypeRefused(
            where="[business] archetype",
            got=settings.business.archetype,
            rule="Where customers buy once, staying has no meaning and nothing is scored.",
            fix="State another archetype if customers do come back.",
        )
