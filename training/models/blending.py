"""One way to find a model, for both questions: ridge and boosters searched on folds, blended, refitted.

`Recipe` is what the search found (strength, booster settings, weight) and is all a refit needs.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from features.core.progress import steps
from serving.scoring.parts import Blend, log_softmax
from training import metrics, parallel
from training.models import ridge, search, simpler_models
from training.splits import Folds

WEIGHTS = np.linspace(0, 1, 11)
COSTLY = 0.001  # of AUROC, for directions
SEEDS = 3  # boosters of equal settings, drawn otherwise: their mean is better than any of them
ASIDE = 1  # of them in fits that only weigh or calibrate (docs/decisions/020-the-blend.md)


@dataclass(frozen=True)
class BlendSpec:
    """The ridge's strength, the boosters' settings and rounds, their weight together, and the losses on the folds.

    `directions`: the columns the boosters may follow in one direction only (1 up, −1 down); empty where that cost too
    much. `model`: the blend, or a simpler one that looks at `columns` alone.
    """

    strength: float
    settings: dict[str, Any]
    rounds: int
    weight: float
    losses: dict[str, float]
    folds: str
    trials: tuple[dict[str, Any], ...] = ()
    directions: dict[str, int] = field(default_factory=dict)
    model: str = simpler_models.BLEND
    columns: tuple[str, ...] = ()

    def summary(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "trials"}


def search_blend(
    matrix: np.ndarray,
    labels: np.ndarray,
    *,
    names: tuple[str, ...],
    outputs: int,
    folds: Folds,
    trials: int,
    seconds: float,
    seed: int,
    label: str,
    directions: dict[str, int] | None = None,
) -> BlendSpec:
    """Search on the folds: the ridge's strength, the boosters' settings, then the weight that loses least together.

    The weight goes halfway back to one half: one fold tells it only roughly, and being wrong costs most at the ends
    (docs/decisions/020-the-blend.md). `directions` are kept unless they cost the boosters more than COSTLY of AUROC.
    """
    paths = [
        ridge.fits(matrix[a], labels[a], strengths=ridge.STRENGTHS, outputs=outputs)
        for a, _ in steps(folds.pairs, label=f"{label}: ridge")
    ]
    margins = {
        strength: [
            path[at].margins(matrix[b]) for path, (_, b) in zip(paths, folds.pairs, strict=True)
        ]
        for at, strength in enumerate(ridge.STRENGTHS)
    }
    losses = {strength: _loss(found, labels, folds) for strength, found in margins.items()}
    parallel.check_cancelled()
    strength = min(losses, key=losses.__getitem__)
    parts = [((matrix[a], labels[a]), (matrix[b], labels[b])) for a, b in folds.pairs]
    found = search.tune(
        parts, names=names, outputs=outputs, trials=trials, seconds=seconds, seed=seed, label=label
    )
    boosted = _boosted(found, parts, names=names, outputs=outputs, seed=seed)
    kept: dict[str, int] = {}
    if directions:
        straight = _boosted(
            found, parts, names=names, outputs=outputs, seed=seed, directions=directions
        )
        if _auroc(boosted, labels, folds) - _auroc(straight, labels, folds) <= COSTLY:
            boosted, kept = straight, directions
    blended = {w: _loss(_mixed(margins[strength], boosted, w), labels, folds) for w in WEIGHTS}
    best = float(min(blended, key=blended.__getitem__))
    weight = round((best + 0.5) / 2, 3)
    account = {
        "ridge": losses[strength],
        "boosters": blended[1.0],
        "best_blend": blended[best],
        "blend": _loss(_mixed(margins[strength], boosted, weight), labels, folds),
    }
    return BlendSpec(
        strength, found.settings, found.rounds, weight, account, folds.kind, found.trials, kept
    )


def find_simple(
    model: str,
    matrix: np.ndarray,
    labels: np.ndarray,
    *,
    names: tuple[str, ...],
    columns: tuple[str, ...],
    folds: Folds,
) -> BlendSpec:
    """The ingredients of a simpler model of two outcomes (`simple.COLUMNS`): nothing to search, its loss on the folds told."""
    wanted, seen = simpler_models.columns_of(model, columns), []
    for fit_on, check in folds.pairs:
        part = ridge.fit(
            simpler_models.only(matrix[fit_on], names, wanted),
            labels[fit_on],
            strength=simpler_models.STRENGTH,
            outputs=1,
        )
        seen.append(part.margins(matrix[check]))
    loss = _loss(seen, labels, folds)
    return BlendSpec(
        simpler_models.STRENGTH,
        {},
        0,
        0.0,
        {"ridge": loss, "blend": loss},
        folds.kind,
        model=model,
        columns=wanted,
    )


def fit(
    ingredients: BlendSpec,
    matrix: np.ndarray,
    labels: np.ndarray,
    *,
    names: tuple[str, ...],
    outputs: int,
    seed: int,
    seeds: int = SEEDS,
) -> Blend:
    """The blend on these rows, with boosters of `seeds` seeds; a part with weight 0 is not fitted."""
    parts = []
    if ingredients.columns:
        matrix = simpler_models.only(matrix, names, ingredients.columns)
    if ingredients.weight < 1:
        parts.append(
            (
                1 - ingredients.weight,
                ridge.fit(matrix, labels, strength=ingredients.strength, outputs=outputs),
            )
        )
    if ingredients.weight > 0:
        boosters = _seeds(
            ingredients.settings,
            ingredients.rounds,
            matrix,
            labels,
            names=names,
            outputs=outputs,
            seed=seed,
            seeds=seeds,
            directions=ingredients.directions,
        )
        parts += [(ingredients.weight * share, part) for share, part in boosters.parts]
    return Blend(tuple(parts))


def _seeds(
    settings: dict[str, Any],
    rounds: int,
    matrix: np.ndarray,
    labels: np.ndarray,
    *,
    names: tuple[str, ...],
    outputs: int,
    seed: int,
    seeds: int = SEEDS,
    directions: dict[str, int] | None = None,
) -> Blend:
    """Boosters of equal settings and different seeds, weighing alike."""
    if directions:
        settings = settings | {"monotone_constraints": directions}

    def one(at: int) -> Any:
        return search.boost(
            matrix,
            labels,
            names=names,
            outputs=outputs,
            settings=settings,
            rounds=rounds,
            seed=seed + at,
        )

    # One thread each, side by side: the same bytes on any number of cores.
    with ThreadPoolExecutor(min(seeds, os.cpu_count() or 1)) as side_by_side:
        fitted = list(side_by_side.map(one, range(seeds)))
    return Blend(tuple((1 / seeds, part) for part, _, _ in fitted))


def _boosted(
    found: search.Found,
    parts: list[search.Fold],
    *,
    names: tuple[str, ...],
    outputs: int,
    seed: int,
    directions: dict[str, int] | None = None,
) -> list[np.ndarray]:
    """The boosters' margins on every fold's check rows, from its fit rows."""
    return [
        _seeds(
            found.settings,
            found.rounds,
            *fit,
            names=names,
            outputs=outputs,
            seed=seed,
            seeds=ASIDE,
            directions=directions,
        ).margins(check[0])
        for fit, check in parts
    ]


def _auroc(margins: list[np.ndarray], labels: np.ndarray, folds: Folds) -> float:
    """Mean AUROC over the folds, of log-odds."""
    return float(
        np.mean(
            [
                metrics.auroc(labels[check] == 1, margin[:, 0])[0]
                for margin, (_, check) in zip(margins, folds.pairs, strict=True)
            ]
        )
    )


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
