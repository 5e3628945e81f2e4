"""One part in a process of its own: what it is asked, what a spawned child can import, how a figure is told."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Asked:
    """The sets and opponents to look at, our seconds of search and AutoGluon's of fitting, customers simulated."""

    sets: list[str]
    opponents: list[str]
    seconds: float
    automl_seconds: float
    long: bool
    customers: int
    latent_customers: int


def measure(name: str, asked: Asked, answer: Any) -> None:
    """Run the part's `measured` and send its figures and its words through the pipe."""
    part = importlib.import_module(f"benchmarks.models.{name}")
    found = part.measured(asked)
    answer.send((part.figures(found), part.text(found)))


def figure(value: float | None, holds: bool | None, wanted: str, **more: Any) -> dict[str, Any]:
    """One figure of the last line; `holds` is None where nothing was wanted, or nothing could be measured."""
    told = None if value is None else round(float(value), 4)
    return {"value": told, "wanted": wanted, "holds": None if holds is None else bool(holds), **more}


def rounded(found: dict[str, float]) -> list[float]:
    return [round(found[name], 4) for name in ("low", "high")]
