"""The sub-releases of a release folder: `without/<tables>/models.json` and boosters, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from features.engine.columns import FeatureColumn
from features.recipes.definitions import Definitions
from serving.release.file_rules import broken_file
from serving.release.scorer_files import read_models, read_scorer, write_scorer
from serving.release.target_files import expected_target_files, read_targets, write_targets
from serving.scoring.sub_releases import SubRelease, joined_name

FOLDER = "without"


def golden_scores_name(lacks: Sequence[str]) -> str:
    """The name of the table with the golden scores of the sub-release that lacks these tables.

    Its probabilities of targets are in the same table.
    """
    return f"scores-{FOLDER}-{joined_name(lacks)}"


def write_sub_releases(sub_releases: Sequence[SubRelease], folder: Path) -> None:
    """Write every scorer into its own folder under `without/`."""
    for each in sub_releases:
        place = folder / FOLDER / each.name
        place.mkdir(parents=True)
        write_scorer(each.scorer, place)
        write_targets(each.targets, place)


def read_sub_releases(
    features: Mapping[str, Any],
    folder: Path,
    name: str,
    definitions: Definitions,
    columns: Sequence[FeatureColumn],
) -> tuple[SubRelease, ...]:
    """The inverse of `write_sub_releases`; `features`: the content of features.json.

    ReleaseRefused where a file breaks its rules, or a column reads a table that it must not.
    """
    tables_read = {column.name: set(column.feature.tables) for column in columns}
    sub_releases = []
    for each in map(tuple, features["without"]):
        place = folder / FOLDER / joined_name(each)
        models, _ = read_models(place, name)
        readable = {column for column, read in tables_read.items() if not read & set(each)}
        if not readable.issuperset(models["columns"]):
            raise broken_file(name, "a sub-release with a column of a table that it lacks")
        targets = read_targets(features["config"], place, name, readable)
        scorer = read_scorer(models, place, name, definitions)
        sub_releases.append(SubRelease(each, scorer, targets))
    return tuple(sub_releases)


def expected_files(features: Mapping[str, Any], folder: Path, name: str) -> Iterator[str]:
    """The relative names of the files that the sub-releases have in a release folder.

    ReleaseRefused where one of their models breaks its rules.
    """
    for each in features["without"]:
        place = f"{FOLDER}/{joined_name(each)}"
        yield f"golden/{golden_scores_name(each)}.parquet"
        yield f"{place}/models.json"
        _, models = read_models(folder / place, name)
        yield from (f"{place}/{file}" for file in models.booster_files())
        of_targets = expected_target_files(features["config"], folder / place, name)
        yield from (f"{place}/{file}" for file in of_targets)
