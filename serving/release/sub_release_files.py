"""The sub-releases of a release folder: `without/<tables>/models.json` and boosters, and back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from features.engine.columns import FeatureColumn
from features.recipes.definitions import Definitions
from serving.release.file_rules import broken_file
from serving.release.scorer_files import read_models, read_scorer, write_scorer
from serving.scoring.sub_releases import SubRelease, joined_name

FOLDER = "without"
Lacks = Sequence[Sequence[str]]


def golden_scores_name(lacks: Sequence[str]) -> str:
    """The name of the table with the golden scores of the sub-release that lacks these tables."""
    return f"scores-{FOLDER}-{joined_name(lacks)}"


def write_sub_releases(sub_releases: Sequence[SubRelease], folder: Path) -> None:
    """Write every scorer into its own folder under `without/`."""
    for each in sub_releases:
        place = folder / FOLDER / each.name
        place.mkdir(parents=True)
        write_scorer(each.scorer, place)


def read_sub_releases(
    lacks: Lacks,
    folder: Path,
    name: str,
    definitions: Definitions,
    columns: Sequence[FeatureColumn],
) -> tuple[SubRelease, ...]:
    """The inverse of `write_sub_releases`; `lacks` is what features.json says under `without`.

    ReleaseRefused where a file breaks its rules, or a column reads a table that it must not.
    """
    tables_read = {column.name: set(column.feature.tables) for column in columns}
    sub_releases = []
    for each in map(tuple, lacks):
        place = folder / FOLDER / joined_name(each)
        models, _ = read_models(place, name)
        if any(tables_read.get(column, set(each)) & set(each) for column in models["columns"]):
            raise broken_file(name, "a sub-release with a column of a table that it lacks")
        sub_releases.append(SubRelease(each, read_scorer(models, place, name, definitions)))
    return tuple(sub_releases)


def expected_files(lacks: Lacks, folder: Path, name: str) -> Iterator[str]:
    """The relative names of the files that these sub-releases have in a release folder.

    ReleaseRefused where one of their models.json breaks its rules.
    """
    for each in lacks:
        place = f"{FOLDER}/{joined_name(each)}"
        yield f"golden/{golden_scores_name(each)}.parquet"
        yield f"{place}/models.json"
        _, models = read_models(folder / place, name)
        yield from (f"{place}/{file}" for file in models.booster_files())
