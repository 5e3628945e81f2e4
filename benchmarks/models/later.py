"""Validation against later truth: what a training on a day had said of itself, and what came of its scores that day.

`training.backtest.backtest` walks each data set's rolling dates, as `lifecycle backtest` does, with the search of this benchmark.
"""

from __future__ import annotations

import os
from typing import Any
from unittest import mock

import numpy as np

from benchmarks.models import kept
from benchmarks.models.part import Asked, figure
from benchmarks.models.sets import DATES, SETS, Case
from training.backtest import backtest, coverage

MEDIAN = 2.0
# Days, where a year of data leaves one date to look back on from 90 days ahead, and eight from 30.
HORIZON = {"online_retail": 30, "complete_journey": 30}
SHOWN = (("churn", "auroc"), ("churn", "log_loss"), ("next_stage", "log_loss"))


def measured(asked: Asked) -> dict[str, Any]:
    told = {}
    for name in asked.sets:
        data, who = SETS[name]
        case = Case(data, DATES[data][-1], asked.customers)
        training = case.settings.training.model_copy(
            update={"seconds": asked.seconds, "evaluate": []}
        )
        churn = case.settings.churn
        churn = churn.model_copy(update={"horizon_days": HORIZON.get(data, churn.horizon_days)})
        stated = case.settings.model_copy(update={"training": training, "churn": churn})
        # Its own store of finished dates, so that a second run goes on; nobody else's studies.
        home = kept.FOLDER / "home"
        home.mkdir(parents=True, exist_ok=True)
        with mock.patch.dict(os.environ, {"LIFECYCLE_HOME": str(home)}):
            account = backtest.walk(case.history, stated).account
        told[f"{name}, {churn.horizon_days} days"] = (who, account)
    return {"sets": told}


def _found(account: dict[str, Any], who: str, section: str, of: str) -> dict[str, Any] | None:
    return account["validation"][section][who][of]


def figures(found: dict[str, Any]) -> dict[str, Any]:
    """Over the dates of all sets: churn's log loss."""
    off, biased = [], {}
    for name, (who, account) in found["sets"].items():
        off += [
            abs(one["errors"])
            for date in account["dates"]
            if (one := date["difference"]["churn"][who]["log_loss"]) and one["errors"] is not None
        ]
        mine = _found(account, who, "churn", "log_loss")
        if mine and mine["low"] is not None:
            biased[name] = not mine["low"] <= 0 <= mine["high"]
    median = float(np.median(off)) if off else None
    return {
        "validation_errors_off": figure(
            median,
            None if median is None else median <= MEDIAN,
            f"median <= {MEDIAN:g}",
            dates=len(off),
        ),
        "validation_biased_sets": figure(
            sum(biased.values()),
            not any(biased.values()),
            "0",
            of=len(biased),
            sets=[name for name, off in biased.items() if off],
        ),
    }


def text(found: dict[str, Any]) -> str:
    lines = [
        f"{'truth − what was said':30}{'dates':>6}{'median |off|':>14}{'within 2':>10}   mean (95 %)"
    ]
    for name, (who, account) in found["sets"].items():
        for section, of in SHOWN:
            one = _found(account, who, section, of)
            if one:
                low, high = (
                    "?" if one[end] is None else f"{one[end]:+.4f}" for end in ("low", "high")
                )
                lines.append(
                    f"{name:30}{one['dates']:6}{_told(one['median_errors']):>14}{_told(one['within_two']):>10}"
                    f"   {one['mean_difference']:+.4f} ({low} … {high})  {section} {of}"
                )
        lines += [*coverage.lines(account["held"], who), *coverage.interval_lines(account["held"])]
        lines.append(f"    {account['verdict']}")
    return "\n".join(lines)


def _told(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
