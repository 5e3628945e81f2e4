"""A blend as plain data and booster files in a release folder, and back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from serving.scoring.cannot_churn import CannotChurn
from serving.scoring.cells import CellMargins
from serving.scoring.parts import Blend, Boosted, Forest, Linear, Part, Rate
from serving.scoring.rates import Rates

TREE_PARTS: dict[str, type[Boosted]] = {"boosted": Boosted, "forest": Forest}
PLAIN_PARTS: dict[str, type[Linear | CellMargins | Rates | CannotChurn]] = {
    "linear": Linear,
    "cell_margins": CellMargins,
    "rates": Rates,
    "cannot_churn": CannotChurn,
}


def write_blend(blend: Blend, name: str, folder: Path) -> list[dict[str, Any]]:
    """The parts as JSON-ready data; trees are written to `<name>-<number>.ubj` in the folder."""
    kinds = {part_class: kind for kind, part_class in (TREE_PARTS | PLAIN_PARTS).items()}
    result: list[dict[str, Any]] = []
    for number, (weight, part) in enumerate(blend.parts):
        if isinstance(part, Boosted):
            file = f"{name}-{number}.ubj"
            (folder / file).write_bytes(part.raw)
            result.append({"kind": kinds[type(part)], "weight": weight, "file": file})
        elif isinstance(part, Rate):
            result.append({"kind": "rate", "weight": weight, "margin": list(part.margin)})
        else:
            result.append({"kind": kinds[type(part)], "weight": weight, **part.to_mapping()})
    return result


def read_blend(parts: list[dict[str, Any]], folder: Path, names: tuple[str, ...]) -> Blend:
    """The inverse of `write_blend`; `names` are the columns of the design matrix."""
    return Blend(tuple((part["weight"], _read_part(part, folder, names)) for part in parts))


def _read_part(mapping: Mapping[str, Any], folder: Path, names: tuple[str, ...]) -> Part:
    values = {key: value for key, value in mapping.items() if key not in ("kind", "weight")}
    if mapping["kind"] in TREE_PARTS:
        return TREE_PARTS[mapping["kind"]]((folder / values["file"]).read_bytes(), names)
    if mapping["kind"] == "rate":
        return Rate(tuple(values["margin"]))
    return PLAIN_PARTS[mapping["kind"]].from_mapping(values)
