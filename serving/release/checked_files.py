"""The files of a release, each read with its rules checked. ReleaseRefused where one is broken.

A file whose hash fits may still hold anything: whoever writes a file can write its hash.
"""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from features.catalogue import custom
from features.core.errors import UsageError
from features.core.settings import Settings, settings_from_mapping
from features.recipes.definitions import Definitions, contradicted_fields
from features.recipes.population_stats import PopulationStats
from features.tables.freshness import needed_tables
from serving.release.evaluation_rules import EvaluationFile
from serving.release.file_rules import broken_file, check_rules
from serving.release.json_files import read_json
from serving.release.model_rules import ModelsFile
from serving.release.reference_file import FILE as REFERENCE
from serving.release.release_rules import FeaturesFile, PopulationRow, StagesFile
from serving.release.sub_release_files import expected_files
from serving.release.target_files import expected_target_files

CARDS = ("card.md", "card.zh.md")
ALWAYS = {
    *CARDS,
    "curve.json",
    "evaluation.json",
    "features.json",
    "golden/rows.parquet",
    "golden/scores.parquet",
    "models.json",
    "population.parquet",
    "seen.json",
    "stages.json",
    "value.json",
}


def read_features(folder: Path, name: str) -> tuple[dict[str, Any], Settings]:
    """(the content of features.json, its configuration as settings)."""
    features = read_json(folder / "features.json", name)
    check_rules(FeaturesFile, features, file="features.json", name=name)
    config, tables = features["config"], features["tables"]
    try:
        settings = settings_from_mapping(config, folder=Path(), where="config")
    except UsageError as error:
        got = f"features.json: {error.where}: {error.rule}"
        raise broken_file(name, got) from error
    # Text, because in Python 1 equals true.
    if _json_text(settings.definitions()) != _json_text(config):
        raise broken_file(name, "features.json: a configuration that is not complete")
    if settings.activity.table not in tables or not set(tables) <= set(settings.tables):
        raise broken_file(name, "features.json: other tables than those of the configuration")
    if any(needed_tables(settings) & set(lacks) for lacks in features["without"]):
        raise broken_file(name, "features.json: a sub-release without a table that all need")
    return features, settings


def _json_text(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def read_definitions(folder: Path, name: str, settings: Settings) -> Definitions:
    """The definitions in stages.json, which fit the settings."""
    stages = read_json(folder / "stages.json", name)
    check_rules(StagesFile, stages, file="stages.json", name=name)
    # The names of the stages are for readers of the file; the code has its own.
    stages.pop("stages")
    definitions = Definitions.from_mapping(stages)
    if contradicted := contradicted_fields(definitions, settings):
        got = f"stages.json: {contradicted[0]} contradicts the configuration in features.json"
        raise broken_file(name, got)
    return definitions


def read_evaluation(folder: Path, name: str) -> dict[str, Any]:
    """The content of evaluation.json."""
    evaluation = read_json(folder / "evaluation.json", name)
    check_rules(EvaluationFile, evaluation, file="evaluation.json", name=name)
    return evaluation


def check_population(folder: Path, name: str, definitions: Definitions) -> None:
    """Refuse a population.parquet that is not one row of population statistics."""
    try:
        table = pq.read_table(folder / "population.parquet")
    except (OSError, pa.ArrowException, ValueError) as error:
        raise broken_file(name, "population.parquet: no readable table") from error
    if table.column_names != [field.name for field in fields(PopulationStats)]:
        raise broken_file(name, "population.parquet: other columns")
    if table.num_rows != 1:
        raise broken_file(name, "population.parquet: not exactly one row")
    row = table.to_pylist()[0]
    check_rules(PopulationRow, row, file="population.parquet", name=name)
    if row["as_of"] < definitions.learned_as_of:
        raise broken_file(name, "population.parquet: as_of before that of the definitions")


def check_file_names(folder: Path, name: str, features: dict[str, Any], models: ModelsFile) -> None:
    """Refuse files that no release has, missing files, and a card that is no text."""
    expected = ALWAYS | {f"golden/{table}.parquet" for table in features["tables"]}
    expected |= models.booster_files()
    expected.update(expected_files(features, folder, name))
    expected.update(expected_target_files(features["config"], folder, name))
    if features["config"]["features"]["own"]:
        expected.add(custom.FILE)
    if (folder / REFERENCE).is_file():  # a release from before it has none
        expected.add(REFERENCE)
    paths = (path for path in folder.rglob("*") if path.is_file())
    actual = {path.relative_to(folder).as_posix() for path in paths} - {"manifest.json"}
    if actual != expected:
        raise broken_file(name, "files that are missing, or that no release has")
    for card in CARDS:
        try:
            (folder / card).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise broken_file(name, f"{card}: no readable text") from error
