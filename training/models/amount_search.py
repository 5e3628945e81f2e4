"""The search for the model of one amount: objective, ridge, boosters, and their weight.

Three objectives are tried: Tweedie (many zeros and a long tail; Jørgensen 1987), squared error,
squared error of log amounts. Under each, a ridge regression and boosters are blended. The loss of
the choice is one that the mean minimises, whatever the distribution of the amounts (Gneiting 2011).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from features.core.language import say
from features.core.progress import print_status
from features.core.settings import Settings
from serving.scoring.amounts import QUANTILES, AmountScale, MeanModel, to_amounts
from serving.scoring.parts import Blend, Linear
from training import parallel
from training.models import boosters, ridge
from training.models.amount_rows import (
    POWER,
    AmountRows,
    amount_folds,
    correct_level,
    learnable,
    loss_floor,
    mean_losses,
    scale_of,
)
from training.models.booster_space import booster_space

TWEEDIE, SQUARED = "tweedie", "squared error"
OBJECTIVES: dict[str, tuple[str, dict[str, Any]]] = {
    TWEEDIE: (
        "log",
        {
            "objective": "reg:tweedie",
            "tweedie_variance_power": POWER,
            "eval_metric": f"tweedie-nloglik@{POWER}",
        },
    ),
    SQUARED: ("identity", {"objective": "reg:squarederror", "eval_metric": "rmse"}),
    "squared error of logs": (
        "signed_log",
        {"objective": "reg:squarederror", "eval_metric": "rmse"},
    ),
}
PINBALL = {
    "objective": "reg:quantileerror",
    "quantile_alpha": list(QUANTILES),
    "eval_metric": "quantile",
}
# Smaller trees that learn more slowly, for few rows or much noise.
CALMER = {"max_leaves": 4, "learning_rate": 0.05, "min_child_weight": 20.0}
WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the boosters
STRENGTHS = (0.01, 0.1, 1.0)  # of the ridge, for each row


Margins = tuple[np.ndarray, np.ndarray]  # of the rows of a fit, and of its check rows


@dataclass(frozen=True)
class AmountSpec:
    """What a search chose: the mean's objective, the boosters' settings, rounds and weight, the
    ridge's strength, the rounds of the quantiles.

    `losses`: the lowest of every objective, of ridge and boosters alone, and of the constant mean,
    on the check rows of the folds.
    """

    objective: str
    settings: dict[str, Any]
    rounds: int
    weight: float
    strength: float
    quantile_rounds: int
    losses: dict[str, float]
    folds: str

    def summary(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


@dataclass(frozen=True)
class _Fold:
    """Rows to fit on and to check on, and the scale of the former."""

    fit: AmountRows
    check: AmountRows
    scale: AmountScale
    floor: float

    def loss(self, objective: str, margins: Margins) -> float:
        """The mean loss on the check rows, the level corrected on the rows of the fit."""
        link, _ = OBJECTIVES[objective]
        amounts, later = (to_amounts(each, link, self.scale) for each in margins)
        model = correct_level(MeanModel(Blend(()), link), amounts, self.fit.amounts, self.scale)
        return self.loss_of(model.corrected(later, self.scale))

    def loss_of(self, expected: np.ndarray) -> float:
        """The mean loss of these expected amounts on the check rows."""
        return float(mean_losses(self.check.amounts, expected, floor=self.floor).mean())


@dataclass(frozen=True)
class _Boosters:
    """Boosters of one candidate: settings, and by fold their rounds and margins."""

    settings: dict[str, Any]
    rounds: int
    margins: tuple[Margins, ...]


def search_amount(data: AmountRows, settings: Settings, *, name: str) -> AmountSpec:
    """The candidate with the lowest loss on the folds.

    Boosters stop where their own metric is no better on the check rows. All are compared by
    `mean_losses` after the correction of their level on the rows of the fit.
    """
    kind = amount_folds(data, outcome_window_us=settings.outcome_window_us)
    floor, seed = loss_floor(data.amounts), settings.training.seed
    folds = []
    for fit, check in kind.pairs:
        rows = data.take(fit)
        folds.append(_Fold(rows, data.take(check), scale_of(rows.amounts), floor))
    names = [each for each in OBJECTIVES if floor > 0 or each != TWEEDIE]
    print_status(
        say(
            "target {name}: {objectives} objectives on {folds} folds",
            name=name,
            objectives=len(names),
            folds=len(folds),
        )
    )

    def search(objective: str) -> tuple[float, dict[str, Any], dict[str, float]]:
        parallel.check_cancelled()
        return _search_objective(objective, folds, settings)

    searched = parallel.map_in_threads(search, names)
    best = min(range(len(names)), key=lambda at: searched[at][0])
    losses = {"mean": _average(folds, [each.loss_of(_constant(each)) for each in folds])}
    for objective, (loss, _, alone) in zip(names, searched, strict=True):
        losses |= {objective: loss, **{f"{objective}, {part}": x for part, x in alone.items()}}
    chosen = searched[best][1]
    rounds = parallel.map_in_threads(
        lambda each: _quantile_rounds(each.fit, each.check, chosen["settings"], seed=seed), folds
    )
    quantile_rounds = max(1, int(np.median(rounds)))
    return AmountSpec(
        names[best], **chosen, quantile_rounds=quantile_rounds, losses=losses, folds=kind.kind
    )


def _search_objective(
    objective: str, folds: Sequence[_Fold], settings: Settings
) -> tuple[float, dict[str, Any], dict[str, float]]:
    """(lowest loss, what gave it, the losses of ridge and boosters alone) of one objective."""
    space = booster_space(settings.training.boosters)
    first = space.settings(space.first)
    calmer = first | {key: value for key, value in CALMER.items() if key not in space.fixed}
    tried = [first, calmer] if settings.training.trials > 1 and calmer != first else [first]
    boosted = [_fit_boosters(objective, folds, each, settings.training.seed) for each in tried]
    ridges = {each: [_ridge_margins(objective, fold, each) for fold in folds] for each in STRENGTHS}
    candidates = [
        (weight, strength, part) for part in boosted for strength in STRENGTHS for weight in WEIGHTS
    ]
    losses = [
        _average(
            folds,
            [
                fold.loss(objective, _blended(weight, part.margins[at], ridges[strength][at]))
                for at, fold in enumerate(folds)
            ],
        )
        for weight, strength, part in candidates
    ]
    weight, strength, part = candidates[int(np.argmin(losses))]
    chosen = {"settings": part.settings, "rounds": part.rounds}
    chosen |= {"weight": weight, "strength": strength}
    alone = {
        label: min(
            loss for loss, (each, *_) in zip(losses, candidates, strict=True) if each == of_boosters
        )
        for label, of_boosters in (("ridge", 0.0), ("boosters", 1.0))
    }
    return min(losses), chosen, alone


def _blended(weight: float, boosters_margins: Margins, ridge_margins: Margins) -> Margins:
    fit, check = (
        weight * ours + (1 - weight) * linear
        for ours, linear in zip(boosters_margins, ridge_margins, strict=True)
    )
    return fit, check


def _average(folds: Sequence[_Fold], losses: Sequence[float]) -> float:
    """The mean of the folds' losses, each weighted by its check rows."""
    return float(np.average(losses, weights=[len(each.check.amounts) for each in folds]))


def _constant(fold: _Fold) -> np.ndarray:
    return np.full(len(fold.check.amounts), fold.fit.amounts.mean())


def _fit_boosters(
    objective: str, folds: Sequence[_Fold], settings: Mapping[str, Any], seed: int
) -> _Boosters:
    link, params = OBJECTIVES[objective]
    chosen, rounds, margins = {**settings, **params}, [], []
    for fold in folds:
        learn, check = (learnable(each, link, fold.scale) for each in (fold.fit, fold.check))
        count, _ = boosters.fit_until_no_better(
            learn, check, settings=chosen, seed=seed, callbacks=[]
        )
        part = boosters.fit_booster(learn, settings=chosen, rounds=count, seed=seed)
        rounds.append(count)
        each = part.margins(fold.fit.matrix)[:, 0], part.margins(fold.check.matrix)[:, 0]
        margins.append(each)
    return _Boosters(dict(settings), max(1, int(np.median(rounds))), tuple(margins))


def _ridge_margins(objective: str, fold: _Fold, strength: float) -> Margins:
    part = fit_regression(objective, fold.fit, fold.scale, strength)
    return part.margins(fold.fit.matrix)[:, 0], part.margins(fold.check.matrix)[:, 0]


def fit_regression(objective: str, data: AmountRows, scale: AmountScale, strength: float) -> Linear:
    """The ridge regression of one objective on these rows."""
    link, _ = OBJECTIVES[objective]
    labels = learnable(data, link, scale).labels
    power = POWER if objective == TWEEDIE else None
    return ridge.fit_amount_regression(data.matrix, labels, strength=strength, power=power)


def _quantile_rounds(
    fit: AmountRows, check: AmountRows, settings: Mapping[str, Any], *, seed: int
) -> int:
    scale = scale_of(fit.amounts)
    learn, other = (learnable(each, "signed_log", scale) for each in (fit, check))
    rounds, _ = boosters.fit_until_no_better(
        learn, other, settings={**settings, **PINBALL}, seed=seed, callbacks=[]
    )
    return rounds
