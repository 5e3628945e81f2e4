"""The model of one amount: a mean that sums to what came, and quantiles that cover as they say.

The mean is a blend of a ridge regression and boosters; its level is corrected on rows that the fit
had not seen. Quantiles are boosters, learned by the pinball loss (Koenker & Bassett 1978) on log
amounts and moved by conformal prediction (Romano, Patterson & Candès 2019), each by the rank of its
level among the same rows.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from features.core.language import say
from features.core.progress import print_status
from features.core.settings import Settings
from serving.scoring.amounts import (
    QUANTILES,
    AmountModel,
    AmountScale,
    MeanModel,
    QuantileModel,
)
from serving.scoring.parts import Blend, Part, Rate
from serving.scoring.targets import NO_SKILL, OK
from training import parallel
from training.models import blending, boosters
from training.models.amount_rows import (
    AmountRows,
    correct_level,
    is_constant,
    learnable,
    scale_of,
)
from training.models.amount_search import OBJECTIVES, PINBALL, SQUARED, AmountSpec, fit_regression
from training.splits import GROUPS, customer_groups


def quantile_moves(logs: np.ndarray, amounts: np.ndarray) -> tuple[float, float, float]:
    """What is added to each quantile's log amount, so that it covers as it says.

    `logs`: log amounts (rows, 3) from fits that had not seen the row, `amounts`: logs of what came.
    With n rows the move is the error of rank (n + 1) · level, to the outside for the outer levels.
    """
    count = len(amounts)
    errors = np.sort(amounts[:, None] - logs, axis=0)
    low, middle, high = (level * (count + 1) for level in QUANTILES)
    ranks = (np.floor(low), np.round(middle), np.ceil(high))
    places = [int(np.clip(rank - 1, 0, count - 1)) for rank in ranks]
    first, second, third = (float(errors[place, at]) for at, place in enumerate(places))
    return first, second, third


Parts = tuple[MeanModel, QuantileModel]


def _fit_parts(
    spec: AmountSpec, data: AmountRows, scale: AmountScale, seed: int, seeds: int
) -> Parts:
    """Both models on these rows, without correction of the level and without moves."""
    # Refunds that came after the search: Tweedie knows no amounts below 0.
    objective = SQUARED if scale.low < 0 else spec.objective
    link, params = OBJECTIVES[objective]
    parts: list[tuple[float, Part]] = []
    if spec.weight < 1:
        parts.append((1 - spec.weight, fit_regression(objective, data, scale, spec.strength)))
    if spec.weight > 0:
        settings = {**spec.settings, **params}
        rows = learnable(data, link, scale)
        boosted = blending.fit_boosters(rows, settings, spec.rounds, seed=seed, seeds=seeds)
        parts += [(spec.weight * share, part) for share, part in boosted.parts]
    quantile = boosters.fit_booster(
        learnable(data, "signed_log", scale),
        settings={**spec.settings, **PINBALL},
        rounds=spec.quantile_rounds,
        seed=seed,
    )
    return MeanModel(Blend(tuple(parts)), link), QuantileModel(quantile, (0.0, 0.0, 0.0))


def fit_amount(
    spec: AmountSpec, data: AmountRows, settings: Settings, *, name: str, population: str
) -> AmountModel:
    """The model on all rows, corrected by predictions that are out of fold (by customers)."""
    scale, seed = scale_of(data.amounts), settings.training.seed
    mean, quantile = _fit_parts(spec, data, scale, seed, blending.SEEDS)
    expected = np.full(len(data.amounts), np.nan)
    logs = np.full((len(data.amounts), len(QUANTILES)), np.nan)
    group = customer_groups(data.rows)

    def predict(fold: int) -> None:
        parallel.check_cancelled()
        mine = group == fold
        if not mine.any() or is_constant(data.amounts[~mine]):
            return
        parts = _fit_parts(spec, data.take(~mine), scale, seed, blending.EVAL_SEEDS)
        expected[mine] = parts[0].uncorrected(data.matrix[mine], scale)
        logs[mine] = parts[1].logs(data.matrix[mine])

    print_status(say("target {name}: {fits} fits for level and coverage", name=name, fits=GROUPS))
    parallel.map_in_threads(predict, range(GROUPS))
    seen = ~np.isnan(expected)
    corrected = _corrected((mean, quantile), expected[seen], logs[seen], data.amounts[seen], scale)
    return AmountModel(name, population, OK, data.columns, *corrected, scale, len(data.amounts))


def _corrected(
    parts: Parts, expected: np.ndarray, logs: np.ndarray, amounts: np.ndarray, scale: AmountScale
) -> Parts:
    """Both models corrected on rows that they had not seen; as they are where there is none."""
    mean, quantile = parts
    if not len(amounts):
        return parts
    moves = quantile_moves(logs, scale.to_logs(amounts))
    return correct_level(mean, expected, amounts, scale), replace(quantile, moves=moves)


def fit_without_tables(
    spec: AmountSpec,
    data: AmountRows,
    later: AmountRows,
    settings: Settings,
    *,
    name: str,
    population: str,
) -> AmountModel:
    """The model of a sub-release, corrected on the `later` rows, which it has not seen.

    As those of churn (docs/decisions/027).
    """
    scale = scale_of(data.amounts)
    parts = _fit_parts(spec, data, scale, settings.training.seed, blending.SEEDS)
    expected, logs = parts[0].uncorrected(later.matrix, scale), parts[1].logs(later.matrix)
    corrected = _corrected(parts, expected, logs, later.amounts, scale)
    return AmountModel(name, population, OK, data.columns, *corrected, scale, len(data.amounts))


def constant_amount(data: AmountRows, *, name: str, population: str) -> AmountModel:
    """The amount without skill: the mean and the quantiles of these rows, of which one is not 0."""
    scale = scale_of(data.amounts)
    logs = scale.to_logs(np.quantile(data.amounts, QUANTILES, method="inverted_cdf"))
    mean = MeanModel(Blend(((1.0, Rate((float(data.amounts.mean() / scale.unit),))),)), "identity")
    part = Rate(tuple(float(each) for each in logs))
    quantile = QuantileModel(part, (0.0, 0.0, 0.0))
    count = len(data.amounts)
    return AmountModel(name, population, NO_SKILL, data.columns, mean, quantile, scale, count)
