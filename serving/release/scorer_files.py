"""A scorer as files of a release folder: models.json and the boosters, and back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from features.core.errors import ReleaseRefused
from features.recipes.definitions import Definitions
from serving.release.blend_files import read_blend, write_blend
from serving.release.file_rules import broken_file, check_rules
from serving.release.json_files import NEVER_EDIT, read_json, write_json
from serving.release.model_rules import ModelsFile
from serving.scoring.calibration import Calibration
from serving.scoring.evidence import RateSpread
from serving.scoring.parts import Blend, Boosted, design_names
from serving.scoring.prediction_sets import PredictionSets
from serving.scoring.scorer import ReasonReference, Scorer

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


def read_models(folder: Path, name: str) -> tuple[dict[str, Any], ModelsFile]:
    """The content of models.json, as it is and as an object of its rules. ReleaseRefused."""
    models = read_json(folder / "models.json", name)
    return models, check_rules(ModelsFile, models, file="models.json", name=name)


def read_scorer(
    models: dict[str, Any], folder: Path, name: str, definitions: Definitions
) -> Scorer:
    """The inverse of `write_scorer`, for the release `name` and the content of its models.json.

    ReleaseRefused where the numbers of a part break its rules.
    """
    # Boosters are checked against these names, in order.
    feature_names = tuple(models["columns"])
    names = design_names(feature_names)
    churn = read_blend(models["churn"], folder, names)
    next_stage = read_blend(models["next_stage"], folder, names)
    _check_outputs(churn, next_stage, len(models["classes"]), name)
    return Scorer(
        definitions,
        feature_names,
        churn=churn,
        calibration=read_part(Calibration.from_mapping, models["calibration"], name),
        next_stage=next_stage,
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


def _check_outputs(churn: Blend, next_stage: Blend, classes: int, name: str) -> None:
    """Refuse a booster that answers with another number of outputs than its blend has."""
    for blend, outputs in ((churn, {1}), (next_stage, {classes, max(classes, 2)})):
        check_boosters(blend, outputs, name)


def check_boosters(blend: Blend, outputs: Collection[int], name: str) -> None:
    """Refuse a booster of the release `name` with none of these numbers of outputs."""
    for _, part in blend.parts:
        if isinstance(part, Boosted):
            margins = part.margins(np.zeros((1, len(part.names))))
            if margins.shape[1] not in outputs or not np.isfinite(margins).all():
                raise broken_file(name, "a booster with other outputs than classes")


def read_part(
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
    return None if mapping is None else read_part(from_mapping, mapping, name)


def _read_reason_reference(mapping: dict[str, Any] | None) -> ReasonReference | None:
    if not mapping:
        return None
    usual = tuple(tuple(medians) for medians in mapping["usual"])
    widespread = tuple(
        tuple(None if span is None else (span[0], span[1]) for span in of_stage)
        for of_stage in mapping["widespread"]
    )
    rest = {
        name: tuple(values)
        for name, values in mapping.items()
        if name not in ("usual", "widespread")
    }
    return ReasonReference(**rest, usual=usual, widespread=widespread)
