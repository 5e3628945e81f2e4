"""One way to fit both models: ridge and boosters, searched on folds, blended, refitted.

`BlendSpec` is what the search found (ridge strength, booster settings, weight). It is all that a
refit needs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from features.core.progress import print_status, track_steps
from serving.scoring.parts import Blend, Boosted, Part, log_softmax
from training import metrics, parallel
from training.models import boosters, ridge, search, simpler_models
from training.models.boosters import LabelledRows
from training.splits import Folds

WEIGHTS = np.linspace(0, 1, 11)
MAX_AUROC_LOSS = 0.001  # what monotone directions may cost
SEEDS = 2  # boosters of equal settings and different seeds: their mean is better than any of them
EVAL_SEEDS = 1  # of them in fits for weights or calibration only (docs/decisions/020-the-blend.md)


@dataclass(frozen=True)
class BlendSpec:
    """The ridge's strength, the boosters' settings and rounds, their weight, and the fold losses.

    `directions`: the columns that the boosters may follow in one direction only (1 up, −1 down);
    empty where that cost too much. `model`: the blend, or a simpler model that uses only
    `columns`. `trials_done` of `trials_wanted`: fewer where the time was up.
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
    trials_done: int = 0
    trials_wanted: int = 0

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
    """Search on the folds: the ridge's strength, the boosters' settings, then their weight.

    The weight is moved halfway back to one half: one fold shows it only roughly, and an error
    costs most near 0 and 1 (docs/decisions/020-the-blend.md). `directions` are used unless they
    cost the boosters more than MAX_AUROC_LOSS.
    """
    strength, ridge_loss, linear = _search_ridge(matrix, labels, folds, outputs, label)
    parallel.check_cancelled()

    def labelled(part: np.ndarray) -> LabelledRows:
        return LabelledRows(matrix[part], labels[part], names=names, outputs=outputs)

    parts = [(labelled(fit), labelled(check)) for fit, check in folds.pairs]
    tuned = search.tune_boosters(parts, trials=trials, seconds=seconds, seed=seed, label=label)
    boosted = _booster_margins(tuned, parts, seed=seed)
    used: dict[str, int] = {}
    if directions:
        monotone = _booster_margins(tuned, parts, seed=seed, directions=directions)
        cost = _mean_auroc(boosted, labels, folds) - _mean_auroc(monotone, labels, folds)
        if cost <= MAX_AUROC_LOSS:
            boosted, used = monotone, directions
    weight, losses = _search_weight(linear, boosted, labels, folds)
    losses = {"ridge": ridge_loss, **losses}
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
    )


def _search_ridge(
    matrix: np.ndarray, labels: np.ndarray, folds: Folds, outputs: int, label: str
) -> tuple[float, float, list[np.ndarray]]:
    """(strength, its mean log loss, its margins on every fold's check rows)."""
    paths = [
        ridge.fit_ridges(matrix[a], labels[a], strengths=ridge.STRENGTHS, outputs=outputs)
        for a, _ in track_steps(folds.pairs, label=f"{label}: ridge")
    ]
    margins = {
        strength: [
            path[at].margins(matrix[b]) for path, (_, b) in zip(paths, folds.pairs, strict=True)
        ]
        for at, strength in enumerate(ridge.STRENGTHS)
    }
    losses = {strength: _mean_log_loss(each, labels, folds) for strength, each in margins.items()}
    strength = min(losses, key=losses.__getitem__)
    return strength, losses[strength], margins[strength]


def _search_weight(
    linear: list[np.ndarray], boosted: list[np.ndarray], labels: np.ndarray, folds: Folds
) -> tuple[float, dict[str, float]]:
    """The boosters' weight, and the log losses of the boosters, the best blend and this blend."""
    by_weight = {w: _mean_log_loss(_mix(linear, boosted, w), labels, folds) for w in WEIGHTS}
    best = float(min(by_weight, key=by_weight.__getitem__))
    weight = round((best + 0.5) / 2, 3)
    return weight, {
        "boosters": by_weight[1.0],
        "best_blend": by_weight[best],
        "blend": _mean_log_loss(_mix(linear, boosted, weight), labels, folds),
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
    loss = _mean_log_loss(margins, labels, folds)
    losses = {"ridge": loss, "blend": loss}
    return BlendSpec(
        simpler_models.STRENGTH, {}, 0, 0.0, losses, folds.kind, model=model, columns=wanted
    )


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
    if spec.weight < 1:
        linear = ridge.fit_ridge(matrix, labels, strength=spec.strength, outputs=outputs)
        parts.append((1 - spec.weight, linear))
    if spec.weight > 0:
        rows = LabelledRows(matrix, labels, names=names, outputs=outputs)
        boosted = _fit_boosters(
            rows,
            spec.settings,
            spec.rounds,
            seed=seed,
            seeds=seeds,
            directions={name: way for name, way in spec.directions.items() if name in names},
        )
        parts += [(spec.weight * share, part) for share, part in boosted.parts]
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

    print_status(f"{label}: {len(splits)} fits")
    parallel.map_in_threads(fit_split, splits)
    return margins


def _fit_boosters(
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


def _booster_margins(
    tuned: search.SearchResult,
    folds: list[search.Fold],
    *,
    seed: int,
    directions: dict[str, int] | None = None,
) -> list[np.ndarray]:
    """The boosters' margins on every fold's check rows, fitted on its fit rows."""
    return [
        _fit_boosters(
            fit,
            tuned.settings,
            tuned.rounds,
            seed=seed,
            seeds=EVAL_SEEDS,
            directions=directions,
        ).margins(check.matrix)
        for fit, check in folds
    ]


def _mean_auroc(margins: list[np.ndarray], labels: np.ndarray, folds: Folds) -> float:
    """Mean AUROC of log-odds over the folds."""
    aurocs = [
        metrics.auroc(labels[check] == 1, margin[:, 0])[0]
        for margin, (_, check) in zip(margins, folds.pairs, strict=True)
    ]
    return float(np.mean(aurocs))


def _mix(linear: list[np.ndarray], boosted: list[np.ndarray], weight: float) -> list[np.ndarray]:
    """The weighted margins of both parts; several outputs are mixed as log-probabilities."""
    if linear[0].shape[1] > 1:
        linear, boosted = [log_softmax(m) for m in linear], [log_softmax(m) for m in boosted]
    return [(1 - weight) * one + weight * other for one, other in zip(linear, boosted, strict=True)]


def _mean_log_loss(margins: list[np.ndarray], labels: np.ndarray, folds: Folds) -> float:
    """Mean log loss over the folds."""
    losses = []
    for margin, (_, check) in zip(margins, folds.pairs, strict=True):
        if margin.shape[1] == 1:
            margin = np.hstack([np.zeros((len(margin), 1)), margin])
        losses.append(-log_softmax(margin)[np.arange(len(check)), labels[check]].mean())
    return float(np.mean(losses))
