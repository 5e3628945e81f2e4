"""Sets of predictions on the same rows: which is better, by how much, for whom and when.

A set is a file of predictions, or the predictions that a training made of dates it had not learned
from. All are judged on the rows that every set predicts, with the labels of the configuration; the
first is what the others are compared with, paired by customers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from features.core.errors import BadSetting, EmptyTable, FileMissing
from features.core.instants import day_text
from features.core.settings import Settings
from features.recipes.stages import STAGES
from features.tables.history import History
from serving.scoring.scorer import stage_index
from training import metrics
from training.holdout_file import UNKNOWN_COST, Cost, find_holdout
from training.judge import judged_examples, match_rows, off_the_edges
from training.predictions_file import P_NEXT, Predictions, read_predictions

FIGURES = ("auroc", "auroc_low", "auroc_high", "log_loss", "brier", "ece", "top_decile_lift")
FEWEST_ROWS = 30  # of a stage: an interval of fewer says nothing
SUFFIXES = (".csv", ".parquet")


@dataclass(frozen=True)
class PredictionSet:
    """Predictions by name. `churned` (rows,): the outcomes that a training learned, else None.

    `cost`: of the training; all unknown for a file.
    """

    name: str
    predictions: Predictions
    churned: np.ndarray | None = None
    cost: Cost = UNKNOWN_COST


def read_set(text: str, settings: Settings) -> PredictionSet:
    """A file of predictions by its path, or those of a release or run by its id or name.

    FileMissing where there is neither. The errors of `read_predictions`.
    """
    path = Path(text)
    if path.suffix.lower() in SUFFIXES:
        return PredictionSet(path.name, read_predictions(path, settings))
    if holdout := find_holdout(text):
        return _of_training(text, *holdout)
    raise FileMissing(
        where=text,
        got="neither a .csv or .parquet file, nor predictions of a training",
        rule="What is compared is a file of predictions, or the id or name of a release or run "
        "that was trained here.",
        fix="`lifecycle runs` lists ids and names; or give the path of a file.",
    )


def _of_training(name: str, rows: pa.Table, cost: Cost) -> PredictionSet:
    p_next = np.column_stack([rows[column].to_numpy() for column in P_NEXT])
    keys = rows.select(["customer_id", "as_of"])
    predictions = Predictions(keys, rows["p_churn"].to_numpy(), p_next, 0)
    return PredictionSet(name, predictions, rows["churned"].to_numpy(), cost)


def compare(history: History, settings: Settings, sets: Sequence[PredictionSet]) -> dict[str, Any]:
    """The figures of each set on the rows that all of them predict, and the paired differences.

    For everyone and eligible: the figures, the difference of log loss to the first set with its
    95 % interval, by date and by stage too; the next stage where every set has it; the costs that
    are known. Errors: BadSetting for fewer than two sets, and where one learned other outcomes;
    EmptyTable where the sets share no row; those of `judged_examples`.
    """
    if len(sets) < 2:
        raise BadSetting(
            where="compare",
            got=f"{len(sets)} set of predictions",
            rule="A comparison has at least two.",
            fix="Name two or more: lifecycle compare A B.",
        )
    names = _names(sets)
    dates, examples = judged_examples(history, settings, _shared_keys(sets))
    rows = examples.rows_at(dates.evaluate)
    matches = [match_rows(each.predictions.keys, rows) for each in sets]
    shared = np.flatnonzero(
        np.bincount(np.concatenate([of_row for of_row, _ in matches]), minlength=rows.num_rows)
        == len(sets)
    )
    if not len(shared):
        raise _nothing_shared()
    late = rows.take(pa.array(shared))
    scores = []
    for each, (of_row, of_given) in zip(sets, matches, strict=True):
        of_given = of_given[np.isin(of_row, shared)]
        _refuse_other_question(each, of_given, late)
        p, p_next = each.predictions.p, each.predictions.p_next
        p, p_next, _ = off_the_edges(
            None if p is None else p[of_given],
            None if p_next is None else p_next[of_given],
            late,
            examples.definitions,
        )
        scores.append((p, p_next))
    report: dict[str, Any] = {
        "names": names,
        "horizon_days": settings.churn.horizon_days,
        "as_of": [day_text(at, zone=settings.zone) for at in dates.evaluate],
        "rows": late.num_rows,
        "predictions": {
            name: each.predictions.keys.num_rows for name, each in zip(names, sets, strict=True)
        },
        "costs": {name: asdict(each.cost) for name, each in zip(names, sets, strict=True)},
    }
    if all(p is not None for p, _ in scores):
        report["churn"] = _compare_churn(names, [p for p, _ in scores], late, settings)
    if all(p_next is not None for _, p_next in scores):
        report["next_stage"] = _compare_stages(names, [p_next for _, p_next in scores], late)
    return report


def _names(sets: Sequence[PredictionSet]) -> list[str]:
    """The names; a number is added to those that repeat."""
    given = [each.name for each in sets]
    return [
        f"{name} ({given[: at + 1].count(name)})" if given.count(name) > 1 else name
        for at, name in enumerate(given)
    ]


def _shared_keys(sets: Sequence[PredictionSet]) -> Predictions:
    """The predictions of the first set at the instants of every set."""
    first = sets[0].predictions
    instants = set(first.keys["as_of"].to_pylist())
    for each in sets[1:]:
        instants &= set(each.predictions.keys["as_of"].to_pylist())
    if not instants:
        raise _nothing_shared()
    mine = np.isin(first.keys["as_of"].to_numpy(), sorted(instants))
    return Predictions(first.keys.filter(pa.array(mine)), None, None, 0)


def _refuse_other_question(each: PredictionSet, of_given: np.ndarray, late: pa.Table) -> None:
    if each.churned is None:
        return
    other = int((each.churned[of_given] != late["churned"].to_numpy()).sum())
    if other:
        raise BadSetting(
            where=f"compare {each.name}",
            got=f"{other:,} of {late.num_rows:,} rows with another outcome than here",
            rule="Predictions are compared where they answer the same question: churn as this "
            "configuration defines it, on these data.",
            fix="Compare trainings of one [churn] section; --set churn.horizon_days=… here takes "
            "the horizon of that training.",
        )


def _nothing_shared() -> EmptyTable:
    return EmptyTable(
        where="compare",
        got="no customer and as_of that every set predicts and whose outcome is known",
        rule="Sets are compared on the rows that all of them predict.",
        fix="Predict the same dates: `lifecycle train` and `lifecycle judge` name theirs. "
        "Trainings with another [churn] horizon_days are judged at other dates and answer another "
        "question.",
    )


def _compare_churn(
    names: list[str], scores: list[Any], late: pa.Table, settings: Settings
) -> dict[str, Any]:
    y, stages = late["churned"].to_numpy(), np.array(late["stage"].to_pylist())
    as_of, customers = late["as_of"].to_numpy(), np.array(late["customer_id"].to_pylist())
    losses = {name: metrics.log_losses(y, p) for name, p in zip(names, scores, strict=True)}
    report = {}
    for who, mine in _populations(late).items():
        figures = {
            name: metrics.churn_metrics(y[mine], p[mine])
            for name, p in zip(names, scores, strict=True)
        }
        report[who] = {
            "rows": int(mine.sum()),
            "rate": figures[names[0]]["rate"],
            "models": {
                name: {each: one.get(each) for each in FIGURES} for name, one in figures.items()
            },
            **_differences(losses, mine, customers),
            "by_date": [
                {"as_of": day_text(int(at), zone=settings.zone)}
                | _differences(losses, mine & (as_of == at), customers)
                for at in np.unique(as_of)
            ],
            "by_stage": [
                {"stage": stage} | _differences(losses, mine & (stages == stage), customers)
                for stage in STAGES
                if (mine & (stages == stage)).sum() >= FEWEST_ROWS
            ],
        }
    return report


def _compare_stages(names: list[str], scores: list[Any], late: pa.Table) -> dict[str, Any]:
    outcome = stage_index(late["outcome_stage"].to_numpy())
    customers = np.array(late["customer_id"].to_pylist())
    losses = {
        name: metrics.stage_log_losses(outcome, p) for name, p in zip(names, scores, strict=True)
    }
    return {
        who: {
            "rows": int(mine.sum()),
            "models": {
                name: metrics.stage_metrics(outcome[mine], p[mine])
                for name, p in zip(names, scores, strict=True)
            },
            **_differences(losses, mine, customers),
        }
        for who, mine in _populations(late).items()
    }


def _populations(late: pa.Table) -> dict[str, np.ndarray]:
    return {
        "everyone": np.ones(late.num_rows, dtype=bool),
        "eligible": late["eligible"].to_numpy().astype(bool),
    }


def _differences(
    losses: dict[str, np.ndarray], mine: np.ndarray, customers: np.ndarray
) -> dict[str, Any]:
    """{"differences": of log loss to the first set by name, "verdicts": in words}; rows too."""
    (first, base), *others = losses.items()
    rows = int(mine.sum())
    if not rows:
        return {"rows": 0, "differences": {}, "verdicts": []}
    pairs = {
        name: metrics.paired_difference(other[mine], base[mine], customers[mine])
        for name, other in others
    }
    verdicts = [f"{name} is {_verdict(first, pair)}" for name, pair in pairs.items()]
    return {"rows": rows, "differences": pairs, "verdicts": verdicts}


def _verdict(first: str, pair: dict[str, float]) -> str:
    if max(abs(value) for value in pair.values()) < metrics.NEGLIGIBLE:
        return f"no different from {first}"
    if pair["low"] <= 0 <= pair["high"]:
        span = f"{pair['difference']:+.4f} ({pair['low']:+.4f} … {pair['high']:+.4f})"
        return f"neither better nor worse than {first}, as far as these rows can show: {span}"
    return metrics.verdict(first, pair)
