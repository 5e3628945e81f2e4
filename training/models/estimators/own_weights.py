"""The weights of own estimators beside our own blend of ridge and boosters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from training.models.estimators.search_estimators import OwnPart, SearchedEstimator
from training.models.fold_task import FoldTask

SHARES = np.linspace(0, 1, 11)


def blend_weights(
    blended: Sequence[np.ndarray], searched: Sequence[SearchedEstimator], task: FoldTask
) -> tuple[OwnPart, ...]:
    """Every estimator with its weight beside our own blend.

    `blended`: our margins (rows, 1) on every fold's check rows. Those that a release can hold come
    in, the best first, where they lower the loss; as with our own parts, the weight is moved
    halfway to an equal share, because two folds show it only roughly.
    """
    current, weights = list(blended), dict.fromkeys((one.part.name for one in searched), 0.0)
    servable = [one for one in searched if one.part.not_servable is None]
    parts = 2  # the ridge and the boosters
    for one in sorted(servable, key=lambda each: each.part.loss):
        by_share = {
            share: task.mean_log_loss(_mix(current, one.margins, share)) for share in SHARES
        }
        best = float(min(by_share, key=by_share.__getitem__))
        if not best:
            continue
        parts += 1
        share = round((best + 1 / parts) / 2, 3)
        weights = {name: weight * (1 - share) for name, weight in weights.items()}
        weights[one.part.name] = share
        current = _mix(current, one.margins, share)
    return tuple(replace(one.part, weight=round(weights[one.part.name], 6)) for one in searched)


def _mix(
    ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray], share: float
) -> list[np.ndarray]:
    return [(1 - share) * a + share * b for a, b in zip(ours, theirs, strict=True)]
