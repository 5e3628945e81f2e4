"""Whom a promotion moves: learned on the training half, judged on the test half.

Sending costs .15, a purchase brings 10; two arms were drawn. The profit of 1,000 customers of each
way of sending is the mean of an unbiased guess over the test half.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from benchmarks.decide.cheap_campaigns import at_least
from features.core.settings import data_folder
from training.effects.learn_effects import learn_effect
from training.effects.qini import qini

COST, BRINGS, FOLDS = 0.15, 10.0, 5
NUMBERS, CATEGORIES = ("V2", "V3"), ("V1", "V4", "V5", "V6", "V7")


def measure() -> dict[str, Any]:
    folder = data_folder() / "promotion_experiment"
    train, test = (pd.read_parquet(folder / f"{name}.parquet") for name in ("train", "test"))
    levels = {name: sorted(train[name].unique())[1:] for name in CATEGORIES}
    ours, bought = arms(train)
    folds = np.random.default_rng(0).integers(0, FOLDS, len(train))
    base = np.full(len(train), np.log(-np.log(bought.mean())))
    learned = learn_effect(matrix(train, levels), base, ours, bought, folds)
    effect, _ = learned.line.effect(matrix(test, levels), base[:1].repeat(len(test)))
    ours, bought = arms(test)
    order = qini(effect, ours, bought)
    share = ours.mean()
    guess = np.where(ours, bought / share, -bought / (1 - share))
    by_effect, everybody = effect * BRINGS > COST, np.ones(len(test), bool)
    profit, error = profit_of(by_effect, guess)
    to_all, _ = profit_of(everybody, guess)
    return {
        "promotion_qini_area": {
            "value": round(order.area, 5),
            "wanted": "> 0, with its band",
            "holds": order.low > 0,
            "low": round(order.low, 5),
            "high": round(order.high, 5),
        },
        "promotion_profit_of_1000_by_effect": at_least(profit, 0.0)
        | {"error": round(error, 1), "share_sent": round(float(by_effect.mean()), 3)},
        "promotion_profit_of_1000_to_all": {
            "value": round(to_all, 1),
            "wanted": "below that by effect",
            "holds": to_all < profit,
        },
        "promotion_profit_of_1000_to_nobody": {
            "value": 0.0,
            "wanted": "below that by effect",
            "holds": profit > 0,
        },
    }


def arms(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    return (rows["Promotion"] == "Yes").to_numpy(), rows["purchase"].to_numpy(dtype=float)


def matrix(rows: pd.DataFrame, levels: dict[str, list[int]]) -> np.ndarray:
    """Numbers, a column for each level, and their products two by two."""
    columns = [
        (rows[name] == level).to_numpy(dtype=float) for name in levels for level in levels[name]
    ]
    pairs = [one * other for at, one in enumerate(columns) for other in columns[at + 1 :]]
    numbers = [rows[name].to_numpy(dtype=float) for name in NUMBERS]
    return np.column_stack([*numbers, *columns, *pairs])


def profit_of(sent: np.ndarray, guess: np.ndarray) -> tuple[float, float]:
    """Of 1,000 customers, and its standard error."""
    each = sent * (BRINGS * guess - COST)
    return float(1000 * each.mean()), float(1000 * each.std() / np.sqrt(len(each)))
