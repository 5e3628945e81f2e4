"""Anybody's predictions, judged on our rows and labels beside the same baselines.

The rows of an instant are those of the catalogue, the labels those of `[churn]`; the baselines are
fitted on dates whose outcomes were known before the earliest predicted instant. A prediction that
matches no row is counted and judged nowhere.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from features.core.errors import EmptyTable
from features.core.instants import day_text
from features.core.settings import Settings
from features.labels.outcomes import is_mature
from features.recipes.definitions import Definitions
from features.tables.history import History
from serving.scoring.scorer import inactive_index, reachable_from_rows
from training import metrics, plan
from training.evaluation.baseline_comparison import speak_of
from training.evaluation.evaluate import evaluate_scores
from training.examples import Examples, make_examples
from training.predictions_file import Predictions
from training.reports import judged_text
from training.tracking import record, tracking
from training.tracking.run_labels import UNLABELLED, RunLabels

JOB = "judge"
# A probability of 0 or 1 would make one surprise infinitely bad. No model of ours comes so near.
LEAST_P = 1e-15


@dataclass(frozen=True)
class Judged:
    """The report as data and as text, and the MLflow run's id (None where it waits)."""

    report: dict[str, Any]
    text: str
    run: str | None


def judge(
    history: History,
    settings: Settings,
    predictions: Predictions,
    *,
    labels: RunLabels = UNLABELLED,
) -> Judged:
    """Judge predictions beside every baseline, for everyone and eligible, and record a run.

    `labels`: what the run is called. Errors: EmptyTable where no prediction matches a row with a
    known outcome; NotEnoughData where no date before them can fit the baselines.
    """
    began = time.time()
    dates, examples = judged_examples(history, settings, predictions)
    report = {"name": labels.name, **judge_rows(predictions, examples, dates, settings)}
    judged = record.judge_record(report, settings, examples, dates, began=began, job=JOB)
    judged = RunLabels(tags=labels.tags).mark_record(judged)  # the report has the name
    return Judged(report, judged_text.judged_text(report), tracking.record_run(judged))


def judged_examples(
    history: History, settings: Settings, predictions: Predictions
) -> tuple[plan.Plan, Examples]:
    """The instants of the predictions and of the baselines, and the labelled rows of both.

    Errors: EmptyTable where no predicted instant has known outcomes; NotEnoughData where no date
    before them can fit the baselines.
    """
    instants = (int(at) for at in np.unique(predictions.keys["as_of"].to_numpy()))
    known = tuple(at for at in instants if is_mature(at, history=history, settings=settings))
    if not known:
        raise _nothing_matches("no as_of whose outcomes are known by the end of the data")
    dates = plan.make_plan(history, settings, evaluate=known)
    plan.refuse_without_dates(dates, settings)
    dates = plan.Plan(dates.train, dates.evaluate, ())
    return dates, make_examples(history, settings, dates)


def judge_rows(
    predictions: Predictions, examples: Examples, dates: plan.Plan, settings: Settings
) -> dict[str, Any]:
    """The figures of the predictions on the rows of `dates.evaluate`, and what became of each.

    EmptyTable where no prediction matches a row.
    """
    late, p, p_next, counts = _match(predictions, examples.rows_at(dates.evaluate), dates.evaluate)
    if not late.num_rows:
        raise _nothing_matches("no customer and as_of of a row with a known outcome")
    p, p_next, counts["moved_off_0_or_1"] = off_the_edges(p, p_next, late, examples.definitions)
    return {
        "horizon_days": settings.churn.horizon_days,
        "as_of": {
            use: [day_text(at, zone=settings.zone) for at in getattr(dates, use)]
            for use in ("train", "evaluate")
        },
        "predictions": counts,
        "by_date": _by_date(late, p, settings),
        **speak_of(
            judged_text.THEIRS,
            evaluate_scores(p, p_next, examples.rows_at(dates.train), late, examples, settings),
        ),
    }


def match_rows(keys: pa.Table, rows: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """The positions of the same customer and as_of in `rows` and in `keys`, in the order of rows.

    Neither table repeats a customer and an as_of.
    """
    names = ["customer_id", "as_of"]
    given = keys.select(names).append_column("given", pa.array(np.arange(keys.num_rows)))
    places = rows.select(names).append_column("row", pa.array(np.arange(rows.num_rows)))
    joined = places.join(given, names, join_type="inner").sort_by("row")
    return joined["row"].to_numpy(), joined["given"].to_numpy()


def _match(
    predictions: Predictions, rows: pa.Table, judged_at: tuple[int, ...]
) -> tuple[pa.Table, np.ndarray | None, np.ndarray | None, dict[str, int]]:
    """(the rows that were predicted, their p, their p_next, what became of every prediction)."""
    of_row, of_given = match_rows(predictions.keys, rows)
    known = np.isin(predictions.keys["as_of"].to_numpy(), judged_at)
    counts = {
        "read": predictions.keys.num_rows + predictions.empty,
        "judged": len(of_row),
        "empty": predictions.empty,
        "outcome_not_known": int((~known).sum()),
        "no_such_row": int(known.sum()) - len(of_row),
        "rows_not_predicted": rows.num_rows - len(of_row),
    }
    p, p_next = predictions.p, predictions.p_next
    return (
        rows.take(pa.array(of_row)),
        None if p is None else p[of_given],
        None if p_next is None else p_next[of_given],
        counts,
    )


def off_the_edges(
    p: np.ndarray | None, p_next: np.ndarray | None, rows: pa.Table, definitions: Definitions
) -> tuple[np.ndarray | None, np.ndarray | None, int]:
    """Probabilities at least LEAST_P from 0 and 1, and how many rows were moved.

    Of the seven only stages that a customer can reach; the row is divided by its sum again.
    """
    moved = np.zeros(rows.num_rows, dtype=bool)
    if p is not None:
        moved |= (p < LEAST_P) | (p > 1 - LEAST_P)
        p = np.clip(p, LEAST_P, 1 - LEAST_P)
    if p_next is not None:
        possible = reachable_from_rows(rows, definitions)
        possible[np.arange(rows.num_rows), inactive_index(rows)] = True
        low = ((p_next < LEAST_P) & possible).any(axis=1)
        raised = np.where(possible, np.maximum(p_next, LEAST_P), p_next)
        p_next = np.where(low[:, None], raised / raised.sum(axis=1, keepdims=True), p_next)
        moved |= low
    return p, p_next, int(moved.sum())


def _by_date(late: pa.Table, p: np.ndarray | None, settings: Settings) -> list[dict[str, Any]]:
    """Rows, rate, AUROC and log loss of churn at each date; [] without p."""
    if p is None:
        return []
    as_of, churned = late["as_of"].to_numpy(), late["churned"].to_numpy()
    eligible = late["eligible"].to_numpy()
    figures_of_dates = []
    for at in np.unique(as_of):
        for who, mine in (("everyone", as_of == at), ("eligible", (as_of == at) & eligible)):
            figures = metrics.churn_metrics(churned[mine], p[mine])
            kept = {name: figures.get(name) for name in ("rows", "rate", "auroc", "log_loss")}
            figures_of_dates.append(
                {"as_of": day_text(int(at), zone=settings.zone), "population": who} | kept
            )
    return figures_of_dates


def _nothing_matches(got: str) -> EmptyTable:
    return EmptyTable(
        where="--predictions",
        got=got,
        rule="A prediction is judged where its customer has a row at its as_of and the outcome is "
        "known: horizon and label latency have passed before the end of the data.",
        fix="Compare customer_id and as_of with the rows of: lifecycle examples --out rows.csv "
        "(ids are text: 42 is not 00042, as a program that reads numbers writes it).",
    )
