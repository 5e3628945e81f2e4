"""Which settings of the boosters are tried: our space, or that of `[training] boosters`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import sqrt
from typing import Any

INITIAL_SETTINGS: dict[str, Any] = {
    "max_leaves": 8,
    "learning_rate": 0.08,
    "min_child_weight": 5.0,
    "reg_lambda": 5.0,
    "subsample": 0.8,
    "colsample_bytree": 0.5,
}
Range = tuple[float, float, bool]
# (low, high, whether the values are spread evenly in logarithms)
SPACE: dict[str, Range] = {
    "max_leaves": (4, 15, False),
    "learning_rate": (0.03, 0.1, True),
    "min_child_weight": (2.0, 200.0, True),
    "reg_lambda": (1.0, 100.0, True),
    "subsample": (0.5, 1.0, False),
    "colsample_bytree": (0.2, 0.8, False),
}


@dataclass(frozen=True)
class BoosterSpace:
    """`ranges`: what is searched. `fixed`: what is not. `first`: the first trial, in the ranges."""

    ranges: dict[str, Range]
    first: dict[str, Any]
    fixed: dict[str, Any] = field(default_factory=dict)

    def settings(self, tried: Mapping[str, Any]) -> dict[str, Any]:
        """All settings of a booster, where `tried` is one trial's."""
        return {**tried, **self.fixed}


DEFAULT_SPACE = BoosterSpace(SPACE, INITIAL_SETTINGS)


def booster_space(own: Mapping[Any, float | list[float]]) -> BoosterSpace:
    """Our space with a business's own settings: a number is fixed, [low, high] is searched.

    The first trial is ours, or the middle of a range that does not hold it.

    >>> space = booster_space({"max_leaves": 31, "learning_rate": [0.2, 0.8]})
    >>> space.fixed, space.first["learning_rate"]
    ({'max_leaves': 31}, 0.4)
    """
    fixed = {name: value for name, value in own.items() if not isinstance(value, list)}
    ranges, first = {}, {}
    for name, (low, high, log) in SPACE.items():
        if name in fixed:
            continue
        value = INITIAL_SETTINGS[name]
        given = own.get(name)
        if isinstance(given, list):
            whole = isinstance(low, int)
            low, high = (int(end) if whole else float(end) for end in given)
            if not low <= value <= high:
                middle = sqrt(low * high) if log else (low + high) / 2
                value = round(middle) if whole else round(middle, 6)
        ranges[name], first[name] = (low, high, log), value
    return BoosterSpace(ranges, first, fixed)
