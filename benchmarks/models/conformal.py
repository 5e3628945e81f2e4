"""Conformal sets of the next stage: how often the stage that came is in the set, pooled and by stage, and their size.

They are the scorer's own (`training.uncertainty.fit_prediction_sets`), fitted on the training dates with customers left out.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.models import ours
from benchmarks.models.part import Asked, figure
from benchmarks.models.sets import SETS, Case, cases, population
from features.recipes.stages import STAGES
from serving.scoring.scorer import stage_index

POOLED, EACH, ENOUGH = (0.88, 0.93), 0.85, 200


def measured(asked: Asked) -> dict[str, Any]:
    every = [
        (case, *_sets_of(case, asked)) for case in cases(asked.sets, customers=asked.customers)
    ]
    told = {}
    for name in asked.sets:
        data, who = SETS[name]
        mine = [
            _rows(case, found, p_next, who) for case, found, p_next in every if case.data == data
        ]
        told[name] = covered(*(np.concatenate(parts) for parts in zip(*mine, strict=True)))
    return {"sets": told}


def _sets_of(case: Case, asked: Asked) -> tuple[np.ndarray, np.ndarray]:
    """(sets bool (rows, 7), p_next (rows, 7)) of the evaluated rows."""
    found, _ = ours.learned(case, seconds=asked.seconds)
    return found["sets"], found["p_next"]


def _rows(
    case: Case, found: np.ndarray, p_next: np.ndarray, who: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    mine = population(case.late, who)
    return (
        found[mine],
        stage_index(case.late["outcome_stage"].to_numpy())[mine],
        p_next[mine].argmax(axis=1),
    )


def covered(sets: np.ndarray, outcome: np.ndarray, said: np.ndarray) -> dict[str, Any]:
    """Coverage of `sets` (rows, 7) for `outcome` (rows,), by stage with its rows, mean size, accuracy of `said`."""
    hit = sets[np.arange(len(outcome)), outcome]
    by = {
        STAGES[at]: (int((outcome == at).sum()), float(hit[outcome == at].mean()))
        for at in np.unique(outcome)
    }
    return {
        "rows": len(outcome),
        "coverage": float(hit.mean()),
        "by_stage": by,
        "size": float(sets.sum(axis=1).mean()),
        "accuracy": float((said == outcome).mean()),
    }


def figures(found: dict[str, Any]) -> dict[str, Any]:
    every = list(found["sets"].values())
    pooled = float(np.mean([one["coverage"] for one in every]))
    shares = [share for one in every for rows, share in one["by_stage"].values() if rows >= ENOUGH]
    least = min(shares, default=None)
    size, accuracy = (float(np.mean([one[name] for one in every])) for name in ("size", "accuracy"))
    return {
        "conformal_coverage": figure(
            pooled, POOLED[0] <= pooled <= POOLED[1], f"{POOLED[0]} … {POOLED[1]}"
        ),
        "conformal_coverage_of_the_worst_stage": figure(
            least, None if least is None else least >= EACH, f">= {EACH} where {ENOUGH} rows"
        ),
        "conformal_mean_size": figure(
            size, None, "beside the accuracy", accuracy=round(accuracy, 4)
        ),
    }


def text(found: dict[str, Any]) -> str:
    lines = []
    for name, one in found["sets"].items():
        lines.append(
            "{:28}{rows:9,} rows  covered {coverage:.3f}  size {size:.2f}  accuracy {accuracy:.3f}".format(
                name, **one
            )
        )
        lines += [
            f"    {stage:12}{rows:9,}{share:8.3f}"
            for stage, (rows, share) in one["by_stage"].items()
        ]
    return "\n".join(lines)
