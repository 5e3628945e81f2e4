"""What the customer's own earlier outcomes (#72, the family `past`) are worth: our model with and without them.

They are lagged by horizon and label latency: only windows that had closed before the row's as_of are counted.
"""

from __future__ import annotations

from typing import Any

from benchmarks.models import judged, ours
from benchmarks.models.judged import OURS, Answers
from benchmarks.models.part import Asked, figure, rounded
from benchmarks.models.sets import cases
from training import metrics

FAMILY, WITHOUT = "past", "without"


def measured(asked: Asked) -> dict[str, Any]:
    every = []
    for case in cases(asked.sets, customers=asked.customers):
        with_it, told = ours.learned(case, seconds=asked.seconds)
        without, other = ours.learned(
            case, seconds=asked.seconds, variant=f"without {FAMILY}", change=ours.without(FAMILY)
        )
        every.append(Answers(case, {OURS: with_it, WITHOUT: without}, {OURS: told, WITHOUT: other}))
    return {
        "every": every,
        "sets": [judged.judged(name, every, judged.losses) for name in asked.sets],
    }


def figures(found: dict[str, Any]) -> dict[str, Any]:
    pair = judged.difference(found["sets"], OURS, WITHOUT)
    return {
        "own_history_log_loss": figure(
            pair["difference"], None, "with − without", interval=rounded(pair)
        )
    }


def text(found: dict[str, Any]) -> str:
    lines = []
    for one in found["every"]:
        y = one.case.late["churned"].to_numpy()
        areas = [metrics.auroc(y, one.arrays[name]["p"])[0] for name in (OURS, WITHOUT)]
        lines.append(f"  {one.case.name:28} AUROC with {areas[0]:.4f}, without {areas[1]:.4f}")
    lines += [
        f"{part.name:28} log loss with − without {judged.words(judged.difference([part], OURS, WITHOUT))}"
        for part in found["sets"]
    ]
    return "\n".join(
        [
            *lines,
            f"{'all, each set alike':28} {judged.words(judged.difference(found['sets'], OURS, WITHOUT))}",
        ]
    )
