"""Calibration error beside AutoGluon's and the ridge logistic's, each recalibrated the way ours is.

Every opponent goes through `training.models.calibration` on predictions for rows it had not seen: customers left out for the
logistic and XGBoost, the newest training date (its tuning data) for AutoGluon. A set's error is the mean over its dates
of the date's ECE: over dates together, a rate that moved up and one that moved down would hide each other.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.models import judged
from benchmarks.models.judged import OURS, Answers
from benchmarks.models.opponents import AUTOGLUON, RIDGE
from benchmarks.models.part import Asked, figure
from benchmarks.models.sets import SETS, population
from training import metrics

AGAINST = (AUTOGLUON, RIDGE)


def measured(asked: Asked) -> dict[str, Any]:
    every = judged.answers(asked)
    said = {id(one): _recalibrated(one) for one in every}
    told = {}
    for name in asked.sets:
        data, who = SETS[name]
        dates = [_errors(one, said[id(one)], who) for one in every if one.case.data == data]
        told[name] = {model: float(np.mean([date[model] for date in dates])) for model in dates[0]}
    return {"sets": told}


def _recalibrated(one: Answers) -> dict[str, np.ndarray]:
    others = [name for name in one.arrays if name != OURS]
    told = {OURS: one.arrays[OURS]["p"]} | {name: one.recalibrated(name) for name in others}
    return told | {f"{name}, as it comes": one.arrays[name]["p"] for name in others}


def _errors(one: Answers, said: dict[str, np.ndarray], who: str) -> dict[str, float]:
    mine = population(one.case.late, who)
    y = one.case.late["churned"].to_numpy()[mine]
    return {name: metrics.ece(y, p[mine]) for name, p in said.items()}


def figures(found: dict[str, Any]) -> dict[str, Any]:
    """The largest of ours − theirs over the sets."""
    told = {}
    for name in AGAINST:
        over = {one: values[OURS] - values[name] for one, values in found["sets"].items() if name in values}
        worst = max(over.values(), default=None)
        told[f"ece_over_{name.lower().replace(' ', '_')}"] = figure(
            worst,
            None if worst is None else worst <= 0,
            "<= 0 on each set",
            sets={one: round(off, 4) for one, off in over.items()},
        )
    return told


def text(found: dict[str, Any]) -> str:
    models = list(next(iter(found["sets"].values())))
    lines = [f"{'ECE':34}" + "".join(f"{name:>28}" for name in found["sets"])]
    return "\n".join(
        lines + [f"{model:34}" + "".join(f"{one[model]:28.4f}" for one in found["sets"].values()) for model in models]
    )
