"""The targets of a release folder: `targets/<name>/model.json` and boosters, and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from serving.release import amount_files
from serving.release.amount_files import AmountFile
from serving.release.blend_files import read_blend, write_blend
from serving.release.file_rules import Count, Rules, Text, broken_file, check_rules, check_unique
from serving.release.json_files import read_json, write_json
from serving.release.model_rules import CalibrationRules, PartRules, Shape, check_blend
from serving.release.scorer_files import check_boosters, read_part
from serving.scoring.amounts import AmountModel
from serving.scoring.calibration import Calibration
from serving.scoring.parts import design_names
from serving.scoring.targets import WITHOUT_MODEL, Target, TargetModel

FOLDER, FILE, BLEND = "targets", "model.json", "target"


class TargetFile(Rules):
    """model.json of a target; without enough data, or with a leak, there is no blend."""

    name: Text
    population: Literal["eligible", "everyone"]
    status: Literal["ok", "no_skill", "not_enough_data", "leak_suspected"]
    columns: list[str]
    blend: Annotated[list[PartRules], Field(min_length=1)] | None
    calibration: CalibrationRules
    rows: Count

    @model_validator(mode="after")
    def _check_shapes(self) -> TargetFile:
        check_unique(self.columns)
        if (self.blend is None) != (self.status in WITHOUT_MODEL):
            raise ValueError("a blend with a status that has none, or the reverse")
        if self.blend is None and self.columns:
            raise ValueError("columns without a blend")
        if self.blend is not None:
            features = len(self.columns)
            columns = len(design_names(tuple(self.columns)))
            check_blend(self.blend, BLEND, Shape(features, columns, frozenset({1})))
        return self

    def parts(self) -> list[PartRules]:
        """The parts of the blend; none without a model."""
        return self.blend or []


def write_targets(targets: Sequence[Target], folder: Path) -> None:
    """Write every target into its own folder under `targets/`."""
    for target in targets:
        place = folder / FOLDER / target.name
        place.mkdir(parents=True)
        if isinstance(target, AmountModel):
            write_json(place / FILE, amount_files.write_amount(target, place))
            continue
        model = {
            "name": target.name,
            "population": target.population,
            "status": target.status,
            "columns": list(target.columns),
            "blend": target.blend and write_blend(target.blend, BLEND, place),
            "calibration": target.calibration.to_mapping(),
            "rows": target.rows,
        }
        write_json(place / FILE, model)


def read_targets(
    config: Mapping[str, Any], folder: Path, name: str, known_columns: Iterable[str]
) -> tuple[Target, ...]:
    """The inverse of `write_targets`: those in the configuration of the release `name`, by name.

    ReleaseRefused where a file breaks its rules or contradicts the configuration.
    """
    known = set(known_columns)
    return tuple(
        _read_target(target, settings, folder, name, known)
        for target, settings in sorted(config.get(FOLDER, {}).items())
    )


def _rules_of(settings: Mapping[str, Any]) -> type[TargetFile | AmountFile]:
    """The rules of the model.json of a configured target: of a label, or of an amount."""
    return AmountFile if "amount" in settings else TargetFile


def _read_target(
    target: str, settings: Mapping[str, Any], folder: Path, name: str, known: set[str]
) -> Target:
    place = folder / FOLDER / target
    model = read_json(place / FILE, name)
    check_rules(_rules_of(settings), model, file=f"{FOLDER}/{FILE}", name=name)
    if (model["name"], model["population"]) != (target, settings["population"]):
        raise broken_file(name, "a target that contradicts the configuration in features.json")
    if not known.issuperset(model["columns"]):
        raise broken_file(name, "a target with a column that the release does not build")
    if "amount" in settings:
        return amount_files.read_amount(model, place, name)
    columns, blend = tuple(model["columns"]), None
    if model["blend"] is not None:
        blend = read_blend(model["blend"], place, design_names(columns))
        check_boosters(blend, {1}, name)
    return TargetModel(
        target,
        model["population"],
        model["status"],
        columns,
        blend,
        read_part(Calibration.from_mapping, model["calibration"], name),
        model["rows"],
    )


def golden_answers(targets: Sequence[Target], rows: pa.Table) -> dict[str, np.ndarray]:
    """By column the answers for golden rows, all of them: whom a target asks about is another
    matter.
    """
    return {
        name: values for target in targets for name, values in target.answers_of_all(rows).items()
    }


def expected_target_files(config: Mapping[str, Any], folder: Path, name: str) -> Iterator[str]:
    """The relative names of the files that the configured targets have in a release folder.

    ReleaseRefused where one of their model.json breaks its rules.
    """
    for target, settings in config.get(FOLDER, {}).items():
        place = f"{FOLDER}/{target}"
        yield f"{place}/{FILE}"
        model = read_json(folder / place / FILE, name)
        rules = check_rules(_rules_of(settings), model, file=f"{FOLDER}/{FILE}", name=name)
        yield from (f"{place}/{part.file}" for part in rules.parts() if hasattr(part, "file"))
