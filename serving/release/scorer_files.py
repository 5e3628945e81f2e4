"""A scorer as files of a release folder: models.json and the boosters, and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from features.core.errors import ReleaseRefused
from features.recipes.definitions import Definitions
from serving.release.blend_files import read_blend, write_blend
from serving.scoring.calibration import Calibration
from serving.scoring.evidence import RateSpread
from serving.scoring.parts import design_names
from serving.scoring.prediction_sets import PredictionSets
from serving.scoring.scorer import ReasonReference, Scorer

NEVER_EDIT = "Train again, or promote another release; never edit a release."
T = TypeVar("T")


def write_scorer(scorer: Scorer, folder: Path) -> None:
    """Write models.json and the boosters' files, without the definitions."""
    reference, sets, spread = scorer.reason_reference, scorer.prediction_sets, scorer.rate_spread
    models = {
        "churn": write_blend(scorer.churn, "churn", folder),
        "next_stage": write_blend(scorer.next_stage, "next_stage", folder),
        "calibration": scorer.calibration.to_mapping(),
        "classes": list(scorer.classes),
        "columns": list(scorer.columns),
        "churn_rows": scorer.churn_rows,
        "stay_rows": scorer.stay_rows,
        "status": scorer.status,
        "reason_reference": asdict(reference) if reference else None,
        "prediction_sets": sets.to_mapping() if sets else None,
        "rate_spread": spread.to_mapping() if spread else None,
    }
    write_json(folder / "models.json", models)


def read_scorer(folder: Path, name: str, definitions: Definitions) -> Scorer:
    """The inverse of `write_scorer`, for the release `name`.

    ReleaseRefused where the numbers of a part break its rules.
    """
    models = read_json(folder / "models.json")
    # Boosters are checked against these names, in order.
    feature_names = tuple(models["columns"])
    names = design_names(feature_names)
    return Scorer(
        definitions,
        feature_names,
        churn=read_blend(models["churn"], folder, names),
        calibration=_read_part(Calibration.from_mapping, models["calibration"], name),
        next_stage=read_blend(models["next_stage"], folder, names),
        classes=tuple(models["classes"]),
        churn_rows=models["churn_rows"],
        stay_rows=models["stay_rows"],
        status=models["status"],
        reason_reference=_read_reason_reference(models["reason_reference"]),
        prediction_sets=_read_optional_part(
            PredictionSets.from_mapping, models["prediction_sets"], name
        ),
        rate_spread=_read_optional_part(RateSpread.from_mapping, models["rate_spread"], name),
    )


def _read_part(
    from_mapping: Callable[[Mapping[str, Any]], T], mapping: Mapping[str, Any], name: str
) -> T:
    """What `from_mapping` reads; ReleaseRefused where the numbers break the part's rules."""
    try:
        return from_mapping(mapping)
    except (KeyError, TypeError, ValueError) as error:
        raise ReleaseRefused(
            where=f"release {name}",
            got="a part of models.json with numbers that break its rules",
            rule="A calibration is strictly increasing; thresholds lie from 0 to 1; "
            "standard deviations are at least 0.",
            fix=NEVER_EDIT,
        ) from error


def _read_optional_part(
    from_mapping: Callable[[Mapping[str, Any]], T], mapping: Mapping[str, Any] | None, name: str
) -> T | None:
    return None if mapping is None else _read_part(from_mapping, mapping, name)


def _read_reason_reference(mapping: dict[str, Any] | None) -> ReasonReference | None:
    if not mapping:
        return None
    usual = tuple(tuple(medians) for medians in mapping["usual"])
    rest = {name: tuple(values) for name, values in mapping.items() if name != "usual"}
    return ReasonReference(**rest, usual=usual)


def write_json(path: Path, value: Any) -> None:
    """JSON whose bytes depend on the value alone; ValueError for NaN and infinity."""
    # Sorted keys: equal content must give equal hashes.
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """The object of a JSON file."""
    return json.loads(path.read_text())
