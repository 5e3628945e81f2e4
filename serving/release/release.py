"""A release: the verified folder that is served.

It holds no pickle, every file is hashed, and its golden rows are rebuilt before use. `id` = first
16 hex digits of the hash over all files but the manifest. Files: models.json and *.ubj,
features.json, population.parquet, stages.json, evaluation.json, golden/, card.md, manifest.json.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.catalogue import custom
from features.core.errors import LifecycleError, ReleaseRefused, StoreFailed
from features.core.settings import Settings, home
from features.core.staged_files import put_in_place, staging_folder
from features.engine.build import build
from features.engine.business_columns import load_custom
from features.engine.columns import FeatureColumn, list_columns
from features.recipes.definitions import Definitions
from features.recipes.population_stats import PopulationStats
from features.recipes.recipe import Feature
from features.recipes.stages import STAGES
from serving.release import golden
from serving.release.scorer_files import (
    NEVER_EDIT,
    read_json,
    read_scorer,
    write_json,
    write_scorer,
)
from serving.scoring.scorer import Scorer

TOLERANCE = 1e-9
# Counted up whenever a file of a release changes its meaning; other formats are refused.
FORMAT = 3
TRAIN_AGAIN = "Train again: `lifecycle run` (or `lifecycle train`, then `lifecycle promote`)."
OTHER_VERSIONS = "Install the versions that its manifest names, or train again here."
FileHashes = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Release:
    """A loaded release: the scorer, its columns, its configuration, its evaluation (aggregates)."""

    id: str
    folder: Path
    scorer: Scorer
    columns: list[FeatureColumn]
    activity_kinds: tuple[str, ...]
    tables: tuple[str, ...]
    config: dict[str, Any]
    evaluation: dict[str, Any]


def releases_folder() -> Path:
    """Where releases are stored, under LIFECYCLE_HOME."""
    return home() / "mlruns" / "releases"


def write_release(
    scorer: Scorer,
    *,
    all_columns: list[FeatureColumn],
    settings: Settings,
    tables: tuple[str, ...],
    population: PopulationStats,
    evaluation: dict[str, Any],
    card: str,
    times: dict[str, Any],
) -> Path:
    """Write a release folder, staged and renamed once; return it.

    Equal content gives the same id, and then no new folder. `times` goes to the manifest, outside
    the id. StoreFailed where the store cannot be written.
    """
    root = releases_folder()
    with _store_errors():
        root.mkdir(parents=True, exist_ok=True)
        with staging_folder(root) as staged:
            write_scorer(scorer, staged)
            _write_features(staged, all_columns, settings, tables)
            write_json(staged / "stages.json", {"stages": STAGES, **asdict(scorer.definitions)})
            write_json(staged / "evaluation.json", evaluation)
            (staged / "card.md").write_text(card)
            pq.write_table(
                pa.Table.from_pylist([asdict(population)]), staged / "population.parquet"
            )
            kinds = tuple(settings.definitions()["activity"]["kinds"])
            _write_golden(staged / "golden", scorer, all_columns, tables, kinds)
            files = hash_files(staged)
            name = content_id(files)
            manifest = {"format": FORMAT, "id": name, "files": files, **times}
            write_json(staged / "manifest.json", manifest)
            _place(staged, root / name)
            return root / name


def refuse_unwritable_store() -> None:
    """StoreFailed where no release could be written; to be asked before minutes of work."""
    with _store_errors():
        releases_folder().mkdir(parents=True, exist_ok=True)
        with staging_folder(releases_folder()):
            pass


@contextlib.contextmanager
def _store_errors() -> Iterator[None]:
    """StoreFailed instead of an OSError of the block."""
    try:
        yield
    except OSError as error:
        raise StoreFailed(
            where="the release store",
            got=error.strerror or "a write that failed",
            rule="mlruns/releases under LIFECYCLE_HOME must be writable, with free space.",
            fix="Free disk space, correct the folder's rights, or set LIFECYCLE_HOME; run again.",
        ) from error


def _place(staged: Path, folder: Path) -> None:
    """Rename the staged folder; an undamaged folder of that name stays, a damaged one goes."""
    if folder.exists():
        try:
            verify_release(folder)
            return
        except ReleaseRefused:
            shutil.rmtree(folder)
    put_in_place(staged, folder)


def _write_features(
    folder: Path, all_columns: list[FeatureColumn], settings: Settings, tables: tuple[str, ...]
) -> None:
    described = [
        {"name": c.name, "family": c.feature.family, "unit": c.feature.unit, "window": c.window}
        for c in all_columns
    ]
    features = {"columns": described, "tables": list(tables), "config": settings.definitions()}
    write_json(folder / "features.json", features)
    if settings.features.own:
        # As it was when the columns were built: the working copy may have changed since.
        text = custom.source_text(all_columns) or custom.read_source(settings)
        (folder / custom.FILE).write_text(text, encoding="utf-8")


def _write_golden(
    folder: Path,
    scorer: Scorer,
    all_columns: list[FeatureColumn],
    tables: tuple[str, ...],
    kinds: tuple[str, ...],
) -> None:
    events = golden.golden_events(
        scorer.definitions,
        tables=tables,
        activity_kinds=kinds,
        as_of=scorer.definitions.learned_as_of,
    )
    rows, scores = _golden_answers(scorer, all_columns, events, kinds)
    folder.mkdir()
    for name, table in {**events, "rows": rows, "scores": scores}.items():
        pq.write_table(table, folder / f"{name}.parquet")


def _golden_answers(
    scorer: Scorer,
    all_columns: list[FeatureColumn],
    events: dict[str, pa.Table],
    kinds: tuple[str, ...],
) -> tuple[pa.Table, pa.Table]:
    """The feature rows and the scores of the golden events."""
    definitions, as_of = scorer.definitions, scorer.definitions.learned_as_of
    history = golden.golden_history(
        events, definitions=definitions, activity_kinds=kinds, as_of=as_of
    )
    rows = build(
        history.as_of(as_of),
        population=golden.golden_population(as_of),
        definitions=definitions,
        columns=all_columns,
    )
    p, p_next = scorer.score(rows)
    scores = {
        "customer_id": rows["customer_id"],
        "p_churn": p,
        **{f"p_next_{stage}": p_next[:, k] for k, stage in enumerate(STAGES)},
    }
    return rows, pa.table(scores)


def hash_files(folder: Path) -> FileHashes:
    """sha256 and size of every file under `folder` but the manifest, by relative path."""
    result: FileHashes = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "manifest.json"):
        raw = path.read_bytes()
        result[path.relative_to(folder).as_posix()] = {
            "sha256": hashlib.sha256(raw).hexdigest(),
            "size": len(raw),
        }
    return result


def content_id(files: FileHashes) -> str:
    """The id of a release with these files: 16 hex digits."""
    lines = (f"{name}\n{files[name]['sha256']}\n" for name in sorted(files))
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]


def altered_files(actual: FileHashes, recorded: FileHashes) -> list[str]:
    """The names of files that are missing, new, or not as the manifest records them."""
    names = sorted({*actual, *recorded})
    return [name for name in names if actual.get(name) != recorded.get(name)]


def verify_release(folder: Path) -> str:
    """The id, after every file was compared with the manifest; ReleaseRefused otherwise.

    No file but the manifest is parsed.
    """
    where = f"release {folder.name}"
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        recorded, format_number = dict(manifest["files"]), manifest["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        got, rule = "no readable manifest", "A release has a manifest."
        raise ReleaseRefused(where=where, got=got, rule=rule, fix=NEVER_EDIT) from error
    # Before the hashes: an old release is not damaged, and needs another fix.
    if format_number != FORMAT:
        got = f"format {format_number}" if isinstance(format_number, int) else "an unknown format"
        rule = f"This version of lifecycle reads releases of format {FORMAT}."
        raise ReleaseRefused(where=where, got=got, rule=rule, fix=TRAIN_AGAIN)
    files = hash_files(folder)
    if altered := altered_files(files, recorded):
        got = f"{len(altered)} files that are not as they were written: {', '.join(altered[:3])}"
        rule = "Every file has the hash and size of the manifest."
        raise ReleaseRefused(where=where, got=got, rule=rule, fix=NEVER_EDIT)
    if content_id(files) != manifest.get("id"):
        got, rule = "an id that does not fit its files", "The id is the hash of the files."
        raise ReleaseRefused(where=where, got=got, rule=rule, fix=NEVER_EDIT)
    return str(manifest["id"])


def load_release(folder: Path) -> Release:
    """Verify, read, rebuild the golden rows and scores; only then the release may be used.

    ReleaseRefused where one of these fails.
    """
    name = verify_release(folder)
    features, definitions = read_json(folder / "features.json"), _read_definitions(folder)
    tables, config = tuple(features["tables"]), features["config"]
    # This runs code of the business, therefore only after every hash was verified.
    own = _read_custom_features(folder, name) if config["features"]["own"] else ()
    built = list_columns(definitions, tables=tables, off=config["features"]["off"], custom=own)
    if [column.name for column in built] != [column["name"] for column in features["columns"]]:
        raise ReleaseRefused(
            where=f"release {name}",
            got="other features than this code builds",
            rule="A release is served by the feature code it was trained with.",
            fix=OTHER_VERSIONS,
        )
    scorer = read_scorer(folder, name, definitions)
    kinds = tuple(config["activity"]["kinds"])
    evaluation = read_json(folder / "evaluation.json")
    release = Release(name, folder, scorer, built, kinds, tables, config, evaluation)
    _check_golden(release)
    return release


def _read_definitions(folder: Path) -> Definitions:
    stages = read_json(folder / "stages.json")
    # The names of the stages are for readers of the file; the code has its own.
    stages.pop("stages")
    return Definitions.from_mapping(stages)


def _read_custom_features(folder: Path, name: str) -> tuple[Feature, ...]:
    """The business's own features, from the release's file and never from the working copy."""
    try:
        return load_custom((folder / custom.FILE).read_text(encoding="utf-8"), custom.FILE)
    except (LifecycleError, OSError, ValueError) as error:
        raise ReleaseRefused(
            where=f"release {name}",
            got=f"own features that cannot be loaded here: {error}",
            rule="A release contains the file of its own features.",
            fix=OTHER_VERSIONS,
        ) from error


def _check_golden(release: Release) -> None:
    folder = release.folder / "golden"
    events = {name: pq.read_table(folder / f"{name}.parquet") for name in release.tables}
    rows, scores = _golden_answers(release.scorer, release.columns, events, release.activity_kinds)
    for rebuilt, file, what in ((rows, "rows", "feature rows"), (scores, "scores", "scores")):
        if not _is_close(rebuilt, pq.read_table(folder / f"{file}.parquet")):
            raise ReleaseRefused(
                where=f"release {release.id}",
                got=f"golden {what} with other values here",
                rule=f"Golden rows and scores are rebuilt within {TOLERANCE}.",
                fix=OTHER_VERSIONS,
            )


def _is_close(rebuilt: pa.Table, stored: pa.Table) -> bool:
    if rebuilt.column_names != stored.column_names or rebuilt.num_rows != stored.num_rows:
        return False
    for name in rebuilt.column_names:
        values, expected = rebuilt[name].to_numpy(), stored[name].to_numpy()
        if values.dtype.kind == "f":
            if not np.allclose(values, expected, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True):
                return False
        elif values.tolist() != expected.tolist():
            return False
    return True


def current_release_folder() -> Path:
    """The folder that CURRENT names; ReleaseRefused where nothing was promoted yet."""
    pointer = releases_folder() / "CURRENT"
    name = pointer.read_text().strip() if pointer.is_file() else ""
    if not name or not (releases_folder() / name).is_dir():
        raise ReleaseRefused(
            where="mlruns/releases/CURRENT",
            got="no promoted release",
            rule="Scores need a promoted release.",
            fix="Run `lifecycle run -c …`, or `lifecycle train -c …` and then `lifecycle promote`.",
        )
    return releases_folder() / name
