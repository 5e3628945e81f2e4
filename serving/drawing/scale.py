"""A straight scale from values to pixels, and round numbers on it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

_NO_SPAN = 1e-12  # of the largest value: less is no difference that can be drawn
TICKS = 5  # about so many marks on an axis


@dataclass(frozen=True)
class Scale:
    """`low` … `high` of the values lie at `start` … `end` of the picture, in its units."""

    low: float
    high: float
    start: float
    end: float

    def place(self, value: float) -> float:
        """Where a value lies. Example: `Scale(0, 10, 100, 200).place(5)` is 150."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def length(self, value: float) -> float:
        """How long a bar of this value is."""
        return abs(self.place(value) - self.place(0.0))

    def ticks(self) -> list[float]:
        """Round numbers from `low` to `high`."""
        step = round_step(self.high - self.low)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [step * place for place in range(first, last + 1)]


def scale_for(
    values: Iterable[float], start: float, end: float, *, from_zero: bool = True
) -> Scale:
    """A scale that holds all values and ends on round numbers; without values 0 … 1.

    from_zero: 0 is on it, so that the lengths of bars compare as their values do.
    """
    numbers = [value for value in values if math.isfinite(value)]
    if from_zero:
        numbers.append(0.0)
    low, high = (min(numbers), max(numbers)) if numbers else (0.0, 1.0)
    if high - low <= _NO_SPAN * max(abs(low), abs(high), 1.0):
        low, high = (low, low + max(1.0, abs(low))) if low >= 0 else (low, 0.0)
    step = round_step(high - low)
    return Scale(
        math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step, start, end
    )


def round_step(span: float) -> float:
    """The step of 1, 2 or 5 times a power of ten that cuts the span into about TICKS parts."""
    rough = span / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if rough <= factor * power * 1.0000001)
