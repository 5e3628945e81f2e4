"""One way to fit both models: ridge and boosters, blended as a `BlendSpec` says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np

from features.core.language import say, term
from features.core.progress import print_status
from serving.scoring.parts import Blend, Boosted, Part
from training import parallel
from training.models import boosters, ridge, simpler_models
from training.models.blend_spec import BlendSpec
from training.models.boosters import LabelledRows
from training.models.estimators.search_estimators import part_of

SEEDS = 2  # boosters of equal settings and different seeds: their mean is better than any of them
EVAL_SEEDS = 1  # of them in fits for weights or calibration only (docs/decisions/020-the-blend.md)


def fit_blend(
    spec: BlendSpec,
    matrix: np.ndarray,
    labels: np.ndarray,
    *,
    names: tuple[str, ...],
    outputs: int,
    seed: int,
    seeds: int = SEEDS,
) -> Blend:
    """The blend on these rows, with boosters of `seeds` seeds; parts of weight 0 are not fitted."""
    parts: list[tuple[float, Part]] = []
    if spec.columns:
        matrix = simpler_models.keep_columns(matrix, names, spec.columns)
    ours = 1 - spec.own_weight
    if spec.weight < 1 and ours > 0:
        linear = ridge.fit_ridge(matrix, labels, strength=spec.strength, outputs=outputs)
        parts.append((ours * (1 - spec.weight), linear))
    if spec.weight > 0 and ours > 0:
        rows = LabelledRows(matrix, labels, names=names, outputs=outputs)
        boosted = fit_boosters(
            rows,
            spec.settings,
            spec.rounds,
            seed=seed,
            seeds=seeds,
            directions={name: way for name, way in spec.directions.items() if name in names},
        )
        parts += [(ours * spec.weight * share, part) for share, part in boosted.parts]
    for own in spec.own:
        if own.weight > 0:
            fitted = part_of(spec.estimators, own, matrix, labels, names=names, seed=seed)
            # One that no release can hold lives as long as the training, which judges it alone.
            parts.append((own.weight, cast(Part, fitted)))
    return Blend(tuple(parts))


def predict_unseen(
    fit: Callable[[np.ndarray], Blend | None],
    matrix: np.ndarray,
    splits: Sequence[tuple[np.ndarray, np.ndarray]],
    *,
    outputs: int,
    label: str,
) -> np.ndarray:
    """Margins (rows, outputs) of the rows of each split from a fit that has not seen them.

    A split is (rows to fit on, rows to predict), both bool (rows,). `fit` gives the model of the
    rows to fit on, or None where they allow none. NaN where no fit predicts.
    """
    margins = np.full((len(matrix), outputs), np.nan)

    def fit_split(split: tuple[np.ndarray, np.ndarray]) -> None:
        parallel.check_cancelled()
        fit_on, mine = split
        part = fit(fit_on) if mine.any() else None
        if part is not None:
            margins[mine] = part.margins(matrix[mine])

    print_status(say("{job}: {fits} fits", job=term(label), fits=len(splits)))
    parallel.map_in_threads(fit_split, splits)
    return margins


def fit_boosters(
    rows: LabelledRows,
    settings: dict[str, Any],
    rounds: int,
    *,
    seed: int,
    seeds: int = SEEDS,
    directions: dict[str, int] | None = None,
) -> Blend:
    """Boosters of equal settings and different seeds, with equal weights."""
    if directions:
        settings = settings | {"monotone_constraints": directions}

    def fit_one(at: int) -> Boosted:
        return boosters.fit_booster(rows, settings=settings, rounds=rounds, seed=seed + at)

    # One thread each, in parallel: the same bytes on any number of cores.
    fitted = parallel.map_in_threads(fit_one, range(seeds))
    return Blend(tuple((1 / seeds, part) for part in fitted))
