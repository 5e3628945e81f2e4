"""Losses of each model on the rows of one set, and differences with intervals over several sets.

Log loss of a set is the mean over the rows of its dates; pooled is the mean over sets with equal
weight. Intervals are 95 %, by a bootstrap over customers. All rows of a customer move together,
also where two sets use the same data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.models import cache, opponents, ours
from benchmarks.models.part import Options
from benchmarks.models.sets import SETS, Case, cases, population
from features.core.instants import DAY_US
from serving.scoring.parts import log_odds
from training import metrics
from training.models import fit_calibration

OURS = "ours"
REPLICATES, SEED = 1000, 7


@dataclass(frozen=True)
class Answers:
    """The answers of one date: arrays (rows,) of each model by name, and its details."""

    case: Case
    arrays: dict[str, dict[str, np.ndarray]]
    details: dict[str, dict[str, Any]]

    def recalibrated(self, name: str) -> np.ndarray:
        """An opponent's p after our own calibration, chosen and fitted on its left-out p."""
        arrays, rows, churn = self.arrays[name], self.case.early, self.case.settings.churn
        known = ~np.isnan(arrays["left_out"])
        customers = np.unique(rows["customer_id"].to_pylist(), return_inverse=True)[1]
        fitted = fit_calibration.fit_calibration(
            log_odds(arrays["left_out"][known]),
            rows["churned"].to_numpy()[known],
            rows["as_of"].to_numpy()[known],
            customers[known],
            window=(churn.horizon_days + churn.label_latency_days) * DAY_US,
        )
        return fitted.p(log_odds(arrays["p"]))


def answers(options: Options) -> list[Answers]:
    """The answers of all dates that the sets need, from our model and each opponent."""
    return [_answers(case, options) for case in cases(options.sets, customers=options.customers)]


def _answers(case: Case, options: Options) -> Answers:
    answers_: dict[str, cache.Answer] = {OURS: ours.train(case, seconds=options.seconds)}
    for name in options.opponents:
        answers_[name] = opponents.answer(name, case, seconds=options.automl_seconds)
    return Answers(
        case,
        {name: one for name, (one, _) in answers_.items()},
        {name: details for name, (_, details) in answers_.items()},
    )


@dataclass(frozen=True)
class SetResult:
    """The rows of one set: `values[model]` is a number of each row (rows,), as its loss."""

    name: str
    data: str
    customers: np.ndarray
    values: dict[str, np.ndarray]

    def mean(self, model: str) -> float:
        return float(self.values[model].mean())


def judge(
    name: str,
    every: list[Answers],
    value: Callable[[Answers], dict[str, np.ndarray]],
    *,
    only: Callable[[Answers], np.ndarray] | None = None,
) -> SetResult:
    """The result of one set: `value` gives a number of each evaluated row of a date, by model.

    Only rows of the set's population, and of `only`, remain.
    """
    return judge_population(name, *SETS[name], every, value, only=only)


def judge_population(
    name: str,
    data: str,
    who: str,
    every: list[Answers],
    value: Callable[[Answers], dict[str, np.ndarray]],
    *,
    only: Callable[[Answers], np.ndarray] | None = None,
) -> SetResult:
    """As `judge`, of the customers `who` (everyone or eligible) of any data."""
    customers, values = [], []
    for one in (one for one in every if one.case.data == data):
        late = one.case.late
        mine = population(late, who) & (only(one) if only else True)
        customers.append(np.array(late["customer_id"].to_pylist())[mine])
        values.append({model: row[mine] for model, row in value(one).items()})
    together = {model: np.concatenate([part[model] for part in values]) for model in values[0]}
    return SetResult(name, data, np.concatenate(customers), together)


def losses(one: Answers) -> dict[str, np.ndarray]:
    """Log loss of churn of each evaluated row, by model."""
    y = one.case.late["churned"].to_numpy()
    return {name: metrics.log_losses(y, arrays["p"]) for name, arrays in one.arrays.items()}


def difference(sets: list[SetResult], one: str, other: str) -> dict[str, float]:
    """Mean over the sets of (mean of one − mean of other), with its interval."""
    value = float(np.mean([part.mean(one) - part.mean(other) for part in sets]))
    drawn = np.zeros(REPLICATES)
    for data in dict.fromkeys(part.data for part in sets):
        mine = [part for part in sets if part.data == data]
        ids, group = np.unique(
            np.concatenate([part.customers for part in mine]), return_inverse=True
        )
        draws = np.random.default_rng(SEED).multinomial(
            len(ids), np.full(len(ids), 1 / len(ids)), size=REPLICATES
        )
        start = 0
        for part in mine:
            at = group[start : start + len(part.customers)]
            start += len(at)
            sums = np.bincount(
                at, weights=part.values[one] - part.values[other], minlength=len(ids)
            )
            drawn += (draws @ sums) / np.maximum(draws @ np.bincount(at, minlength=len(ids)), 1)
    low, high = np.quantile(drawn / len(sets), (0.025, 0.975))
    return {"difference": value, "low": float(low), "high": float(high)}


def format_pair(sets: list[SetResult], one: str, other: str) -> str:
    """one − other over the sets, with its interval, as text."""
    return format_difference(difference(sets, one, other))


def format_difference(result: dict[str, float]) -> str:
    return "{difference:+.4f} ({low:+.4f} … {high:+.4f})".format(**result)
