"""The value of the customer's own earlier outcomes: our model with and without the family `past`.

They are lagged by horizon and label latency: only windows that had closed before as_of count.
"""

from __future__ import annotations

from typing import Any

from benchmarks.models import comparison, ours
from benchmarks.models.comparison import OURS, Answers
from benchmarks.models.part import Options, figure, round_interval
from benchmarks.models.sets import cases
from training import metrics

FAMILY, WITHOUT = "past", "without"


def measure(options: Options) -> dict[str, Any]:
    every = []
    for case in cases(options.sets, customers=options.customers):
        with_family, details = ours.train(case, seconds=options.seconds)
        without, other = ours.train(
            case, seconds=options.seconds, variant=f"without {FAMILY}", change=ours.without(FAMILY)
        )
        every.append(
            Answers(case, {OURS: with_family, WITHOUT: without}, {OURS: details, WITHOUT: other})
        )
    return {
        "every": every,
        "sets": [comparison.judge(name, every, comparison.losses) for name in options.sets],
    }


def figures(result: dict[str, Any]) -> dict[str, Any]:
    pair = comparison.difference(result["sets"], OURS, WITHOUT)
    return {
        "own_history_log_loss": figure(
            pair["difference"], None, "with − without", interval=round_interval(pair)
        )
    }


def report_text(result: dict[str, Any]) -> str:
    lines = []
    for one in result["every"]:
        y = one.case.late["churned"].to_numpy()
        areas = [metrics.auroc(y, one.arrays[name]["p"])[0] for name in (OURS, WITHOUT)]
        lines.append(f"  {one.case.name:28} AUROC with {areas[0]:.4f}, without {areas[1]:.4f}")
    lines += [
        f"{part.name:28} log loss with − without {comparison.format_pair([part], OURS, WITHOUT)}"
        for part in result["sets"]
    ]
    return "\n".join(
        [
            *lines,
            f"{'all, equal weights':28} {comparison.format_pair(result['sets'], OURS, WITHOUT)}",
        ]
    )
