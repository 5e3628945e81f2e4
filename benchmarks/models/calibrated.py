"""Calibration error of ours, AutoGluon and the ridge logistic, each recalibrated as ours is.

Every opponent goes through `training.models.fit_calibration` on predictions for rows that it had
not seen: customers left out for the logistic and XGBoost, the newest training date (its tuning
data) for AutoGluon. The error of a set is the mean over its dates of the ECE of the date: over
pooled dates, a rate that rose and one that fell would cancel out.

The interval of a difference is a bootstrap over customers with fixed bins. Resampling adds a
similar amount to both errors, so the mean deviation of the draws is subtracted.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.models import comparison
from benchmarks.models.comparison import OURS, REPLICATES, SEED, Answers
from benchmarks.models.opponents import AUTOGLUON, RIDGE
from benchmarks.models.part import Options, figure, round_interval
from benchmarks.models.sets import SETS, population
from training import metrics

AGAINST = (AUTOGLUON, RIDGE)


def measure(options: Options) -> dict[str, Any]:
    every = comparison.answers(options)
    predictions = {id(one): _recalibrated(one) for one in every}
    errors, over = {}, {}
    for name in options.sets:
        data, who = SETS[name]
        mine = [(one, predictions[id(one)]) for one in every if one.case.data == data]
        dates = [_errors(one, p, who) for one, p in mine]
        errors[name] = {
            model: float(np.mean([date[model] for date in dates])) for model in dates[0]
        }
        over[name] = _over(
            mine,
            who,
            {
                model: errors[name][OURS] - errors[name][model]
                for model in AGAINST
                if model in errors[name]
            },
        )
    return {"sets": errors, "over": over}


def _recalibrated(one: Answers) -> dict[str, np.ndarray]:
    others = [name for name in one.arrays if name != OURS]
    predictions = {OURS: one.arrays[OURS]["p"]} | {name: one.recalibrated(name) for name in others}
    return predictions | {f"{name}, as it comes": one.arrays[name]["p"] for name in others}


def _errors(one: Answers, predictions: dict[str, np.ndarray], who: str) -> dict[str, float]:
    mine = population(one.case.late, who)
    y = one.case.late["churned"].to_numpy()[mine]
    return {name: metrics.ece(y, p[mine]) for name, p in predictions.items()}


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
    last = np.cumsum([part["rows"] for part in metrics.reliability_bins(y, p)]) - 1
    bins = np.searchsorted(np.sort(p)[last], p)  # equal p are always in one bin
    off = np.zeros((len(ids), bins.max(initial=0) + 1))
    np.add.at(off, (at, bins), y - p)
    return abs(draws @ off).sum(axis=1) / np.maximum(draws @ np.bincount(at, minlength=len(ids)), 1)


def figures(result: dict[str, Any]) -> dict[str, Any]:
    """The largest of ours − theirs over the sets."""
    out = {}
    for name in AGAINST:
        over = {
            one: values[OURS] - values[name]
            for one, values in result["sets"].items()
            if name in values
        }
        worst = max(over.values(), default=None)
        out[f"ece_over_{name.lower().replace(' ', '_')}"] = figure(
            worst,
            None if worst is None else worst <= 0,
            "<= 0 on each set",
            sets={one: round(off, 4) for one, off in over.items()},
            intervals={
                one: round_interval(parts[name])
                for one, parts in result["over"].items()
                if name in parts
            },
        )
    return out


def report_text(result: dict[str, Any]) -> str:
    models = list(next(iter(result["sets"].values())))
    lines = [f"{'ECE':34}" + "".join(f"{name:>28}" for name in result["sets"])]
    lines += [
        f"{model:34}" + "".join(f"{one[model]:28.4f}" for one in result["sets"].values())
        for model in models
    ]
    lines += [
        f"{'ours − ' + model:34}"
        + "".join(
            f"{comparison.format_difference(one[model]):>28}" for one in result["over"].values()
        )
        for model in next(iter(result["over"].values()))
    ]
    return "\n".join(lines)
