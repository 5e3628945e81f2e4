"""One way to find a model, for both questions: ridge and boosters searched on folds, blended, refitted.

`Recipe` is what the search found (strength, booster settings, weight) and is all a refit needs.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from features.progress import steps
from serving.parts import Blend, log_softmax
from training import ridge, search
from training.splits import Folds

WEIGHTS = np.linspace(0, 1, 11)


@dataclass(frozen=True)
class Ingredients:
    """The ridge's strength, the boosters' settings and rounds, the boosters' weight, and the losses on the folds."""

    strength: float
    settings: dict[str, Any]
    rounds: int
    weight: float
    losses: dict[str, float]
    folds: str
    trials: tuple[dict[str, Any], ...] = ()

    def summary(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "trials"}


def find(
    matrix: np.ndarray, labels: np.ndarray, *, names: tuple[str, ...], outputs: int, folds: Folds,
    trials: int, seconds: float, seed: int, label: str,
) -> Ingredients:  # fmt: skip
    """Search on the folds: the ridge's strength, the boosters' settings, then the weight that loses least together."""
    losses: dict[float, float] = {}
    margins: dict[float, list[np.ndarray]] = {}
    for strength in steps(ridge.STRENGTHS, label=f"{label}: ridge"):
        fitted = [ridge.fit(matrix[a], labels[a], strength=strength, outputs=outputs) for a, _ in folds.pairs]
        margins[strength] = [part.margins(matrix[b]) for part, (_, b) in zip(fitted, folds.pairs, strict=True)]
        losses[strength] = _loss(margins[strength], labels, folds)
    strength = min(losses, key=losses.__getitem__)
    parts = [((matrix[a], labels[a]), (matrix[b], labels[b])) for a, b in folds.pairs]
    found = search.tune(parts, names=names, outputs=outputs, trials=trials, seconds=seconds, seed=seed, label=label)
    boosted = []
    for fit, check in parts:
        part, _, _ = search.boost(
            *fit, names=names, outputs=outputs, settings=found.settings, rounds=found.rounds, seed=seed
        )
        boosted.append(part.margins(check[0]))
    blended = {w: _loss(_mixed(margins[strength], boosted, w), labels, folds) for w in WEIGHTS}
    weight = float(min(blended, key=blended.__getitem__))
    account = {"ridge": losses[strength], "boosters": blended[1.0], "blend": blended[weight]}
    return Ingredients(strength, found.settings, found.rounds, weight, account, folds.kind, found.trials)


def fit(
    ingredients: Ingredients, matrix: np.ndarray, labels: np.ndarray, *, names: tuple[str, ...], outputs: int, seed: int
) -> Blend:
    """The blend on these rows; a part with weight 0 is not fitted."""
    parts = []
    if ingredients.weight < 1:
        parts.append(
            (1 - ingredients.weight, ridge.fit(matrix, labels, strength=ingredients.strength, outputs=outputs))
        )
    if ingredients.weight > 0:
        part, _, _ = search.boost(matrix, labels, names=names, outputs=outputs, settings=ingredients.settings,
                                  rounds=ingredients.rounds, seed=seed)  # fmt: skip
        parts.append((ingredients.weight, part))
    return Blend(tuple(parts))


def _mixed(linear: list[np.ndarray], boosted: list[np.ndarray], weight: float) -> list[np.ndarray]:
    if linear[0].shape[1] > 1:
        linear, boosted = [log_softmax(m) for m in linear], [log_softmax(m) for m in boosted]
    return [(1 - weight) * one + weight * other for one, other in zip(linear, boosted, strict=True)]


def _loss(margins: list[np.ndarray], labels: np.ndarray, folds: Folds) -> float:
    """Mean log loss over the folds."""
    found = []
    for margin, (_, check) in zip(margins, folds.pairs, strict=True):
        if margin.shape[1] == 1:
            margin = np.hstack([np.zeros((len(margin), 1)), margin])
        found.append(-log_softmax(margin)[np.arange(len(check)), labels[check]].mean())
    return float(np.mean(found))
