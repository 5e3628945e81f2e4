"""A release: the verified folder that is served.

It holds no pickle, every file is hashed and has its rules, and its golden rows are rebuilt before
use. `id` = first 16 hex digits of the hash over all files but the manifest. Files: models.json and
*.ubj, features.json, population.parquet, seen.json, stages.json, evaluation.json, golden/,
curve.json, value.json, reference.json, card.md (in Chinese: card.zh.md), manifest.json; without/
and targets/ where there are any.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.catalogue import custom
from features.core.errors import Interrupted, LifecycleError, ReleaseRefused, StoreFailed
from features.core.settings import Settings
from features.core.staged_files import put_in_place, staging_folder
from features.engine.build import build
from features.engine.business_columns import load_custom
from features.engine.columns import FeatureColumn, list_columns
from features.recipes.definitions import Definitions
from features.recipes.population_stats import PopulationStats
from features.recipes.recipe import Feature
from features.recipes.stages import STAGES
from serving.release import golden
from serving.release.checked_files import (
    CARDS,
    check_file_names,
    check_population,
    read_definitions,
    read_evaluation,
    read_features,
)
from serving.release.curve_file import read_curve, write_curve
from serving.release.file_rules import broken_file
from serving.release.json_files import NEVER_EDIT, write_json
from serving.release.manifest import (
    FORMAT,
    TRAIN_AGAIN,
    altered_files,
    content_id,
    hash_files,
    verify_release,
)
from serving.release.reference_file import Reference, read_reference, write_reference
from serving.release.release_store import current_release_folder, releases_folder
from serving.release.scorer_files import read_models, read_scorer, write_scorer
from serving.release.seen_future import FILE as SEEN_FILE
from serving.release.seen_future import SeenFuture, read_seen
from serving.release.sub_release_files import (
    golden_scores_name,
    read_sub_releases,
    write_sub_releases,
)
from serving.release.target_files import golden_answers, read_targets, write_targets
from serving.release.value_file import read_value, write_value
from serving.scoring.curve import Curve
from serving.scoring.lifetime_value import LifetimeValue
from serving.scoring.over_time import OverTime
from serving.scoring.scorer import Scorer
from serving.scoring.sub_releases import SubRelease
from serving.scoring.targets import Target

__all__ = [
    "FORMAT",
    "OTHER_VERSIONS",
    "TOLERANCE",
    "TRAIN_AGAIN",
    "Release",
    "altered_files",
    "content_id",
    "current_release_folder",
    "hash_files",
    "load_release",
    "refuse_unwritable_store",
    "releases_folder",
    "verify_release",
    "write_release",
]

TOLERANCE = 1e-9
OTHER_VERSIONS = "Install the versions that its manifest names, or train again here."


@dataclass(frozen=True)
class Release:
    """A loaded release: the scorer, its columns, its configuration, its evaluation (aggregates).

    `seen`: what it has seen of the future. `sub_releases`: the scorers for days without some of the
    `tables`. `silent`: tables of the configuration that had fallen silent before the training, so
    that nothing was learned from them. `targets`: the models of the business's own targets.
    `curve`: how the risk of all scorers spreads over time; None where it was not fitted. `value`:
    what customers are worth; None where nothing can be said of money. `reference`: the training
    dates, for `lifecycle monitor`; None in a release from before it.
    """

    id: str
    folder: Path
    scorer: Scorer
    columns: list[FeatureColumn]
    activity_kinds: tuple[str, ...]
    tables: tuple[str, ...]
    config: dict[str, Any]
    evaluation: dict[str, Any]
    seen: SeenFuture
    sub_releases: tuple[SubRelease, ...] = ()
    silent: tuple[str, ...] = ()
    targets: tuple[Target, ...] = ()
    curve: Curve | None = None
    value: LifetimeValue | None = None
    reference: Reference | None = None

    @property
    def zone(self) -> str:
        """The time zone of the business it was trained for."""
        return self.config["business"]["zone"] or "UTC"


def write_release(
    scorer: Scorer,
    *,
    sub_releases: Sequence[SubRelease] = (),
    silent: Sequence[str] = (),
    targets: Sequence[Target] = (),
    curve: Curve | None = None,
    value: LifetimeValue | None = None,
    reference: Reference | None = None,
    all_columns: list[FeatureColumn],
    settings: Settings,
    tables: tuple[str, ...],
    population: PopulationStats,
    evaluation: dict[str, Any],
    cards: Mapping[str, str],
    times: dict[str, Any],
    seen: SeenFuture | None = None,
) -> Path:
    """Write a release folder, staged and renamed once; return it.

    `cards`: the text of each file of CARDS. `seen`: what it learned of the future; the outcomes of
    its population's instant where left out.
    Equal content gives the same id, and then no new folder. `times` goes to the manifest, outside
    the id. StoreFailed where the store cannot be written.
    """
    root = releases_folder()
    seen = seen or SeenFuture(population.as_of + settings.outcome_window_us, population.as_of)
    with _store_errors():
        root.mkdir(parents=True, exist_ok=True)
        with staging_folder(root) as staged:
            write_scorer(scorer, staged)
            write_sub_releases(sub_releases, staged)
            write_targets(targets, staged)
            write_curve(curve, staged)
            write_value(value, staged)
            write_reference(reference, staged)
            without = [list(each.lacks) for each in sub_releases]
            of_tables = {"tables": list(tables), "without": without, "silent": list(silent)}
            _write_features(staged, all_columns, settings, of_tables)
            write_json(staged / "stages.json", {"stages": STAGES, **asdict(scorer.definitions)})
            write_json(staged / "evaluation.json", evaluation)
            write_json(staged / SEEN_FILE, seen.to_mapping())
            for name in CARDS:
                (staged / name).write_text(cards[name], encoding="utf-8")
            pq.write_table(
                pa.Table.from_pylist([asdict(population)]), staged / "population.parquet"
            )
            kinds = tuple(settings.definitions()["activity"]["kinds"])
            scorers = _by_golden_file(SubRelease((), scorer, tuple(targets)), sub_releases)
            _write_golden(
                staged / "golden",
                scorers,
                OverTime(curve, value),
                all_columns,
                tables,
                settings.definitions(),
                kinds,
            )
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
    folder: Path,
    all_columns: list[FeatureColumn],
    settings: Settings,
    of_tables: dict[str, Any],
) -> None:
    features = {
        "columns": _describe_columns(all_columns),
        "config": settings.definitions(),
        **of_tables,
    }
    write_json(folder / "features.json", features)
    if settings.features.own:
        # As it was when the columns were built: the working copy may have changed since.
        text = custom.source_text(all_columns) or custom.read_source(settings)
        (folder / custom.FILE).write_text(text, encoding="utf-8")


def _describe_columns(columns: list[FeatureColumn]) -> list[dict[str, str]]:
    return [
        {"name": c.name, "family": c.feature.family, "unit": c.feature.unit, "window": c.window}
        for c in columns
    ]


def _by_golden_file(whole: SubRelease, others: Sequence[SubRelease]) -> dict[str, SubRelease]:
    """The whole scorer and the others with their targets, by the name of their golden scores."""
    return {"scores": whole} | {golden_scores_name(each.lacks): each for each in others}


def _write_golden(
    folder: Path,
    scorers: dict[str, SubRelease],
    over_time: OverTime,
    all_columns: list[FeatureColumn],
    tables: tuple[str, ...],
    config: dict[str, Any],
    kinds: tuple[str, ...],
) -> None:
    definitions = scorers["scores"].scorer.definitions
    events = golden.golden_events(
        definitions, tables=tables, activity_kinds=kinds, as_of=definitions.learned_as_of
    )
    rows = _golden_rows(definitions, all_columns, events, kinds)
    scores = {name: _golden_scores(each, over_time, config, rows) for name, each in scorers.items()}
    folder.mkdir()
    for name, table in {**events, "rows": rows, **scores}.items():
        pq.write_table(table, folder / f"{name}.parquet")


def _golden_rows(
    definitions: Definitions,
    all_columns: list[FeatureColumn],
    events: dict[str, pa.Table],
    kinds: tuple[str, ...],
) -> pa.Table:
    """The feature rows of the golden events."""
    as_of = definitions.learned_as_of
    history = golden.golden_history(
        events, definitions=definitions, activity_kinds=kinds, as_of=as_of
    )
    return build(
        history.as_of(as_of),
        population=golden.golden_population(as_of),
        definitions=definitions,
        columns=all_columns,
    )


def _golden_scores(
    each: SubRelease, over_time: OverTime, config: dict[str, Any], rows: pa.Table
) -> pa.Table:
    p, p_next = each.scorer.score(rows)
    scores = {
        "customer_id": rows["customer_id"],
        "p_churn": p,
        **{f"p_next_{stage}": p_next[:, k] for k, stage in enumerate(STAGES)},
        **over_time.answers(rows, p, config, each.scorer.definitions, each.lacks),
        **golden_answers(each.targets, rows),
    }
    return pa.table(scores)


def load_release(folder: Path, *, golden_rows_were_rebuilt: bool = False) -> Release:
    """Verify, read, rebuild the golden rows and scores; only then the release may be used.

    ReleaseRefused where one of these fails, whatever a damaged file makes its reader raise.
    `golden_rows_were_rebuilt`: by this code, on this machine, just now.
    """
    name = verify_release(folder)
    try:
        release = _read_release(folder, name)
        if not golden_rows_were_rebuilt:
            _check_golden(release)
    except (ReleaseRefused, Interrupted):
        raise
    except Exception as error:
        # Readers of Parquet, of boosters and of own features raise what they like.
        raise ReleaseRefused(
            where=f"release {name}",
            got=f"files that cannot be used here ({type(error).__name__})",
            rule="A release is read, and its golden rows are rebuilt, before it is used.",
            fix=NEVER_EDIT,
        ) from error
    return release


def _read_release(folder: Path, name: str) -> Release:
    features, settings = read_features(folder, name)
    definitions = read_definitions(folder, name, settings)
    models, checked_models = read_models(folder, name)
    check_file_names(folder, name, features, checked_models)
    evaluation = read_evaluation(folder, name)
    check_population(folder, name, definitions)
    seen = read_seen(folder, name, definitions)
    tables, config = tuple(features["tables"]), features["config"]
    # This runs code of the business, therefore only after every hash was verified.
    own = _read_custom_features(folder, name) if config["features"]["own"] else ()
    built = list_columns(definitions, tables=tables, off=config["features"]["off"], custom=own)
    known = {column.name for column in built}
    if _describe_columns(built) != features["columns"] or not known.issuperset(models["columns"]):
        raise ReleaseRefused(
            where=f"release {name}",
            got="other features than this code builds",
            rule="A release is served by the feature code it was trained with.",
            fix=OTHER_VERSIONS,
        )
    scorer = read_scorer(models, folder, name, definitions)
    kinds = tuple(config["activity"]["kinds"])
    subs = read_sub_releases(features, folder, name, definitions, built)
    curve = read_curve(folder, name, settings, scorer.columns)
    return Release(
        name,
        folder,
        scorer,
        built,
        kinds,
        tables,
        config,
        evaluation,
        seen,
        subs,
        tuple(features["silent"]),
        read_targets(config, folder, name, known),
        curve,
        read_value(folder, name, settings, tuple(known), curve),
        read_reference(folder, name, tuple(known)),
    )


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
    if not _are_golden_events(events, release):
        raise broken_file(release.id, "golden: events with other rows or columns")
    definitions = release.scorer.definitions
    rows = _golden_rows(definitions, release.columns, events, release.activity_kinds)
    whole = SubRelease((), release.scorer, release.targets)
    scorers = _by_golden_file(whole, release.sub_releases)
    over_time = OverTime(release.curve, release.value)
    scores = {
        name: _golden_scores(each, over_time, release.config, rows)
        for name, each in scorers.items()
    }
    for file, rebuilt in {"rows": rows, **scores}.items():
        if not _is_close(rebuilt, pq.read_table(folder / f"{file}.parquet")):
            what = "feature rows" if file == "rows" else "scores"
            raise ReleaseRefused(
                where=f"release {release.id}",
                got=f"golden {what} with other values here",
                rule=f"Golden rows and scores are rebuilt within {TOLERANCE}.",
                fix=OTHER_VERSIONS,
            )


def _are_golden_events(events: dict[str, pa.Table], release: Release) -> bool:
    """Whether the tables have the rows and columns of golden events.

    Golden rows of nobody would agree with any model.
    """
    expected = golden.golden_events(
        release.scorer.definitions,
        tables=release.tables,
        activity_kinds=release.activity_kinds,
        as_of=release.scorer.definitions.learned_as_of,
    )
    return expected.keys() == events.keys() and all(
        events[name].num_rows == table.num_rows and events[name].schema.equals(table.schema)
        for name, table in expected.items()
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
