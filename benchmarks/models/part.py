"""What a part is asked, and how a figure is told."""

from __future__ import annotations

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


def figure(value: float | None, holds: bool | None, wanted: str, **more: Any) -> dict[str, Any]:
    """One figure of the last line; `holds` is None where nothing was wanted, or nothing could be measured."""
    told = None if value is None else round(float(value), 4)
    return {
        "value": told,
        "wanted": wanted,
        "holds": None if holds is None else bool(holds),
        **more,
    }


def rounded(found: dict[str, float]) -> list[float]:
    return [round(found[name], 4) for name in ("low", "high")]
