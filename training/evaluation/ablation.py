"""Which families of features do harm: the churn model refitted without each, on the same rows.

A family does harm where the log loss with it is higher than without it, beyond the 95 % interval
by customers. It stays in the model, is named, and its reasons come last.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from features.core.errors import BadSetting
from features.core.language import say, term
from features.core.progress import track_steps
from features.core.settings import Settings
from serving.scoring.scorer import Scorer
from training import metrics
from training.evaluation.baseline_comparison import headline_population
from training.examples import Examples
from training.formats import signed, span
from training.models import simpler_models

FitWithout = Callable[[tuple[str, ...]], Scorer]


def refuse_simpler_model(settings: Settings) -> None:
    """BadSetting where `[training] churn_model` names a model with columns of its own."""
    if settings.training.churn_model != simpler_models.BLEND:
        raise BadSetting(
            where="train --ablation",
            got=f'[training] churn_model = "{settings.training.churn_model}"',
            rule="Only the blend has families of features to leave out.",
            fix="Leave --ablation out, or churn_model.",
        )


def ablation(
    scorer: Scorer,
    fit: FitWithout,
    examples: Examples,
    late: pa.Table,
    churn: Mapping[str, Any],
) -> dict[str, Any]:
    """{"population": who, "families": [{family, columns, difference, low, high}], "harmful": […]}.

    `fit` gives the churn model on fewer columns. `difference`: mean log loss with the family less
    that without it, on the evaluation rows `late`; above 0 the family does harm. The families that
    help least come first. `churn`: the evaluation's section, which names the population.
    """
    who = headline_population(churn, figure="auroc") or "everyone"
    rows = late.filter(late["eligible"]) if who == "eligible" else late
    y, ids = rows["churned"].to_numpy(), np.array(rows["customer_id"].to_pylist(), dtype=str)
    with_all = metrics.log_losses(y, scorer.p_churn(rows))
    family_of = {column.name: column.feature.family for column in examples.columns}
    families = sorted({family_of[name] for name in scorer.columns})
    report: list[dict[str, Any]] = []
    for family in track_steps(families, label=say("without each family of features")):
        remaining = tuple(name for name in scorer.columns if family_of[name] != family)
        if not remaining:
            continue
        without = metrics.log_losses(y, fit(remaining).p_churn(rows))
        report.append(
            {
                "family": family,
                "columns": len(scorer.columns) - len(remaining),
                **metrics.paired_difference(with_all, without, ids),
            }
        )
    report.sort(key=lambda one: (-one["difference"], one["family"]))
    harmful = [one["family"] for one in report if one["low"] > metrics.NEGLIGIBLE]
    return {"population": who, "families": report, "harmful": harmful}


def lines(evaluation: Mapping[str, Any]) -> list[str]:
    """The ablation in words: a line per family; empty where the evaluation has none."""
    section = evaluation.get("ablation")
    if not section:
        return []
    return [
        say(
            "  ablation ({who}; log loss with the family − without it)",
            who=term(section["population"]),
        ),
        *(
            say(
                "    {family} ({columns} columns): {difference}, 95 % CI {span}",
                family=one["family"],
                columns=one["columns"],
                difference=signed(one["difference"]),
                span=span(one["low"], one["high"], 4),
            )
            for one in section["families"]
        ),
    ]


def note(evaluation: Mapping[str, Any]) -> str | None:
    """A sentence that names the families that do harm, or None."""
    harmful = (evaluation.get("ablation") or {}).get("harmful")
    if not harmful:
        return None
    return (
        f"Without {' or without '.join(harmful)} the log loss is lower (95 % CI): the family's "
        "reasons come last. [features] off leaves it out."
    )
