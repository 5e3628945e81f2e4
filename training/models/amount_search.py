"""The search for the model of one amount: the objective of its mean, settings and rounds.

Three objectives are tried: Tweedie (many zeros and a long tail; Jørgensen 1987), squared error,
squared error of log amounts. The loss of the choice is one that the mean minimises, whatever the
distribution of the amounts (Gneiting 2011).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from features.core.progress import print_status
from features.core.settings import Settings
from serving.scoring.amounts import QUANTILES, MeanModel
from serving.scoring.parts import Blend
from training import parallel
from training.models import boosters
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

SQUARED = "squared error"
OBJECTIVES: dict[str, tuple[str, dict[str, Any]]] = {
    "tweedie": (
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


@dataclass(frozen=True)
class AmountSpec:
    """What a search chose: the mean's objective, settings and rounds, the rounds of the quantiles.

    `losses`: of every candidate and of the constant mean, on the check rows of the folds.
    """

    objective: str
    settings: dict[str, Any]
    rounds: int
    quantile_rounds: int
    losses: dict[str, float]
    folds: str

    def summary(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def search_amount(data: AmountRows, settings: Settings, *, name: str) -> AmountSpec:
    """The objective and settings with the lowest loss on the folds, and the rounds.

    Each candidate stops where its own metric is no better on the check rows, and is compared by
    `mean_losses` after the correction of its level on the rows of its fit.
    """
    folds = amount_folds(data, outcome_window_us=settings.outcome_window_us)
    space, seed = booster_space(settings.training.boosters), settings.training.seed
    first = space.settings(space.first)
    calmer = first | {key: value for key, value in CALMER.items() if key not in space.fixed}
    tried = [first, calmer] if settings.training.trials > 1 and calmer != first else [first]
    floor = loss_floor(data.amounts)
    names = [each for each in OBJECTIVES if floor > 0 or each != "tweedie"]
    candidates = [(objective, each) for objective in names for each in tried]
    pairs = [(data.take(fit), data.take(check)) for fit, check in folds.pairs]
    print_status(f"target {name}: {len(candidates)} candidates on {len(pairs)} folds")

    def judge(candidate: tuple[str, dict[str, Any]]) -> tuple[float, int]:
        parallel.check_cancelled()
        each = [_judge_on_fold(*pair, *candidate, seed=seed, floor=floor) for pair in pairs]
        return _weighted(each, pairs), max(1, int(np.median([rounds for _, rounds in each])))

    judged = parallel.map_in_threads(judge, candidates)
    best = min(range(len(judged)), key=lambda at: judged[at][0])
    objective, chosen = candidates[best]
    constant = [(_constant_loss(fit, check, floor), 0) for fit, check in pairs]
    losses = {"mean": _weighted(constant, pairs)}
    for (label, each), (loss, _) in zip(candidates, judged, strict=True):
        losses[label if each is first else f"{label}, calmer"] = loss
    rounds = [_quantile_rounds(*pair, chosen, seed=seed) for pair in pairs]
    return AmountSpec(
        objective, chosen, judged[best][1], max(1, int(np.median(rounds))), losses, folds.kind
    )


def _weighted(
    each: Sequence[tuple[float, int]], pairs: Sequence[tuple[AmountRows, AmountRows]]
) -> float:
    sizes = [len(check.amounts) for _, check in pairs]
    return float(np.average([loss for loss, _ in each], weights=sizes))


def _constant_loss(fit: AmountRows, check: AmountRows, floor: float) -> float:
    expected = np.full(len(check.amounts), fit.amounts.mean())
    return float(mean_losses(check.amounts, expected, floor=floor).mean())


def _judge_on_fold(
    fit: AmountRows,
    check: AmountRows,
    objective: str,
    settings: Mapping[str, Any],
    *,
    seed: int,
    floor: float,
) -> tuple[float, int]:
    """(loss on the check rows, rounds) of one candidate."""
    scale, (link, params) = scale_of(fit.amounts), OBJECTIVES[objective]
    learn = learnable(fit, link, scale)
    chosen = {**settings, **params}
    rounds, _ = boosters.fit_until_no_better(
        learn, learnable(check, link, scale), settings=chosen, seed=seed, callbacks=[]
    )
    part = boosters.fit_booster(learn, settings=chosen, rounds=rounds, seed=seed)
    model = MeanModel(Blend(((1.0, part),)), link)
    model = correct_level(model, model.uncorrected(fit.matrix, scale), fit.amounts, scale)
    expected = model.expected(check.matrix, scale)
    return float(mean_losses(check.amounts, expected, floor=floor).mean()), rounds


def _quantile_rounds(
    fit: AmountRows, check: AmountRows, settings: Mapping[str, Any], *, seed: int
) -> int:
    scale = scale_of(fit.amounts)
    learn, other = (learnable(each, "signed_log", scale) for each in (fit, check))
    rounds, _ = boosters.fit_until_no_better(
        learn, other, settings={**settings, **PINBALL}, seed=seed, callbacks=[]
    )
    return rounds
