"""What more contacts would bring, without limits: where more retention loses money.

The customers for whom an action is meant, by falling profit of the best action for each: the
profit of contacting the first k of them grows as long as the next one is worth the contact, and
falls from there on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

POINTS = 100


@dataclass(frozen=True)
class ProfitCurve:
    """contacted (points,): numbers of customers, from 0 on; profit: expected of contacting them.

    best: how many to contact for the largest profit.
    """

    contacted: np.ndarray
    profit: np.ndarray
    best: int
    best_profit: float

    @property
    def everybody(self) -> tuple[int, float]:
        """How many there are in all, and the profit of contacting everybody."""
        return int(self.contacted[-1]), float(self.profit[-1])


def profit_curve(profit: np.ndarray) -> ProfitCurve:
    """Of the profit of each action for each customer (customers, actions); NaN: not meant for them.

    >>> curve = profit_curve(np.array([[3.0], [-1.0], [2.0], [np.nan]]))
    >>> curve.best, curve.best_profit, curve.everybody
    (2, 5.0, (3, 4.0))
    """
    is_meant = np.isfinite(profit).any(axis=1)
    best_action = np.nan_to_num(profit[is_meant], nan=-np.inf).max(axis=1, initial=-np.inf)
    total = np.concatenate([[0.0], np.cumsum(np.sort(best_action)[::-1])])
    best = int(total.argmax())
    places = np.unique(np.linspace(0, len(total) - 1, POINTS + 1).round().astype(int))
    places = np.unique([*places, best])
    return ProfitCurve(places, total[places], best, float(total[best]))
