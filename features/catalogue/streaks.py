"""Streaks: which of the last twelve consecutive windows had activity, and how much."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import narwhals as nw

from features.recipes.recipe import Now, Recipe, Reduction, feature

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
    number = nw.lit(WINDOWS)
    for k, test in reversed(list(enumerate(tests))):
        number = nw.when(test).then(nw.lit(k)).otherwise(number)
    return number


@feature(
    tables=("activity",),
    unit="windows",
    words="no activity for {value:.0f} periods of {window} in a row",
    windows="w",
)
def inactive_streak(days: int) -> Recipe:
    """Consecutive windows without activity, counted back from as_of.

    Formula: min k with c_k > 0, c_k the count of window k = 0 … 11; at most 12. Window: 12 · W.
    Null: never (0 where the newest window has activity). Source: catalogue 44.
    """
    return Recipe(_windows(days), lambda r, now: _first(count > 0 for count in _counts(r)))


@feature(
    tables=("activity",),
    unit="windows",
    words="active in {value:.0f} periods of {window} in a row",
    windows="w",
)
def active_streak(days: int) -> Recipe:
    """Consecutive windows with activity, counted back from as_of.

    Formula: min k with c_k = 0, c_k the count of window k = 0 … 11; at most 12. Window: 12 · W.
    Null: never (0 where the newest window has none). Source: catalogue 45.
    """
    return Recipe(_windows(days), lambda r, now: _first(count == 0 for count in _counts(r)))


@feature(
    tables=("activity",),
    unit="windows",
    words="most active {value:.0f} periods of {window} ago",
    windows="w",
)
def since_peak(days: int) -> Recipe:
    """Windows since the most active of the last twelve; the newest counts if several are equal.

    Formula: min k with c_k = max c, k = 0 … 11. Window: 12 · W. Null: no activity in the twelve.
    Source: catalogue 46.
    """

    def formula(r: Any, now: Now) -> nw.Expr:
        # Count and age in one whole number: its maximum is the most active window, and the newest
        # of equally active ones.
        best = nw.max_horizontal(*(count * 16 + (15 - k) for k, count in enumerate(_counts(r))))
        return nw.when(best >= 16).then(15 - best % 16)

    return Recipe(_windows(days), formula)
