"""The search of a blend on folds: the ridge's strength, the boosters' settings, their weight.

Then a business's own estimators, and their weights beside ours.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from features.core.language import say, term
from features.core.progress import track_steps
from serving.scoring.parts import log_softmax
from training import metrics, parallel
from training.models import ridge, search, simpler_models
from training.models.blend_spec import BlendSpec, only_own
from training.models.blending import EVAL_SEEDS, fit_boosters
from training.models.booster_space import DEFAULT_SPACE, BoosterSpace
from training.models.boosters import LabelledRows
from training.models.estimators.estimators_file import (
    NO_ESTIMATORS,
    OwnEstimators,
    not_servable_error,
)
from training.models.estimators.own_weights import blend_weights
from training.models.estimators.search_estimators import search_estimator
from training.models.fold_task import FoldTask, mean_log_loss
from training.splits import Folds

WEIGHTS = np.linspace(0, 1, 11)
USUAL_WEIGHT = 0.75  # of the boosters, where nothing is known
MAX_AUROC_LOSS = 0.001  # what monotone directions may cost


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
    estimators: OwnEstimators = NO_ESTIMATORS,
    space: BoosterSpace = DEFAULT_SPACE,
    strengths: Sequence[float] = ridge.STRENGTHS,
) -> BlendSpec:
    """Search on the folds: the ridge's strength, the boosters' settings, then their weight.

    Then each of a business's own `estimators`, and its weight beside them.

    The weight is moved halfway to USUAL_WEIGHT: two folds show it only roughly, and an error costs
    most near 0 and 1 (docs/decisions/020-the-blend.md). `directions` are used unless they
    cost the boosters more than MAX_AUROC_LOSS.
    """
    until = time.monotonic() + seconds
    strength, ridge_loss, linear = _search_ridge(matrix, labels, folds, outputs, label, strengths)
    parallel.check_cancelled()

    def labelled(part: np.ndarray) -> LabelledRows:
        return LabelledRows(matrix[part], labels[part], names=names, outputs=outputs)

    parts = [(labelled(fit), labelled(check)) for fit, check in folds.pairs]
    tuned = search.tune_boosters(
        parts, trials=trials, seconds=seconds, seed=seed, label=label, space=space
    )
    boosted = _booster_margins(tuned, parts, seed=seed)
    used: dict[str, int] = {}
    if directions:
        monotone = _booster_margins(tuned, parts[:1], seed=seed, directions=directions)
        cost = _newest_auroc(boosted, labels, folds) - _newest_auroc(monotone, labels, folds)
        if cost <= MAX_AUROC_LOSS:
            older = _booster_margins(tuned, parts[1:], seed=seed, directions=directions)
            boosted, used = [*monotone, *older], directions
    weight, losses = _search_weight(linear, boosted, labels, folds)
    losses = {"ridge": ridge_loss, **losses}
    task = FoldTask(matrix, labels, names, folds, seed)
    searched = [
        search_estimator(estimators, each, task, trials=trials, until=until)
        for each in estimators.each
    ]
    own = blend_weights(_mix(linear, boosted, weight), searched, task)
    return BlendSpec(
        strength,
        tuned.settings,
        tuned.rounds,
        weight,
        losses,
        folds.kind,
        tuned.trials,
        used,
        trials_done=len(tuned.trials),
        trials_wanted=trials,
        own=own,
        estimators=estimators,
    )


def _search_ridge(
    matrix: np.ndarray,
    labels: np.ndarray,
    folds: Folds,
    outputs: int,
    label: str,
    strengths: Sequence[float],
) -> tuple[float, float, list[np.ndarray]]:
    """(strength, its mean log loss, its margins on every fold's check rows)."""
    paths = [
        ridge.fit_ridges(matrix[a], labels[a], strengths=strengths, outputs=outputs)
        for a, _ in track_steps(folds.pairs, label=say("{job}: ridge", job=term(label)))
    ]
    margins = {
        strength: [
            path[at].margins(matrix[b]) for path, (_, b) in zip(paths, folds.pairs, strict=True)
        ]
        for at, strength in enumerate(strengths)
    }
    losses = {strength: mean_log_loss(each, labels, folds) for strength, each in margins.items()}
    strength = min(losses, key=losses.__getitem__)
    return strength, losses[strength], margins[strength]


def _search_weight(
    linear: list[np.ndarray], boosted: list[np.ndarray], labels: np.ndarray, folds: Folds
) -> tuple[float, dict[str, float]]:
    """The boosters' weight, and the log losses of the boosters, the best blend and this blend."""
    by_weight = {w: mean_log_loss(_mix(linear, boosted, w), labels, folds) for w in WEIGHTS}
    best = float(min(by_weight, key=by_weight.__getitem__))
    weight = round((best + USUAL_WEIGHT) / 2, 3)
    return weight, {
        "boosters": by_weight[1.0],
        "best_blend": by_weight[best],
        "blend": mean_log_loss(_mix(linear, boosted, weight), labels, folds),
    }


def simple_model_spec(
    model: str,
    matrix: np.ndarray,
    labels: np.ndarray,
    *,
    names: tuple[str, ...],
    columns: tuple[str, ...],
    folds: Folds,
) -> BlendSpec:
    """The spec of a simpler model of two outcomes (`simpler_models.COLUMNS`).

    Nothing is searched; its log loss on the folds is measured.
    """
    wanted, margins = simpler_models.columns_of(model, columns), []
    for fit_on, check in folds.pairs:
        part = ridge.fit_ridge(
            simpler_models.keep_columns(matrix[fit_on], names, wanted),
            labels[fit_on],
            strength=simpler_models.STRENGTH,
            outputs=1,
        )
        margins.append(part.margins(matrix[check]))
    loss = mean_log_loss(margins, labels, folds)
    losses = {"ridge": loss, "blend": loss}
    return BlendSpec(
        simpler_models.STRENGTH, {}, 0, 0.0, losses, folds.kind, model=model, columns=wanted
    )


def own_model_spec(
    name: str,
    matrix: np.ndarray,
    labels: np.ndarray,
    *,
    names: tuple[str, ...],
    folds: Folds,
    trials: int,
    seconds: float,
    seed: int,
    estimators: OwnEstimators,
) -> BlendSpec:
    """The spec of one of a business's own estimators alone. BadSetting where none can serve it."""
    task = FoldTask(matrix, labels, names, folds, seed)
    own, until = estimators.named(name), time.monotonic() + seconds
    part = search_estimator(estimators, own, task, trials=trials, until=until).part
    if part.not_servable:
        raise not_servable_error(name, part.not_servable)
    return only_own(part, estimators, folds.kind)


def _booster_margins(
    tuned: search.SearchResult,
    folds: list[search.Fold],
    *,
    seed: int,
    directions: dict[str, int] | None = None,
) -> list[np.ndarray]:
    """The boosters' margins on every fold's check rows, fitted on its fit rows."""
    return [
        fit_boosters(
            fit,
            tuned.settings,
            tuned.rounds,
            seed=seed,
            seeds=EVAL_SEEDS,
            directions=directions,
        ).margins(check.matrix)
        for fit, check in folds
    ]


def _newest_auroc(margins: list[np.ndarray], labels: np.ndarray, folds: Folds) -> float:
    """AUROC of log-odds on the check rows of the newest fold."""
    _, check = folds.pairs[0]
    return metrics.auroc(labels[check] == 1, margins[0][:, 0])[0]


def _mix(linear: list[np.ndarray], boosted: list[np.ndarray], weight: float) -> list[np.ndarray]:
    """The weighted margins of both parts; several outputs are mixed as log-probabilities."""
    if linear[0].shape[1] > 1:
        linear, boosted = [log_softmax(m) for m in linear], [log_softmax(m) for m in boosted]
    return [(1 - weight) * one + weight * other for one, other in zip(linear, boosted, strict=True)]
