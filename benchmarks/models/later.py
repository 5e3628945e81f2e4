"""Estimates compared with later outcomes: a backtest of each set.

`training.backtest.backtest` walks over the rolling dates of each data set, as `lifecycle backtest`
does, with the search budget of this benchmark.
"""

from __future__ import annotations

import os
from typing import Any
from unittest import mock

import numpy as np

from benchmarks.models import cache
from benchmarks.models.part import Options, figure
from benchmarks.models.sets import DATES, SETS, Case
from training.backtest import backtest, coverage

MEDIAN = 2.0
# In days. With 90 days ahead a year of data leaves one date for the backtest, with 30 eight.
HORIZON = {"online_retail": 30, "complete_journey": 30}
SHOWN = (("churn", "auroc"), ("churn", "log_loss"), ("next_stage", "log_loss"))


def measure(options: Options) -> dict[str, Any]:
    out = {}
    for name in options.sets:
        data, who = SETS[name]
        case = Case(data, DATES[data][-1], options.customers)
        training = case.settings.training.model_copy(
            update={"seconds": options.seconds, "evaluate": []}
        )
        churn = case.settings.churn
        churn = churn.model_copy(update={"horizon_days": HORIZON.get(data, churn.horizon_days)})
        settings = case.settings.model_copy(update={"training": training, "churn": churn})
        # Its own home: a second run continues from its finished dates and sees no other studies.
        home = cache.FOLDER / "home"
        home.mkdir(parents=True, exist_ok=True)
        with mock.patch.dict(os.environ, {"LIFECYCLE_HOME": str(home)}):
            report = backtest.walk_dates(case.history, settings).report
        out[f"{name}, {churn.horizon_days} days"] = (who, report)
    return {"sets": out}


def _summary(report: dict[str, Any], who: str, section: str, of: str) -> dict[str, Any] | None:
    return report["validation"][section][who][of]


def figures(result: dict[str, Any]) -> dict[str, Any]:
    """Over the dates of all sets: churn's log loss."""
    off, biased = [], {}
    for name, (who, report) in result["sets"].items():
        off += [
            abs(one["errors"])
            for date in report["dates"]
            if (one := date["difference"]["churn"][who]["log_loss"]) and one["errors"] is not None
        ]
        mine = _summary(report, who, "churn", "log_loss")
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


def report_text(result: dict[str, Any]) -> str:
    lines = [
        f"{'later − estimate':30}{'dates':>6}{'median |error|':>15}{'within 2':>10}   mean (95 %)"
    ]
    for name, (who, report) in result["sets"].items():
        for section, of in SHOWN:
            one = _summary(report, who, section, of)
            if one:
                low, high = (
                    "?" if one[end] is None else f"{one[end]:+.4f}" for end in ("low", "high")
                )
                lines.append(
                    f"{name:30}{one['dates']:6}{_rounded(one['median_errors']):>15}"
                    f"{_rounded(one['within_two']):>10}"
                    f"   {one['mean_difference']:+.4f} ({low} … {high})  {section} {of}"
                )
        lines += [
            *coverage.set_lines(report["coverage"], who),
            *coverage.interval_lines(report["coverage"]),
        ]
        lines.append(f"    {report['verdict']}")
    return "\n".join(lines)


def _rounded(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
