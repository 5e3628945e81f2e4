"""The targets of a training: search → fit → evaluate → refit, each on its own labels.

What goes wrong for one target (too few labels, no skill) leaves the others and churn as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from features.core.progress import print_status
from features.core.settings import Settings
from serving.scoring.calibration import Calibration
from serving.scoring.targets import NO_SKILL, NOT_ENOUGH_DATA, OK, TargetModel
from training.evaluation.targets import evaluate_target, has_skill
from training.examples import Examples
from training.models import targets as models
from training.models.blending import BlendSpec
from training.plan import Plan


@dataclass(frozen=True)
class FittedTarget:
    """The model that is released, its section of the evaluation, and what the search chose."""

    model: TargetModel
    report: dict[str, Any]
    spec: BlendSpec | None = None


def fit_targets(examples: Examples, plan: Plan, settings: Settings) -> list[FittedTarget]:
    """Every target by name: evaluated on the evaluation dates, fitted on the refit dates.

    Figures are of a model fitted on the training dates alone, as for churn.
    """
    return [_fit(name, examples, plan, settings) for name in sorted(settings.targets)]


def without_models(settings: Settings, columns: Sequence[str], why: str) -> list[FittedTarget]:
    """Every target by name as not_enough_data, where nothing can be trained at all."""
    return [_without_model(name, settings, columns, {}, why) for name in sorted(settings.targets)]


def targets_section(fitted: Sequence[FittedTarget]) -> dict[str, Any]:
    """{"targets": …} of an evaluation; empty where the business has none."""
    return {"targets": {each.model.name: each.report for each in fitted}} if fitted else {}


def target_models(fitted: Sequence[FittedTarget]) -> tuple[TargetModel, ...]:
    return tuple(each.model for each in fitted)


def _fit(name: str, examples: Examples, plan: Plan, settings: Settings) -> FittedTarget:
    population, columns = settings.targets[name].population, examples.modelled
    train, later, refit = (
        models.rows_of_target(examples.rows_at(dates), name, population)
        for dates in (plan.train, plan.evaluate, plan.refit)
    )
    counts = {
        "labels": {
            use: {"rows": rows.num_rows, "positive": int(rows[models.LABEL].to_numpy().sum())}
            for use, rows in (("train", train), ("evaluate", later), ("refit", refit))
        },
        "not_labelled": dict(examples.not_labelled.get(name, {})),
    }
    if (why := models.shortage(train)) is not None:
        return _without_model(name, settings, columns, counts, why)
    print_status(f"target {name}: {train.num_rows:,} rows of {population} customers")
    direction = models.direction_of_question(examples.rows_at(plan.train), name, population)
    spec = models.search_target(train, columns, settings, name=name, direction=direction)
    evaluated = models.fit_target(spec, train, columns, settings, name=name, population=population)
    figures = evaluate_target(evaluated, train, later, settings)
    status = OK if has_skill(figures, population) else NO_SKILL
    if status == OK:
        model = models.fit_target(spec, refit, columns, settings, name=name, population=population)
    else:
        model = models.rate_of_target(
            refit, columns, examples.definitions, name=name, population=population
        )
    report = {
        **_facts(settings, name, status),
        **counts,
        "model": spec.summary(),
        "calibration": {"kind": evaluated.calibration.kind, "why": evaluated.calibration.note},
        "figures": figures,
    }
    return FittedTarget(model, report, spec)


def _without_model(
    name: str, settings: Settings, columns: Sequence[str], counts: Mapping[str, Any], why: str
) -> FittedTarget:
    population = settings.targets[name].population
    model = TargetModel(name, population, NOT_ENOUGH_DATA, tuple(columns), None, Calibration(), 0)
    return FittedTarget(model, {**_facts(settings, name, NOT_ENOUGH_DATA), **counts, "why": why})


def _facts(settings: Settings, name: str, status: str) -> dict[str, Any]:
    return {
        "status": status,
        "population": settings.targets[name].population,
        "horizon_days": settings.churn.horizon_days,
    }
