"""Calibration error beside AutoGluon's and the ridge logistic's, each recalibrated the way ours is.

Every opponent goes through `training.models.fit_calibration` on predictions for rows it had not seen: customers left out for the
logistic and XGBoost, the newest training date (its tuning data) for AutoGluon. A set's error is the mean over its dates
of the date's ECE: over dates together, a rate that moved up and one that moved down would hide each other.

The interval beside a difference is a bootstrap over customers, the rows' bins kept. Drawing rows anew adds as much to both
errors as it does to either, so what the draws are off on average is taken from them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.models import judged
from benchmarks.models.judged import OURS, REPLICATES, SEED, Answers
from benchmarks.models.opponents import AUTOGLUON, RIDGE
from benchmarks.models.part import Asked, figure, rounded
from benchmarks.models.sets import SETS, population
from training import metrics

AGAINST = (AUTOGLUON, RIDGE)


def measured(asked: Asked) -> dict[str, Any]:
    every = judged.answers(asked)
    said = {id(one): _recalibrated(one) for one in every}
    told, over = {}, {}
    for name in asked.sets:
        data, who = SETS[name]
        mine = [(one, said[id(one)]) for one in every if one.case.data == data]
        dates = [_errors(one, p, who) for one, p in mine]
        told[name] = {model: float(np.mean([date[model] for date in dates])) for model in dates[0]}
        over[name] = _over(
            mine,
            who,
            {
                model: told[name][OURS] - told[name][model]
                for model in AGAINST
                if model in told[name]
            },
        )
    return {"sets": told, "over": over}


def _recalibrated(one: Answers) -> dict[str, np.ndarray]:
    others = [name for name in one.arrays if name != OURS]
    told = {OURS: one.arrays[OURS]["p"]} | {name: one.recalibrated(name) for name in others}
    return told | {f"{name}, as it comes": one.arrays[name]["p"] for name in others}


def _errors(one: Answers, said: dict[str, np.ndarray], who: str) -> dict[str, float]:
    mine = population(one.case.late, who)
    y = one.case.late["churned"].to_numpy()[mine]
    return {name: metrics.ece(y, p[mine]) for name, p in said.items()}


def _over(
    mine: list[tuple[Answers, dict[str, np.ndarray]]], who: str, value: dict[str, float]
) -> dict[str, Any]:
    """Ours − theirs (`value`) by model, with its interval."""
    ids = np.unique(np.concatenate([one.case.late["customer_id"].to_pylist() for one, _ in mine]))
    draws = np.random.default_rng(SEED).multinomial(
        len(ids), np.full(len(ids), 1 / len(ids)), size=REPLICATES
    )
    drawn = {
        model: np.mean([_drawn(one, p[model], who, ids, draws) for one, p in mine], axis=0)
        for model in (OURS, *value)
    }
    out = {}
    for model, off in value.items():
        apart = drawn[OURS] - drawn[model]
        low, high = np.quantile(apart - apart.mean(), (0.025, 0.975)) + off
        out[model] = {"difference": off, "low": float(low), "high": float(high)}
    return out


def _drawn(one: Answers, p: np.ndarray, who: str, ids: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """The ECE of one date in each draw of customers, (REPLICATES,)."""
    mine = population(one.case.late, who)
    y, p = one.case.late["churned"].to_numpy()[mine], p[mine]
    at = np.searchsorted(ids, np.array(one.case.late["customer_id"].to_pylist())[mine])
    last = np.cumsum([part["rows"] for part in metrics.reliability(y, p)]) - 1
    bins = np.searchsorted(np.sort(p)[last], p)  # equal p are always in one bin
    off = np.zeros((len(ids), bins.max(initial=0) + 1))
    np.add.at(off, (at, bins), y - p)
    return abs(draws @ off).sum(axis=1) / np.maximum(draws @ np.bincount(at, minlength=len(ids)), 1)


def figures(found: dict[str, Any]) -> dict[str, Any]:
    """The largest of ours − theirs over the sets."""
    told = {}
    for name in AGAINST:
        over = {
            one: values[OURS] - values[name]
            for one, values in found["sets"].items()
            if name in values
        }
        worst = max(over.values(), default=None)
        told[f"ece_over_{name.lower().replace(' ', '_')}"] = figure(
            worst,
            None if worst is None else worst <= 0,
            "<= 0 on each set",
            sets={one: round(off, 4) for one, off in over.items()},
            intervals={
                one: rounded(parts[name]) for one, parts in found["over"].items() if name in parts
            },
        )
    return told


def text(found: dict[str, Any]) -> str:
    models = list(next(iter(found["sets"].values())))
    lines = [f"{'ECE':34}" + "".join(f"{name:>28}" for name in found["sets"])]
    lines += [
        f"{model:34}" + "".join(f"{one[model]:28.4f}" for one in found["sets"].values())
        for model in models
    ]
    lines += [
        f"{'ours − ' + model:34}"
        + "".join(f"{judged.words(one[model]):>28}" for one in found["over"].values())
        for model in next(iter(found["over"].values()))
    ]
    return "\n".join(lines)
