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

from features.base import Base, measure
from features.contract import CONTRACT
from features.errors import ArchetypeRefused, EmptyTable, ReleaseRefused, StoreFailed
from features.history import History, Known, refuse_too_late
from features.settings import Settings, day_text, home
from features.stages import STAGES
from features.table import build, prospects
from serving.conformal import named
from serving.evidence import GRADES, grades
from serving.reasons import REASONS, reasons
from serving.release import Release, hashes

REFUSED_ARCHETYPES = ("one-off",)


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
    base = measure(known, release.scorer.definitions)
    rows = build(known, base=base, definitions=release.scorer.definitions, columns=release.columns)
    scores = score_table(rows, release, extra=prospects(known), as_of=as_of, stale=stale)
    if not scores.num_rows:
        raise EmptyTable(where="--as-of", got=f"nobody known before {day_text(as_of, zone=settings.zone)}",
                         rule="An empty selection is not success.", fix="Name a later as_of.")  # fmt: skip
    _write(folder, {"scores": scores, "features": rows}, tables, base, name, release, as_of, settings)
    _point(root, folder, as_of)
    return Run(folder, name, as_of, scores.num_rows, fresh=True)


def refuse_other_configuration(release: Release, settings: Settings) -> None:
    now, then = settings.definitions(), release.made_for
    differs = sorted(key for key in {*now, *then} if now.get(key) != then.get(key))
    if differs:
        raise ReleaseRefused(where=f"release {release.id}", got=f"a configuration that differs in {', '.join(differs)}",
                             rule="A release scores under the configuration it was trained for.",
                             fix="Train again with this configuration, or restore the former one.")  # fmt: skip


def score_table(rows: pa.Table, release: Release, *, extra: list[str], as_of: int, stale: bool) -> pa.Table:
    """The score columns of the architecture, by customer_id; `extra` are prospects: a stage, and null scores."""
    refused = release.made_for["business"]["archetype"] in REFUSED_ARCHETYPES
    p, p_next = release.scorer.score(rows)
    if refused:
        p, p_next = np.full(len(p), np.nan), np.full(p_next.shape, np.nan)
    why = [[None] * REASONS] * rows.num_rows if refused else reasons(release.scorer, rows, release.columns)
    sure = _sureness(rows, release, p, p_next)
    scored = {
        "customer_id": rows["customer_id"].to_pylist() + extra,
        "as_of": [as_of] * (rows.num_rows + len(extra)),
        "horizon_days": [release.scorer.definitions.horizon_days] * (rows.num_rows + len(extra)),
        "eligible": rows["eligible"].to_pylist() + [False] * len(extra),
        "stage": rows["stage"].to_pylist() + ["prospect"] * len(extra),
        "stage_rule": rows["stage_rule"].to_pylist() + [2] * len(extra),
        "p_churn": _nullable(p, len(extra)),
        **{name: sure[name] + [None] * len(extra) for name in ("p_churn_low", "p_churn_high", "evidence")},
        "stage_if_inactive": rows["stage_if_inactive"].to_pylist() + [None] * len(extra),
    }
    scored |= {f"p_next_{stage}": _nullable(p_next[:, k], len(extra)) for k, stage in enumerate(STAGES)}
    scored["next_stages"] = sure["next_stages"] + [None] * len(extra)
    scored |= {f"reason_{k + 1}": [w[k] for w in why] + [None] * len(extra) for k in range(REASONS)}
    scored["warnings"] = _warnings(rows, release, stale) + [["prospect:no_activity_yet"]] * len(extra)
    scored["release_id"] = [release.id] * (rows.num_rows + len(extra))
    return pa.table({name: pa.array(values, type=SCORE_TYPES.get(name)) for name, values in scored.items()}).sort_by(
        "customer_id"
    )


SCORE_TYPES = {
    "as_of": pa.int64(), "horizon_days": pa.int64(), "stage_rule": pa.int64(), "eligible": pa.bool_(),
    **dict.fromkeys(("p_churn", "p_churn_low", "p_churn_high"), pa.float64()),
    **dict.fromkeys(("evidence", "next_stages"), pa.string()),
    "stage": pa.string(), "stage_if_inactive": pa.string(), "warnings": pa.list_(pa.string()), "customer_id": pa.string(),
    **{f"p_next_{stage}": pa.float64() for stage in STAGES}, **{f"reason_{k + 1}": pa.string() for k in range(REASONS)},
}  # fmt: skip


def _sureness(rows: pa.Table, release: Release, p: np.ndarray, p_next: np.ndarray) -> dict[str, list[Any]]:
    """How sure the scores are, a list a column: null where there is no score, or nothing to measure it by."""
    scorer, scored = release.scorer, ~np.isnan(p)
    empty: list[Any] = [None] * len(p)
    out = dict.fromkeys(("p_churn_low", "p_churn_high", "evidence", "next_stages"), empty)
    if not scored.all():
        return out
    grade = grades(rows, scorer.definitions)
    out["evidence"] = [GRADES[number] for number in grade]
    if scorer.spread is not None:
        out["p_churn_low"], out["p_churn_high"] = (side.tolist() for side in scorer.spread.interval(p, grade))
    if scorer.sets is not None:
        out["next_stages"] = named(scorer.sets.sets(p_next, rows["eligible"].to_numpy()))
    return out


def _nullable(values: np.ndarray, extra: int) -> list[float | None]:
    return [None if np.isnan(v) else float(v) for v in values] + [None] * extra


def _warnings(rows: pa.Table, release: Release, stale: bool) -> list[list[str]]:
    archetype, at_most = release.made_for["business"]["archetype"], release.made_for["contract"]["max_staleness_days"]
    everybody = [f"as_of_after_data_until:{at_most}d_at_most"] if stale else []
    if release.scorer.status != "ok":
        everybody.append(release.scorer.status)
    if archetype in REFUSED_ARCHETYPES:
        everybody.append(f"archetype_refused:{archetype}")
    if release.scorer.definitions.contractual:
        why = "ineligible:no_running_cover"
    else:
        why = f"ineligible:no_activity_in_{release.scorer.definitions.eligible_days}_days"
    rates = [[f"rate_of:{level}"] if level else [] for level in release.scorer.rate_of(rows)]
    return [
        everybody + rate + ([] if eligible else [why])
        for rate, eligible in zip(rates, rows["eligible"].to_pylist(), strict=True)
    ]


def ordered(known: Known, name: str) -> pa.Table:
    """One known table in canonical order."""
    names = list(CONTRACT[name].names)
    return known.tables[name].sort(*names).collect(backend="pyarrow").to_native().combine_chunks()


def run_id(known: Known, tables: dict[str, pa.Table], settings: Settings, release: Release, *, stale: bool) -> str:
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


def _write(folder, outputs, tables, base: Base, name: str, release: Release, as_of: int, settings: Settings) -> None:
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
        about = {"run": name, "as_of": as_of, "as_of_text": day_text(as_of, zone=settings.zone), "release": release.id,
                 "status": release.scorer.status, "rows": outputs["scores"].num_rows, "files": hashes(staged)}  # fmt: skip
        (staged / "manifest.json").write_text(json.dumps(about, indent=1, sort_keys=True) + "\n")
        os.replace(staged, folder)
    except OSError as error:
        raise _store(error) from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _store(error: OSError) -> StoreFailed:
    return StoreFailed(where="scores/", got=error.strerror or "a write that failed",
                       rule="scores/ under LIFECYCLE_HOME must be writable, with room.",
                       fix="Free space or rights, or set LIFECYCLE_HOME; run again, nothing half-written is left.")  # fmt: skip


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
        raise ArchetypeRefused(where="[business] archetype", got=settings.business.archetype,
                               rule="Where customers buy once, staying has no meaning and nothing is scored.",
                               fix="State another archetype if customers do come back.")  # fmt: skip
