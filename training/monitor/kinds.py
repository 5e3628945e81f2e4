"""What the monitor says of one kind of figure: moved, calm, or that it cannot tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from training.drift.statistic import (
    LEAST_DATES,
    Comparison,
    beyond_chance,
    chances,
    compare_counts,
    count_apart,
    smallest_visible,
)

MOVED, CALM, CANNOT_TELL, NOTHING_YET = "moved", "calm", "cannot tell", "nothing yet"
# A fifth of the customers elsewhere: half a standard deviation, which Cohen (1988) calls a medium
# effect. Who sees only larger ones cannot say that nothing moved.
LARGEST_VISIBLE = 0.2
TOO_FEW_DATES, TOO_FEW_CUSTOMERS, NOBODY = "too few dates", "too few customers", "nobody"


@dataclass(frozen=True)
class Change:
    """One thing that moved: the share of customers elsewhere, less what chance makes.

    `chance`: the probability in a calm month. `usual`, `now`: shares of the bin that moved most,
    which is number `bin`.
    """

    name: str
    effect: float
    chance: float
    bin: int
    usual: float
    now: float


@dataclass(frozen=True)
class KindResult:
    """One kind: its verdict, how much was looked at, what moved (furthest first).

    `visible`: the smallest change that is seen in 8 of 10 months, as a share of the customers; None
    where nothing can be compared. `why`: why it cannot tell.
    """

    kind: str
    verdict: str
    customers: int
    tests: int
    changes: tuple[Change, ...] = ()
    visible: float | None = None
    why: str | None = None

    def counts(self) -> dict[str, Any]:
        """Counts and shares, without a name of anything: for logs and MLflow."""
        return {
            "verdict": self.verdict,
            "customers": self.customers,
            "tests": self.tests,
            "moved": len(self.changes),
            "largest": max((each.effect for each in self.changes), default=0.0),
            "visible": self.visible,
            "why": self.why,
        }

    def report(self) -> dict[str, Any]:
        """All of it, for the owner."""
        return self.counts() | {"changes": [vars(each).copy() for each in self.changes]}


def judge_kind(
    kind: str,
    names: Sequence[str],
    now: np.ndarray,
    usual: np.ndarray,
    *,
    calm: np.ndarray,
    trend: np.ndarray,
    dates: np.ndarray,
    as_of: int,
    headline: np.ndarray | None = None,
) -> KindResult:
    """Judge counts `now` beside `usual` of `dates` (µs), mean or sum; both (strata, series, bins).

    `headline` (series,): the series by which it is said what can be seen; all where left out.
    """
    customers = int(now.sum(-1).sum(0).max(initial=0.0))
    if not names or not customers:
        return KindResult(kind, CANNOT_TELL, customers, len(names), why=NOBODY)
    if count_apart(dates) < LEAST_DATES:
        return KindResult(kind, CANNOT_TELL, customers, len(names), why=TOO_FEW_DATES)
    days = float(as_of - dates.mean()) / 86_400e6
    compared = compare_counts(now, usual)
    chance = chances(compared, calm, trend, days=days, dates=len(dates))
    changes = _changes(names, now, usual, compared, chance)
    seen = smallest_visible(compared, trend, days=days, tests=len(names))
    visible = float(np.median(seen if headline is None else seen[headline]))
    if changes:
        return KindResult(kind, MOVED, customers, len(names), changes, visible)
    if visible > LARGEST_VISIBLE:
        why = TOO_FEW_CUSTOMERS
        return KindResult(kind, CANNOT_TELL, customers, len(names), visible=visible, why=why)
    return KindResult(kind, CALM, customers, len(names), visible=visible)


def _changes(
    names: Sequence[str],
    now: np.ndarray,
    usual: np.ndarray,
    compared: Comparison,
    chance: np.ndarray,
) -> tuple[Change, ...]:
    moved = np.flatnonzero(beyond_chance(chance))
    changes = []
    for at in moved[np.argsort(-compared.effect[moved], kind="stable")].tolist():
        counts, total = now[:, at], max(float(now[:, at].sum()), 1.0)
        expected = _expected(counts, usual[:, at])
        place = int(np.abs(counts.sum(0) - expected).argmax())
        changes.append(
            Change(
                names[at],
                float(compared.effect[at]),
                float(chance[at]),
                place,
                float(expected[place]) / total,
                float(counts[:, place].sum()) / total,
            )
        )
    return tuple(changes)


def _expected(now: np.ndarray, usual: np.ndarray) -> np.ndarray:
    """The usual shares with today's mix of strata, as counts (bins,)."""
    rows = usual.sum(-1, keepdims=True)
    everyone = usual.sum(0) / max(float(usual.sum()), 1e-300)
    shares = np.where(rows > 0, usual / np.where(rows > 0, rows, 1.0), everyone)
    return (now.sum(-1, keepdims=True) * shares).sum(0)
