"""One set, judged: its rows' outcomes and what every model said, and differences with intervals over several sets.

Log loss of a set is the mean over the rows of its dates; pooled is the mean over sets, each alike. Intervals: 95 %, by
a bootstrap over customers. All rows of a customer move together, also where two sets look at the same data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.models import kept, opponents, ours
from benchmarks.models.part import Asked
from benchmarks.models.sets import SETS, Case, cases, population
from features.core.instants import DAY_US
from serving.scoring.parts import log_odds
from training import metrics
from training.models import fit_calibration

OURS, LONGER = "ours", "ours, default budget"
REPLICATES, SEED = 1000, 7


@dataclass(frozen=True)
class Answers:
    """Of one date: what each model answered, by its name, on the case's evaluated rows; and what it said of itself."""

    case: Case
    arrays: dict[str, dict[str, np.ndarray]]
    said: dict[str, dict[str, Any]]

    def recalibrated(self, name: str) -> np.ndarray:
        """An opponent's p through the calibration ours goes through: chosen and fitted on its left-out p."""
        found, rows, churn = self.arrays[name], self.case.early, self.case.settings.churn
        known = ~np.isnan(found["left_out"])
        customers = np.unique(rows["customer_id"].to_pylist(), return_inverse=True)[1]
        fitted = fit_calibration.calibrate(
            log_odds(found["left_out"][known]),
            rows["churned"].to_numpy()[known],
            rows["as_of"].to_numpy()[known],
            customers[known],
            window=(churn.horizon_days + churn.label_latency_days) * DAY_US,
        )
        return fitted.p(log_odds(found["p"]))


def answers(asked: Asked, *, longer: bool = False) -> list[Answers]:
    """Of every date the sets asked for need: ours (with the default budget too where `longer`), and each opponent."""
    return [_answers(case, asked, longer) for case in cases(asked.sets, customers=asked.customers)]


def _answers(case: Case, asked: Asked, longer: bool) -> Answers:
    found: dict[str, kept.Answer] = {OURS: ours.learned(case, seconds=asked.seconds)}
    if longer:
        found[LONGER] = ours.learned(case, seconds=ours.DEFAULT)
    for name in asked.opponents:
        found[name] = opponents.answer(name, case, seconds=asked.automl_seconds)
    return Answers(
        case,
        {name: one for name, (one, _) in found.items()},
        {name: told for name, (_, told) in found.items()},
    )


@dataclass(frozen=True)
class Judged:
    """The rows of one set: `values[model]` is a number of each row (rows,), as its loss."""

    name: str
    data: str
    customers: np.ndarray
    values: dict[str, np.ndarray]

    def mean(self, model: str) -> float:
        return float(self.values[model].mean())


def judged(
    name: str,
    every: list[Answers],
    value: Callable[[Answers], dict[str, np.ndarray]],
    *,
    only: Callable[[Answers], np.ndarray] | None = None,
) -> Judged:
    """`value` answers per evaluated row of a date, by model; of these the set's population is kept, and `only` those."""
    data, who = SETS[name]
    customers, values = [], []
    for one in (one for one in every if one.case.data == data):
        late = one.case.late
        mine = population(late, who) & (only(one) if only else True)
        customers.append(np.array(late["customer_id"].to_pylist())[mine])
        values.append({model: row[mine] for model, row in value(one).items()})
    together = {model: np.concatenate([part[model] for part in values]) for model in values[0]}
    return Judged(name, data, np.concatenate(customers), together)


def losses(one: Answers) -> dict[str, np.ndarray]:
    """Log loss of churn of each evaluated row, by model."""
    y = one.case.late["churned"].to_numpy()
    return {name: metrics.losses(y, found["p"]) for name, found in one.arrays.items()}


def difference(sets: list[Judged], one: str, other: str) -> dict[str, float]:
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


def words(found: dict[str, float]) -> str:
    return "{difference:+.4f} ({low:+.4f} … {high:+.4f})".format(**found)
