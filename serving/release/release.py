"""A release: the verified folder that is served. No pickle; every file hashed; golden rows rebuilt before use.

`id` = first 16 hex digits of the hash over all files but the manifest. Files: models.json and *.ubj, features.json,
base.parquet, stages.json, evaluation.json, golden/, card.md, manifest.json.
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

from features.catalogue import custom
from features.core.errors import LifecycleError, ReleaseRefused, StoreFailed
from features.core.settings import Settings, home
from features.engine.build import build
from features.engine.business_columns import load_custom
from features.engine.columns import ColumnOf, columns
from features.recipes.definitions import Definitions
from features.recipes.population_stats import PopulationStats
from features.recipes.recipe import Feature
from features.recipes.stages import STAGES
from serving.release import blend_files, golden
from serving.scoring.calibration import Calibration
from serving.scoring.evidence import Spread
from serving.scoring.parts import design_names
from serving.scoring.prediction_sets import Conformal
from serving.scoring.scorer import ReasonReference, Scorer

TOLERANCE = 1e-9
FORMAT = 2


@dataclass(frozen=True)
class Release:
    """A loaded release: the scorer, its columns, what it was made for, and its evaluation (aggregates only)."""

    id: str
    folder: Path
    scorer: Scorer
    columns: list[ColumnOf]
    activity_kinds: tuple[str, ...]
    tables: tuple[str, ...]
    made_for: dict[str, Any]
    evaluation: dict[str, Any]


def releases() -> Path:
    return home() / "mlruns" / "releases"


def write(
    scorer: Scorer,
    *,
    all_columns: list[ColumnOf],
    settings: Settings,
    tables: tuple[str, ...],
    base: PopulationStats,
    evaluation: dict[str, Any],
    card: str,
    times: dict[str, Any],
) -> Path:
    """Write a release folder, staged and renamed once; returns it. Equal content gives the same id, and no new folder."""
    root = releases()
    try:
        root.mkdir(parents=True, exist_ok=True)
        staged = Path(tempfile.mkdtemp(prefix=".staged-", dir=root))
    except OSError as error:
        raise _store(root, error) from error
    try:
        _write_files(staged, scorer, all_columns, settings, tables, base, evaluation, card)
        files = hashes(staged)
        name = identity(files)
        (staged / "manifest.json").write_text(
            _json({"format": FORMAT, "id": name, "files": files, **times})
        )
        _place(staged, root / name)
        return root / name
    except OSError as error:
        raise _store(root, error) from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _place(staged: Path, folder: Path) -> None:
    """The staged folder under its name; one of that name stays if it is whole, and makes room if it was damaged."""
    if folder.exists():
        try:
            verify(folder)
            return
        except ReleaseRefused:
            shutil.rmtree(folder)
    os.replace(staged, folder)


def _store(root: Path, error: OSError) -> StoreFailed:
    return StoreFailed(
        where="the release store",
        got=error.strerror or "a write that failed",
        rule="mlruns/releases under LIFECYCLE_HOME must be writable, with room.",
        fix="Free space or rights, or set LIFECYCLE_HOME; run again.",
    )


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def _write_files(folder, scorer, all_columns, settings, tables, base, evaluation, card) -> None:
    models = {
        name: blend_files.write(getattr(scorer, name), name, folder)
        for name in ("churn", "next_stage")
    }
    models |= {
        "calibration": scorer.calibration.to_mapping(),
        "classes": list(scorer.classes),
        "columns": list(scorer.columns),
        "churn_rows": scorer.churn_rows,
        "stay_rows": scorer.stay_rows,
        "status": scorer.status,
        "bearings": asdict(scorer.bearings) if scorer.bearings else None,
        "sets": scorer.sets.to_mapping() if scorer.sets else None,
        "spread": scorer.spread.to_mapping() if scorer.spread else None,
    }
    (folder / "models.json").write_text(_json(models))
    made_for = settings.definitions()
    described = [
        {"name": c.name, "family": c.feature.family, "unit": c.feature.unit, "window": c.window}
        for c in all_columns
    ]
    (folder / "features.json").write_text(
        _json({"columns": described, "tables": list(tables), "made_for": made_for})
    )
    if settings.features.own:
        # As it was when the columns were built: the working copy may have moved on.
        (folder / custom.FILE).write_text(
            custom.text_of(all_columns) or custom.read(settings), encoding="utf-8"
        )
    (folder / "stages.json").write_text(
        _json({"stages": list(STAGES), **asdict(scorer.definitions)})
    )
    pq.write_table(pa.Table.from_pylist([asdict(base)]), folder / "base.parquet")
    (folder / "evaluation.json").write_text(_json(evaluation))
    (folder / "card.md").write_text(card)
    kinds = tuple(made_for["activity"]["kinds"])
    at = scorer.definitions.learned_as_of
    events = golden.events(scorer.definitions, tables=tables, activity_kinds=kinds, as_of=at)
    rows, scores = _golden_answers(scorer, all_columns, events, kinds, at)
    (folder / "golden").mkdir()
    for name, table in {**events, "rows": rows, "scores": scores}.items():
        pq.write_table(table, folder / "golden" / f"{name}.parquet")


def _golden_answers(scorer, all_columns, events, kinds, at) -> tuple[pa.Table, pa.Table]:
    known = golden.history(
        events, definitions=scorer.definitions, activity_kinds=kinds, as_of=at
    ).as_of(at)
    rows = build(
        known,
        base=golden.base(scorer.definitions, at),
        definitions=scorer.definitions,
        columns=all_columns,
    )
    p, p_next = scorer.score(rows)
    scores = {
        "customer_id": rows["customer_id"],
        "p_churn": p,
        **{f"p_next_{s}": p_next[:, k] for k, s in enumerate(STAGES)},
    }
    return rows, pa.table(scores)


def hashes(folder: Path) -> dict[str, dict[str, Any]]:
    """sha256 and size of every file under `folder` but the manifest, by relative path."""
    found = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "manifest.json"):
        raw = path.read_bytes()
        found[path.relative_to(folder).as_posix()] = {
            "sha256": hashlib.sha256(raw).hexdigest(),
            "size": len(raw),
        }
    return found


def identity(files: dict[str, dict[str, Any]]) -> str:
    return hashlib.sha256(
        "".join(f"{name}\n{files[name]['sha256']}\n" for name in sorted(files)).encode()
    ).hexdigest()[:16]


def verify(folder: Path) -> str:
    """The id, after every file was found as the manifest says; ReleaseRefused otherwise. Nothing is parsed before."""
    where = f"release {folder.name}"
    fix = "Train again, or promote another release; never edit one."
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        stated = manifest["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReleaseRefused(
            where=where, got="no readable manifest", rule="A release has a manifest.", fix=fix
        ) from error
    found = hashes(folder)
    changed = sorted(name for name in {*found, *stated} if found.get(name) != stated.get(name))
    if changed:
        raise ReleaseRefused(
            where=where,
            got=f"{len(changed)} files that are not as they were written: {', '.join(changed[:3])}",
            rule="Every file has the hash and size of the manifest.",
            fix=fix,
        )
    if identity(found) != manifest.get("id") or manifest.get("format") != FORMAT:
        raise ReleaseRefused(
            where=where,
            got="an id or format that does not fit",
            rule="The id is the hash of the files.",
            fix=fix,
        )
    return manifest["id"]


def load(folder: Path) -> Release:
    """Verify, read, rebuild the golden rows and scores; only then the release may be used."""
    name = verify(folder)
    models, described = _read(folder, "models.json"), _read(folder, "features.json")
    frozen = _read(folder, "stages.json")
    frozen.pop("stages")
    definitions, tables = Definitions.from_mapping(frozen), tuple(described["tables"])
    made_for = described["made_for"]
    # Code of the business's own, and therefore only after every hash was verified.
    mine = _own_in(folder, name) if made_for["features"]["own"] else ()
    built = columns(definitions, tables=tables, off=made_for["features"]["off"], own=mine)
    if [column.name for column in built] != [column["name"] for column in described["columns"]]:
        raise ReleaseRefused(
            where=f"release {name}",
            got="other features than this code builds",
            rule="A release is served by the feature code it was trained with.",
            fix="Install the version the manifest names, or train again.",
        )
    names = design_names(tuple(models["columns"]))
    calibration = _part(
        Calibration,
        models["calibration"],
        name,
        refused="a calibration that does not rise, or is none",
    )
    scorer = Scorer(
        definitions,
        tuple(models["columns"]),
        blend_files.read(models["churn"], folder, names),
        calibration,
        blend_files.read(models["next_stage"], folder, names),
        tuple(models["classes"]),
        models["churn_rows"],
        models["stay_rows"],
        models["status"],
        _bearings_in(models["bearings"]),
        _part(Conformal, models.get("sets"), name),
        _part(Spread, models.get("spread"), name),
    )
    kinds = tuple(made_for["activity"]["kinds"])
    release = Release(
        name, folder, scorer, built, kinds, tables, made_for, _read(folder, "evaluation.json")
    )
    _check_golden(release)
    return release


def _own_in(folder: Path, name: str) -> tuple[Feature, ...]:
    """The release's own features, from its file and never from the working copy."""
    try:
        return load_custom((folder / custom.FILE).read_text(encoding="utf-8"), custom.FILE)
    except (LifecycleError, OSError, ValueError) as error:
        raise ReleaseRefused(
            where=f"release {name}",
            got=f"own features that cannot be loaded here: {error}",
            rule="A release brings the file of its own features.",
            fix="Install the version the manifest names, or train again.",
        ) from error


def _read(folder: Path, name: str) -> dict[str, Any]:
    return json.loads((folder / name).read_text())


def _part(kind: Any, stated: dict[str, Any] | None, name: str, *, refused: str = "") -> Any:
    """What `kind.from_mapping` reads; None where the release has none (an older one may not)."""
    try:
        return None if stated is None and not refused else kind.from_mapping(stated)
    except (KeyError, TypeError, ValueError) as error:
        raise ReleaseRefused(
            where=f"release {name}",
            got=refused or f"a {kind.__name__} whose numbers are none",
            rule="Calibration keeps the order of customers; thresholds and spreads are what they can be.",
            fix="Train again, or promote another release; never edit one.",
        ) from error


def _bearings_in(stated: dict[str, Any] | None) -> ReasonReference | None:
    return (
        ReasonReference(**{name: tuple(values) for name, values in stated.items()})
        if stated
        else None
    )


def _check_golden(release: Release) -> None:
    folder, definitions = release.folder / "golden", release.scorer.definitions
    events = {name: pq.read_table(folder / f"{name}.parquet") for name in release.tables}
    rows, scores = _golden_answers(
        release.scorer, release.columns, events, release.activity_kinds, definitions.learned_as_of
    )
    for made, stored, what in ((rows, "rows", "feature rows"), (scores, "scores", "scores")):
        if not _near(made, pq.read_table(folder / f"{stored}.parquet")):
            raise ReleaseRefused(
                where=f"release {release.id}",
                got=f"golden {what} that come out otherwise here",
                rule=f"Golden rows and scores are rebuilt within {TOLERANCE}.",
                fix="Use the library versions of the manifest, or train again here.",
            )


def _near(made: pa.Table, stored: pa.Table) -> bool:
    if made.column_names != stored.column_names or made.num_rows != stored.num_rows:
        return False
    for name in made.column_names:
        one, other = made[name].to_numpy(), stored[name].to_numpy()
        if one.dtype.kind == "f":
            if not np.allclose(one, other, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True):
                return False
        elif one.tolist() != other.tolist():
            return False
    return True


def current() -> Path:
    """The folder CURRENT names; ReleaseRefused when nothing was promoted yet."""
    pointer = releases() / "CURRENT"
    name = pointer.read_text().strip() if pointer.is_file() else ""
    if not name or not (releases() / name).is_dir():
        raise ReleaseRefused(
            where="mlruns/releases/CURRENT",
            got="no promoted release",
            rule="Scores need a promoted release.",
            fix="Run `lifecycle run -c …`, or `lifecycle train -c …` and then `lifecycle promote`.",
        )
    return releases() / name
