"""The options of a part, and the form of a figure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Options:
    """Sets and opponents, seconds of our search and of an AutoGluon fit, simulated customers."""

    sets: list[str]
    opponents: list[str]
    seconds: float
    automl_seconds: float
    long: bool
    customers: int
    latent_customers: int


def figure(value: float | None, holds: bool | None, wanted: str, **more: Any) -> dict[str, Any]:
    """One figure of the last line; `holds` is None without a goal or without a measurement."""
    shown = None if value is None else round(float(value), 4)
    return {
        "value": shown,
        "wanted": wanted,
        "holds": None if holds is None else bool(holds),
        **more,
    }


def round_interval(interval: dict[str, float]) -> list[float]:
    return [round(interval[name], 4) for name in ("low", "high")]
