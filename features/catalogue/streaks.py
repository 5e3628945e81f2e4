"""Streaks: the last twelve windows one after the other, newest first. Which of them saw activity, and how much."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import narwhals as nw

from features.recipes.recipe import Recipe, Reduction, feature

WINDOWS = 12


def _windows(days: int) -> dict[str, Reduction]:
    """Activity of each of the last twelve windows, newest first."""
    return {
        f"w{k}": Reduction("activity", "count", since_days=(k + 1) * days, until_days=k * days)
        for k in range(WINDOWS)
    }


def _counts(r: Any) -> list[nw.Expr]:
    return [getattr(r, f"w{k}") for k in range(WINDOWS)]


def _first(tests: Iterable[nw.Expr]) -> nw.Expr:
    """The number of the newest window that passes; twelve where none does."""
    found = nw.lit(WINDOWS)
    for k, test in reversed(list(enumerate(tests))):
        found = nw.when(test).then(nw.lit(k)).otherwise(found)
    return found


@feature(
    tables=("activity",),
    unit="windows",
    words="no activity for {value:.0f} windows in a row ({window})",
    windows="w",
)
def empty_streak(days: int) -> Recipe:
    """Windows without activity, from as_of backwards up to the newest one that has some.

    Formula: min k with c_k > 0, c_k the count of window k = 0 … 11; at most 12. Window: 12 · W.
    Null: never (0 where the newest window has activity). Source: catalogue 44.
    """
    return Recipe(_windows(days), lambda r, now: _first(count > 0 for count in _counts(r)))


@feature(
    tables=("activity",),
    unit="windows",
    words="active in {value:.0f} windows in a row ({window})",
    windows="w",
)
def active_streak(days: int) -> Recipe:
    """Windows with activity, from as_of backwards up to the newest one that has none.

    Formula: min k with c_k = 0, c_k the count of window k = 0 … 11; at most 12. Window: 12 · W.
    Null: never (0 where the newest window has none). Source: catalogue 45.
    """
    return Recipe(_windows(days), lambda r, now: _first(count == 0 for count in _counts(r)))


@feature(
    tables=("activity",),
    unit="windows",
    words="most active {value:.0f} windows ago ({window})",
    windows="w",
)
def since_peak(days: int) -> Recipe:
    """Windows since the most active one of the last twelve; of equal ones the newest counts.

    Formula: min k with c_k = max c, k = 0 … 11. Window: 12 · W. Null: no activity in the twelve. Source: catalogue 46.
    """

    def formula(r, now):
        # Count and age in one whole number: the largest is the most active window, and of those the newest.
        best = nw.max_horizontal(*(count * 16 + (15 - k) for k, count in enumerate(_counts(r))))
        return nw.when(best >= 16).then(15 - best % 16)

    return Recipe(_windows(days), formula)
