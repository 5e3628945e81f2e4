"""One finding of `lifecycle check`: what looks wrong, how often, and what to type."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Finding:
    """What looks wrong in a table ('settings' for a setting without effect).

    name: a fixed word for programs. counts: the figures behind the sentence. fix: what to type.
    values: up to three offending values, for the owner alone; never the id of a customer.
    """

    name: str
    table: str
    sentence: str
    fix: str
    counts: dict[str, int | float] = field(default_factory=dict)
    values: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "values": list(self.values)}


def percent_of(part: float, whole: float) -> str:
    """A share in percent with one decimal.

    >>> percent_of(1, 8)
    '12.5 %'
    """
    return f"{part / whole:.1%}".replace("%", " %") if whole else "0 %"
