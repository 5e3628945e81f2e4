"""The targets of a training: search → fit → evaluate → refit, each on its own labels.

What goes wrong for one target (too few labels, no skill, a leak) leaves the others and churn as
they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from features.core.errors import LeakSuspected
from features.core.language import say, term
from features.core.progress import print_status
from features.core.settings import Settings
from features.tables.history import History
from serving.scoring.amounts import AmountModel
from serving.scoring.calibration import Calibration
from serving.scoring.sub_releases import SubRelease, joined_name
from serving.scoring.targets import LEAK, NO_SKILL, NOT_ENOUGH_DATA, OK, Target, TargetModel
from training import metrics
from training.evaluation import amounts as amount_evaluation
from training.evaluation.targets import evaluate_target, has_skill, leading_columns
from training.examples import Examples
from training.models import amount_rows, amount_search, amounts
from training.models import targets as models
from training.models.amount_search import AmountSpec
from training.models.blend_spec import BlendSpec
from training.plan import Plan

Lacks = tuple[str, ...]


@dataclass(frozen=True)
class FittedTarget:
    """The model that is released, its section of the evaluation, and what the search chose.

    `without`: the models for rows without some of the tables, by the tables that they lack.
    """

    model: Target
    report: dict[str, Any]
    spec: BlendSpec | AmountSpec | None = None
    without: Mapping[Lacks, Target] = field(default_factory=dict)

    def for_rows_without(self, lacks: Lacks) -> Target:
        """The model for rows without these tables; without data there is none to choose."""
        return self.without[lacks] if self.model.has_model else self.model


def fit_targets(
    examples: Examples,
    plan: Plan,
    history: History,
    settings: Settings,
    *,
    lacks: Sequence[Lacks] = (),
) -> list[FittedTarget]:
    """Every target by name: evaluated on the evaluation dates, fitted on the refit dates.

    Figures are of a model fitted on the training dates alone, as for churn. `lacks`: the tables
    that each sub-release of the training lacks.
    """
    return [
        (_fit if settings.targets[name].key == "label" else _fit_amount)(
            name, examples, plan, history, settings, lacks
        )
        for name in sorted(settings.targets)
    ]


def without_models(settings: Settings, why: str) -> list[FittedTarget]:
    """Every target by name as not_enough_data, where nothing can be trained at all."""
    return [
        _without_model(name, settings, NOT_ENOUGH_DATA, {"why": why})
        for name in sorted(settings.targets)
    ]


def targets_section(fitted: Sequence[FittedTarget]) -> dict[str, Any]:
    """{"targets": …} of an evaluation; empty where the business has none."""
    return {"targets": {each.model.name: each.report for each in fitted}} if fitted else {}


def with_targets(
    sub_releases: Sequence[SubRelease], fitted: Sequence[FittedTarget]
) -> list[SubRelease]:
    """The sub-releases with the model of each target for rows without the tables they lack."""
    return [
        replace(each, targets=tuple(target.for_rows_without(each.lacks) for target in fitted))
        for each in sub_releases
    ]


def target_models(fitted: Sequence[FittedTarget]) -> tuple[Target, ...]:
    return tuple(each.model for each in fitted)


def _fit(
    name: str,
    examples: Examples,
    plan: Plan,
    history: History,
    settings: Settings,
    lacks: Sequence[Lacks],
) -> FittedTarget:
    population, columns = settings.targets[name].population, examples.modelled
    train, later = (
        models.rows_of_target(examples.rows_at(dates), name, population)
        for dates in (plan.train, plan.evaluate)
    )
    counts = _counts(name, population, examples, plan)
    if (why := models.shortage(train, settings)) is not None:
        return _without_model(name, settings, NOT_ENOUGH_DATA, counts | {"why": why})
    print_status(
        say(
            "target {name}: {rows:,} training rows ({population})",
            name=name,
            rows=train.num_rows,
            population=term(population),
        )
    )
    direction = models.direction_of_question(examples.rows_at(plan.train), name, population)
    spec = models.search_target(train, columns, settings, name=name, direction=direction)
    evaluated = models.fit_target(spec, train, columns, settings, name=name, population=population)
    figures = evaluate_target(evaluated, train, later, settings)
    try:
        moves, note = leading_columns(evaluated, figures, later, examples, history, settings)
    except LeakSuspected as error:
        why = f"{error.got}. {error.rule} {error.fix}"
        return _without_model(name, settings, LEAK, counts | {"figures": figures, "why": why})
    status = OK if has_skill(figures, population) else NO_SKILL
    refit = models.rows_of_target(examples.rows_at(plan.refit), name, population)
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
        "importance": moves,
    }
    if note is not None:
        report["note"] = note
    without = {
        each: _fit_without(each, spec, model, examples, train, later, settings) for each in lacks
    }
    report["without"] = {joined_name(each): part.status for each, part in without.items()}
    return FittedTarget(model, report, spec, without)


def _counts(name: str, population: str, examples: Examples, plan: Plan) -> dict[str, Any]:
    """How many rows and labels there are for each use, and what of the SELECT is no label."""
    uses = {"train": plan.train, "evaluate": plan.evaluate, "refit": plan.refit}
    labels = {
        use: models.count_labels(examples.rows_at(dates), name, population)
        for use, dates in uses.items()
    }
    return {"labels": labels, "not_labelled": dict(examples.not_labelled.get(name, {}))}


def _fit_amount(
    name: str,
    examples: Examples,
    plan: Plan,
    history: History,
    settings: Settings,
    lacks: Sequence[Lacks],
) -> FittedTarget:
    population, columns = settings.targets[name].population, examples.modelled
    of = {"name": name, "population": population}
    counts = _counts(name, population, examples, plan)
    train, refit = (
        amount_rows.amount_rows(examples.rows_at(dates), columns=columns, **of)
        for dates in (plan.train, plan.refit)
    )
    why = amount_rows.shortage(train, outcome_window_us=settings.outcome_window_us)
    if why is not None:
        return _without_model(name, settings, NOT_ENOUGH_DATA, counts | {"why": why})
    late = examples.rows_at(plan.evaluate)
    late = late.filter(late["eligible"]) if population == "eligible" else late
    print_status(
        say(
            "target {name}: {rows:,} training rows ({population})",
            name=name,
            rows=len(train.amounts),
            population=term(population),
        )
    )
    spec = None
    evaluated = amounts.constant_amount(train, **of)
    if not amount_rows.is_constant(train.amounts):
        spec = amount_search.search_amount(train, settings, name=name)
        evaluated = amounts.fit_amount(spec, train, settings, **of)
    figures = amount_evaluation.evaluate_amount(evaluated, train, late, settings)
    try:
        moves, note = amount_evaluation.find_amount_leaks(
            evaluated, late, examples, history, settings
        )
    except LeakSuspected as error:
        why = f"{error.got}. {error.rule} {error.fix}"
        return _without_model(name, settings, LEAK, counts | {"figures": figures, "why": why})
    skilled = spec is not None and amount_evaluation.has_skill(figures, population)
    model = (
        amounts.fit_amount(spec, refit, settings, **of)
        if spec and skilled
        else amounts.constant_amount(refit, **of)
    )
    report = {
        **_facts(settings, name, model.status),
        **counts,
        "level": {
            "factor": evaluated.mean.factor if evaluated.mean else None,
            "shift": evaluated.mean.shift if evaluated.mean else None,
        },
        "figures": figures,
        "importance": moves,
    }
    if spec:
        report["model"] = spec.summary()
    if note is not None:
        report["note"] = note
    without: dict[Lacks, Target] = {
        each: _fit_amount_without(each, spec, model, examples, plan, settings) for each in lacks
    }
    report["without"] = {joined_name(each): part.status for each, part in without.items()}
    return FittedTarget(model, report, spec, without)


def _fit_amount_without(
    lacks: Lacks,
    spec: AmountSpec | None,
    whole: AmountModel,
    examples: Examples,
    plan: Plan,
    settings: Settings,
) -> AmountModel:
    """The model for rows without these tables; a constant where it or the whole has no skill."""
    columns = examples.without_tables(lacks).modelled
    of = {"name": whole.name, "population": whole.population}
    train, later = (
        amount_rows.amount_rows(examples.rows_at(dates), columns=columns, **of)
        for dates in (plan.train, plan.evaluate)
    )
    if spec and whole.status == OK:
        model = amounts.fit_without_tables(spec, train, later, settings, **of)
        late = examples.rows_at(plan.evaluate)
        late = late.filter(late["eligible"]) if whole.population == "eligible" else late
        figures = amount_evaluation.evaluate_amount(model, train, late, settings)
        if amount_evaluation.has_skill(figures, whole.population):
            return model
    return amounts.constant_amount(train, **of)


def _fit_without(
    lacks: Lacks,
    spec: BlendSpec,
    whole: TargetModel,
    examples: Examples,
    train: pa.Table,
    later: pa.Table,
    settings: Settings,
) -> TargetModel:
    """The model for rows without these tables; a rate where it or the whole has no skill."""
    columns = examples.without_tables(lacks).modelled
    of = {"name": whole.name, "population": whole.population}
    if whole.status == OK:
        model = models.fit_without_tables(spec, train, later, columns, settings, **of)
        figures = metrics.churn_metrics(later[models.LABEL].to_numpy(), model.p_of_all(later))
        if has_skill({whole.population: figures}, whole.population):
            return model
    return models.rate_of_target(train, columns, examples.definitions, **of)


def _without_model(
    name: str, settings: Settings, status: str, report: Mapping[str, Any]
) -> FittedTarget:
    """A target that has no answer; its `report` has the reason as `why`."""
    target = settings.targets[name]
    of = (name, target.population, status, ())
    model: Target = (
        TargetModel(*of, None, Calibration(), 0)
        if target.key == "label"
        else AmountModel(*of, None, None, None, 0)
    )
    return FittedTarget(model, {**_facts(settings, name, status), **report})


def _facts(settings: Settings, name: str, status: str) -> dict[str, Any]:
    return {
        "status": status,
        "kind": settings.targets[name].key,
        "population": settings.targets[name].population,
        "horizon_days": settings.churn.horizon_days,
    }
