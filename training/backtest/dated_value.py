"""Lifetime value at each date of a backtest: fitted with what was known there, judged on what came.

Each horizon of money is a question of its own: the value of so many days, as a release of that day
would have had it. It is judged at each horizon whose money the data know by now.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from features.core.settings import Settings
from features.labels.later_money import money_matrix, observe_money, with_money_columns
from features.tables.history import History
from serving.scoring.curve import Curve
from training.evaluation.value import evaluate_value
from training.examples import Examples
from training.formats import count, decimals, percent, signed
from training.reports.curve_text import by_days
from training.reports.value_text import money as money_text
from training.value import value_of

Report = Mapping[str, Any]
# Pooled by rows; of what is no mean over rows the mean over dates.
BY_ROWS = ("mean", "expected", "coverage")
BY_DATES = ("rank", "top_share", "deciles", "coverage_likely")


def judge_value(
    curve: Curve,
    examples: Examples,
    p: np.ndarray,
    rows: pa.Table,
    p_rows: np.ndarray,
    history: History,
    settings: Settings,
) -> dict[str, Any]:
    """{"horizons": {"<h>d": figures}} as `evaluate_value` gives them for a training.

    `examples`: the refit rows that the curve was fitted on, with their P(churn) p. `rows`: those of
    the date, with p_rows. `history`: all that is known by now.
    """
    horizons = settings.money_horizons
    known = history.as_of(int(rows["as_of"][0].as_py()))
    in_margin = settings.value.reads_margins
    money = observe_money(history, known, rows["customer_id"], settings, in_margin=in_margin)
    learned = money_matrix(examples.rows, horizons)
    judged = evaluate_value(
        lambda days: value_of(days, examples.rows, p, curve, examples, settings, money=learned),
        curve,
        with_money_columns(rows, money, horizons),
        p_rows,
        examples.definitions,
        horizons,
    )
    return {"horizons": judged}


def pool_values(dates: Sequence[Report]) -> dict[str, dict[str, Any]]:
    """{"<h>d": figures} over all dates: BY_ROWS, BY_DATES, dates, rows, and `less_baseline`.

    `less_baseline`: by baseline the mean over dates of our rank correlation less its.
    """
    parts: dict[str, list[Report]] = {}
    for date in dates:
        for days, each in date.get("value", {}).get("horizons", {}).items():
            parts.setdefault(days, []).append(each)
    return {days: _pool(each) for days, each in by_days(parts)}


def _pool(parts: Sequence[Report]) -> dict[str, Any]:
    rows = [part["rows"] for part in parts]
    figures: dict[str, Any] = {"dates": len(parts), "rows": sum(rows)}
    for name in BY_ROWS:
        figures[name] = float(np.average([part[name] for part in parts], weights=rows))
    for name in BY_DATES:
        known = [part[name] for part in parts if part[name] is not None]
        figures[name] = float(np.mean(known)) if known else None
    names = set.intersection(*(set(part["less_baseline"]) for part in parts))
    figures["less_baseline"] = {
        name: float(np.mean([part["less_baseline"][name]["difference"] for part in parts]))
        for name in sorted(names)
    }
    return figures


def pooled_value_lines(pooled: Report) -> Iterator[str]:
    """A small table: a row for each horizon whose money is known; no lines without any."""
    if not pooled:
        return
    yield ""
    yield (
        "  worth: money within               dates    rows     came   expected    rank   "
        "in the interval   less best baseline"
    )
    for days, each in by_days(pooled):
        cells = (
            (str(each["dates"]), 6),
            (count(each["rows"]), 8),
            (money_text(each["mean"]), 9),
            (money_text(each["expected"]), 11),
            (decimals(each["rank"]), 8),
            (percent(each["coverage_likely"]), 18),
        )
        row = "".join(f"{text:>{width}}" for text, width in cells)
        if each["less_baseline"]:
            name = min(each["less_baseline"], key=lambda one: (each["less_baseline"][one], one))
            row += f"   {signed(each['less_baseline'][name])} ({name})"
        yield f"    within {days:<23}{row}"


def pooled_metrics(pooled: Report) -> dict[str, float]:
    """For MLflow: `value.<h>d.<rank, mean, expected, coverage>` over all dates."""
    return {
        f"value.{days}.{name}": float(each[name])
        for days, each in pooled.items()
        for name in ("rank", "mean", "expected", "coverage")
    }
