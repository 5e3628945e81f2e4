"""A business's own estimators on the evaluation rows, beside our model and the same baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from rich.cells import cell_len

from features.core.language import mark, say, term
from features.core.settings import Settings
from training import metrics
from training.evaluation.baseline_comparison import headline_population, speak_of
from training.evaluation.evaluate import evaluate_scores
from training.examples import Examples
from training.formats import UNKNOWN, decimals, pad, signed, span
from training.models.estimators.search_estimators import OwnPart

COLUMNS = (
    mark("estimator"),
    mark("log loss"),
    "AUROC",
    mark("less our model (95 % CI)"),
    mark("in the blend"),
)


def judge_estimator(
    part: OwnPart,
    p: np.ndarray,
    ours: np.ndarray,
    *,
    early: pa.Table,
    late: pa.Table,
    examples: Examples,
    settings: Settings,
) -> dict[str, Any]:
    """The evaluation of one estimator alone, and by population its difference to our model.

    `p`, `ours`: P(churn) of the rows `late` (rows,). `difference`: mean log loss less ours, paired
    by customers, with its 95 % interval; None where the population has no rows.
    """
    report = speak_of(part.name, evaluate_scores(p, None, early, late, examples, settings))
    y, ids = late["churned"].to_numpy(), np.array(late["customer_id"].to_pylist(), dtype=str)
    masks = {"everyone": np.ones(len(y), dtype=bool), "eligible": late["eligible"].to_numpy()}
    differences = {
        who: metrics.paired_difference(
            metrics.log_losses(y[mask], p[mask]), metrics.log_losses(y[mask], ours[mask]), ids[mask]
        )
        if mask.any()
        else None
        for who, mask in masks.items()
    }
    return {"name": part.name, **report, "against_our_model": differences}


def summarise(part: OwnPart, report: Mapping[str, Any]) -> dict[str, Any]:
    """What the release's evaluation holds of an estimator: figures by population, its weight."""
    figures = ("rows", "log_loss", "auroc", "auroc_low", "auroc_high", "ece")
    return {
        "name": part.name,
        "params": part.params,
        "trials": len(part.trials),
        "fold_log_loss": part.loss,
        "weight": part.weight,
        "not_servable": part.not_servable,
        "populations": {
            who: {name: section.get(name) for name in figures}
            | {"against_our_model": report["against_our_model"][who]}
            for who, section in report["churn"].items()
        },
    }


def table(evaluation: Mapping[str, Any]) -> tuple[str, list[tuple[str, ...]]]:
    """(the population, a row of COLUMNS for each estimator); no rows where there are none."""
    who = headline_population(evaluation.get("churn", {}), figure="auroc") or "everyone"
    return who, [_row(one, who) for one in evaluation.get("estimators", ())]


def _row(one: Mapping[str, Any], who: str) -> tuple[str, ...]:
    figures = one["populations"][who]
    pair = figures["against_our_model"]
    against = (
        f"{signed(pair['difference'])} ({span(pair['low'], pair['high'], 4)})" if pair else UNKNOWN
    )
    place = say("no: it did not lower the log loss")
    if one["weight"]:
        place = say("weight {weight:g}", weight=one["weight"])
    return (
        one["name"],
        decimals(figures["log_loss"], 4),
        decimals(figures["auroc"], 3),
        against,
        say("not servable: {why}", why=one["not_servable"]) if one["not_servable"] else place,
    )


def lines(evaluation: Mapping[str, Any]) -> list[str]:
    """The table for a terminal; empty where the training had no own estimators."""
    who, rows = table(evaluation)
    if not rows:
        return []
    names = tuple(map(say, COLUMNS))
    widths = [max(cell_len(row[at]) for row in (names, *rows)) for at in range(len(names))]
    title = say("  own estimators ({who}; same rows, folds and calibration)", who=term(who))
    return ["", title, *_padded([names, *rows], widths)]


def _padded(rows: Sequence[Sequence[str]], widths: Sequence[int]) -> list[str]:
    each = ["  ".join(map(pad, row, widths)).rstrip() for row in rows]
    return [f"    {row}" for row in each]
