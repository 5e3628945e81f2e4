"""The outcome window: the future that a label at one instant is about, by both clocks."""

from __future__ import annotations

from dataclasses import dataclass

import narwhals as nw

from features.core.instants import DAY_US
from features.core.settings import Settings


@dataclass(frozen=True)
class OutcomeWindow:
    """What happens in [begin, end) and is recorded before `known_until`; all in µs UTC.

    `known_until` is the end and the label latency.
    """

    begin: int
    end: int
    known_until: int

    @classmethod
    def after(cls, as_of: int, settings: Settings) -> OutcomeWindow:
        """The window of a label at `as_of` (µs UTC)."""
        end = as_of + settings.churn.horizon_days * DAY_US
        return cls(as_of, end, as_of + settings.outcome_window_us)

    def contains(self, column: str) -> nw.Expr:
        """Whether the instant in the column lies in [begin, end)."""
        return (nw.col(column) >= self.begin) & (nw.col(column) < self.end)
