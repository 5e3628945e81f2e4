"""Sets of next stages: how often the stage that came is in the set, by stage, and their size.

They are the scorer's own (`training.uncertainty.fit_prediction_sets`), fitted on the training dates
with customers left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.models import ours
from benchmarks.models.part import Options, figure
from benchmarks.models.sets import SETS, Case, cases, population
from features.recipes.stages import STAGES
from serving.scoring.scorer import stage_index

LEAST, MOST, LEAST_OF_A_STAGE, ENOUGH = 0.88, 0.93, 0.85, 200


@dataclass(frozen=True)
class Coverage:
    """Of one set: the share of rows whose outcome is in the set, and by outcome (rows, share)."""

    rows: int
    share: float
    by_stage: dict[str, tuple[int, float]]
    mean_size: float
    accuracy: float


def measure(options: Options) -> dict[str, Coverage]:
    every = [
        (case, ours.train(case, seconds=options.seconds)[0])
        for case in cases(options.sets, customers=options.customers)
    ]
    return {name: _coverage(every, *SETS[name]) for name in options.sets}


def _coverage(every: list[tuple[Case, dict[str, np.ndarray]]], data: str, who: str) -> Coverage:
    sets, outcomes, likely = [], [], []
    for case, answer in every:
        if case.data == data:
            mine = population(case.late, who)
            sets.append(answer["sets"][mine])
            outcomes.append(stage_index(case.late["outcome_stage"].to_numpy())[mine])
            likely.append(answer["p_next"][mine].argmax(axis=1))
    inside, outcome = np.concatenate(sets), np.concatenate(outcomes)
    hit = inside[np.arange(len(outcome)), outcome]
    return Coverage(
        rows=len(outcome),
        share=float(hit.mean()),
        by_stage={
            STAGES[at]: (int((outcome == at).sum()), float(hit[outcome == at].mean()))
            for at in np.unique(outcome)
        },
        mean_size=float(inside.sum(axis=1).mean()),
        accuracy=float((np.concatenate(likely) == outcome).mean()),
    )


def figures(result: dict[str, Coverage]) -> dict[str, Any]:
    together = float(np.mean([one.share for one in result.values()]))
    stages = {
        f"{name}, {stage}": share
        for name, one in result.items()
        for stage, (rows, share) in one.by_stage.items()
        if rows >= ENOUGH
    }
    least = min(stages.values(), default=None)
    below = {name: round(share, 3) for name, share in stages.items() if share < LEAST_OF_A_STAGE}
    return {
        "sets_coverage": figure(together, LEAST <= together <= MOST, f"{LEAST} … {MOST}"),
        "sets_coverage_of_the_worst_stage": figure(
            least,
            None if least is None else least >= LEAST_OF_A_STAGE,
            f">= {LEAST_OF_A_STAGE} where {ENOUGH} rows",
            below=below,
        ),
        "sets_mean_size": figure(
            float(np.mean([one.mean_size for one in result.values()])), None, "beside coverage"
        ),
    }


def report_text(result: dict[str, Coverage]) -> str:
    lines = []
    for name, one in result.items():
        lines.append(
            f"{name:28}{one.rows:9,} rows  coverage {one.share:.3f}  mean size {one.mean_size:.2f}"
            f"  most likely stage right {one.accuracy:.3f}"
        )
        lines += [f"    {stage:12}{n:9,}{share:8.3f}" for stage, (n, share) in one.by_stage.items()]
    return "\n".join(lines)
