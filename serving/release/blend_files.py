"""A blend as plain data and booster files in a release folder, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from serving.scoring.cannot_churn import CannotChurn
from serving.scoring.cells import Cells
from serving.scoring.parts import Blend, Boosted, Linear, Part, Rate
from serving.scoring.rates import Rates

PLAIN = {"linear": Linear, "cells": Cells, "rates": Rates, "settled": CannotChurn}


def write(blend: Blend, name: str, folder: Path) -> list[dict[str, Any]]:
    """The parts as JSON-ready data; boosters go to `<name>-<number>.ubj` in the folder."""
    kinds = {kind: word for word, kind in PLAIN.items()}
    out: list[dict[str, Any]] = []
    for at, (weight, part) in enumerate(blend.parts):
        if isinstance(part, Boosted):
            file = f"{name}-{at}.ubj"
            (folder / file).write_bytes(part.raw)
            out.append({"kind": "boosted", "weight": weight, "file": file})
        elif isinstance(part, Rate):
            out.append({"kind": "rate", "weight": weight, "margin": list(part.margin)})
        else:
            out.append({"kind": kinds[type(part)], "weight": weight, **part.to_mapping()})
    return out


def read(parts: list[dict[str, Any]], folder: Path, names: tuple[str, ...]) -> Blend:
    """What `write` gave; `names` are the design's columns."""

    def part(stated: dict[str, Any]) -> Part:
        rest = {key: value for key, value in stated.items() if key not in ("kind", "weight")}
        if stated["kind"] == "boosted":
            return Boosted((folder / rest["file"]).read_bytes(), names)
        if stated["kind"] == "rate":
            return Rate(tuple(rest["margin"]))
        return PLAIN[stated["kind"]].from_mapping(rest)

    return Blend(tuple((stated["weight"], part(stated)) for stated in parts))
