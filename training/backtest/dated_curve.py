"""The curve of each date of a backtest: fitted with what was known there, judged on what came.

A date's curve is that of the release of that day, so an interval of it is learned from the rows
whose outcome in it was known at the date. It is judged at each horizon whose outcome the data know
by now, so that newer dates are judged at fewer horizons.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from features.core.settings import Settings
from features.labels.event_times import (
    event_matrix,
    observe_events,
    with_event_columns,
)
from features.labels.leaving_cause import CANCELLED_COLUMN, observe_cancelled
from features.recipes.population_stats import PopulationStats
from features.tables.history import History
from serving.scoring.curve import Curve
from training.evaluation.curve import evaluate_curve
from training.examples import Examples
from training.formats import count, decimals, percent, signed
from training.reports.curve_text import EVENTS, by_days, judged_group

Report = Mapping[str, Any]
# Pooled by rows; of AUROC and ECE the mean over dates, because pooled rows of dates with other
# rates would show the rates.
BY_ROWS = ("rate", "mean_p", "log_loss", "brier")
BY_DATES = ("auroc", "ece")


def judge_curve(
    curve: Curve,
    examples: Examples,
    rows: pa.Table,
    p: np.ndarray,
    population: PopulationStats,
    history: History,
    settings: Settings,
) -> dict[str, Any]:
    """The evaluation of a date's curve, as `evaluate_curve` gives it for a training.

    `examples`: the refit rows that the curve was fitted on. `rows`: those of the date, with
    P(churn) p and their `population`. `history`: all that is known by now.
    """
    horizons = settings.curve_horizons
    known = history.as_of(population.as_of)
    events = observe_events(history, known, rows["customer_id"], settings)
    if settings.contractual:
        word = observe_cancelled(history, known, rows["customer_id"], settings)
        rows = rows.append_column(CANCELLED_COLUMN, pa.array(word))
    return evaluate_curve(
        curve,
        examples.rows,
        event_matrix(examples.rows, horizons),
        with_event_columns(rows, events, horizons),
        p,
        replace(examples, population_stats=(population,)),
    )


def pool_curves(dates: Sequence[Report]) -> dict[str, dict[str, dict[str, Any]]]:
    """{group: {"<h>d": figures}} over all dates: BY_ROWS, BY_DATES, dates, rows, baselines.

    `baselines`: log loss of those that every date has. `best_baseline`: the best of them, with
    `difference`: ours less its.
    """
    parts: dict[str, dict[str, list[Report]]] = {}
    for date in dates:
        for group, report in date.get("curve", {}).get("groups", {}).items():
            for days, each in report["horizons"].items():
                parts.setdefault(group, {}).setdefault(days, []).append(each)
    return {
        group: {days: _pool(each) for days, each in by_days(horizons)}
        for group, horizons in parts.items()
    }


def _pool(parts: Sequence[Report]) -> dict[str, Any]:
    rows = [part["rows"] for part in parts]

    def by_rows(values: Sequence[float]) -> float:
        return float(np.average(values, weights=rows))

    figures: dict[str, Any] = {"dates": len(parts), "rows": sum(rows)}
    figures |= {name: by_rows([part[name] for part in parts]) for name in BY_ROWS}
    for name in BY_DATES:
        known = [part[name] for part in parts if part[name] is not None]
        figures[name] = float(np.mean(known)) if known else None
    names = set.intersection(*(set(part["baselines"]) for part in parts))
    others = {name: by_rows([part["baselines"][name] for part in parts]) for name in sorted(names)}
    figures["baselines"] = others
    if others:
        best = min(others, key=lambda name: (others[name], name))
        difference = figures["log_loss"] - others[best]
        figures["best_baseline"] = {"name": best, "difference": difference}
    return figures


def pooled_lines(pooled: Report) -> Iterator[str]:
    """A small table for each group that is judged: those who can be kept, and those who are gone.

    Without contracts `everyone` stands in the report and is not printed.
    """
    for group in (judged_group(pooled), "gone"):
        if group is None or group not in pooled:
            continue
        yield ""
        yield (
            f"  when: {EVENTS[group]:<29} dates    rows     came   mean p   AUROC   log loss   "
            "less best baseline"
        )
        for days, each in by_days(pooled[group]):
            yield f"    within {days:<26}{_cells(each)}"


def _cells(each: Report) -> str:
    cells = (
        (str(each["dates"]), 6),
        (count(each["rows"]), 8),
        (percent(each["rate"]), 9),
        (percent(each["mean_p"]), 9),
        (decimals(each["auroc"]), 8),
        (decimals(each["log_loss"], 4), 11),
    )
    row = "".join(f"{text:>{width}}" for text, width in cells)
    best = each.get("best_baseline")
    return f"{row}   {signed(best['difference'])} ({best['name']})" if best else row


def pooled_metrics(pooled: Report) -> dict[str, float]:
    """For MLflow: `curve.<group>.<h>d.<log_loss, rate, mean_p, ece>` over all dates."""
    return {
        f"curve.{group}.{days}.{name}": each[name]
        for group, horizons in pooled.items()
        for days, each in horizons.items()
        for name in ("log_loss", "rate", "mean_p", "ece")
        if each[name] is not None
    }


def curve_metrics_by_date(date: Report) -> Iterator[tuple[str, float]]:
    """(`curve.<group>.<h>d.log_loss`, value) of one date."""
    for group, report in date.get("curve", {}).get("groups", {}).items():
        for days, each in report["horizons"].items():
            yield f"curve.{group}.{days}.log_loss", float(each["log_loss"])
