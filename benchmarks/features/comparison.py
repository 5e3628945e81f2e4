"""Two models on the same rows: differences of AUROC and log loss with 95 % intervals.

Intervals come from a bootstrap over customers. AUROC is the mean of the AUROCs of the dates, so
that differences between the rates of dates do not count; log loss is the mean over all rows. All
rows of a customer move together, and each draw gives all models the same customers. Pooled over
retailers is the mean of their differences; each retailer is drawn separately.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training import metrics

REPLICATES, SEED = 400, 7


@dataclass(frozen=True)
class ModelResult:
    """One model on one retailer: each metric, and its value in every draw (draws,)."""

    auroc: float
    log_loss: float
    auroc_drawn: np.ndarray
    log_loss_drawn: np.ndarray


class Rows:
    """The evaluated rows: outcome, date and customer of each, and its weight in every draw."""

    def __init__(self, y: np.ndarray, dates: np.ndarray, customers: np.ndarray) -> None:
        self.y, self.dates = y, dates
        _, self.group = np.unique(customers, return_inverse=True)
        groups = int(self.group.max()) + 1
        drawn = np.random.default_rng(SEED).multinomial(
            groups, np.full(groups, 1 / groups), size=REPLICATES
        )
        self.weights = drawn.astype(np.float32)[:, self.group]

    def evaluate(self, p: np.ndarray) -> ModelResult:
        lost = metrics.log_losses(self.y, p)
        mine = [self.dates == date for date in np.unique(self.dates)]
        drawn = [weighted_auroc(self.y[at], p[at], self.weights[:, at]) for at in mine]
        return ModelResult(
            float(np.mean([metrics.auroc(self.y[at], p[at])[0] for at in mine])),
            float(lost.mean()),
            np.mean(drawn, axis=0),
            self.weights @ lost / self.weights.sum(axis=1),
        )


def weighted_auroc(y: np.ndarray, p: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """AUROC of every draw, (draws,), for the rows' `weights` (draws, rows); ties count half."""
    order = np.argsort(p, kind="stable")
    starts = np.flatnonzero(np.diff(p[order], prepend=-np.inf))
    left, stayed = (
        np.add.reduceat(weights[:, order] * side[order], starts, axis=1, dtype=np.float64)
        for side in (y, ~y)
    )
    below = np.cumsum(stayed, axis=1) - stayed / 2
    return (left * below).sum(axis=1) / (left.sum(axis=1) * stayed.sum(axis=1))


@dataclass(frozen=True)
class Difference:
    """One − other, with 95 % intervals (difference, low, high)."""

    auroc: tuple[float, float, float]
    log_loss: tuple[float, float, float]


def difference(pairs: Sequence[tuple[ModelResult, ModelResult]]) -> Difference:
    """The difference of one pair, or of the pairs of several retailers, pooled."""

    def of(name: str) -> tuple[float, float, float]:
        value = float(np.mean([getattr(one, name) - getattr(other, name) for one, other in pairs]))
        drawn = np.mean(
            [
                getattr(one, f"{name}_drawn") - getattr(other, f"{name}_drawn")
                for one, other in pairs
            ],
            axis=0,
        )
        low, high = np.quantile(drawn, (0.025, 0.975))
        return value, float(low), float(high)

    return Difference(of("auroc"), of("log_loss"))


def format_difference(result: Difference) -> str:
    """`+.0123 (+.0045 … +.0201)` of AUROC, then of log loss."""
    return "  ".join(
        "{:+.4f} ({:+.4f} … {:+.4f})".format(*part) for part in (result.auroc, result.log_loss)
    )
