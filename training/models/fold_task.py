"""What is learned on the folds of a search, and how an answer for their check rows is judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from serving.scoring.parts import log_softmax
from training.splits import Folds


@dataclass(frozen=True)
class FoldTask:
    """`matrix` (rows, columns named `names`), `labels` (rows,), the folds of rows, and a seed."""

    matrix: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]
    folds: Folds
    seed: int

    def mean_log_loss(self, margins: Sequence[np.ndarray]) -> float:
        """Mean log loss over the folds of margins (check rows, outputs) of each fold."""
        return mean_log_loss(margins, self.labels, self.folds)


def mean_log_loss(margins: Sequence[np.ndarray], labels: np.ndarray, folds: Folds) -> float:
    """Mean log loss over the folds; one output is the log-odds of class 1."""
    losses = []
    for margin, (_, check) in zip(margins, folds.pairs, strict=True):
        if margin.shape[1] == 1:
            margin = np.hstack([np.zeros((len(margin), 1)), margin])
        losses.append(-log_softmax(margin)[np.arange(len(check)), labels[check]].mean())
    return float(np.mean(losses))
