"""Lifetime value of a training: fitted on p that is out of fold, evaluated, and fitted on all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from features.core.settings import Settings
from features.labels.later_money import money_known_before, money_matrix
from features.recipes.population_stats import PopulationStats
from serving.scoring.curve import Curve
from serving.scoring.lifetime_value import LifetimeValue
from training.evaluation.value import evaluate_value
from training.examples import Examples
from training.models.fit_value import fit_value, missing_for_value
from training.plan import Plan

TOO_FEW = "too few customers with money were known (30 rows of 10 customers)"
LEAST_SHARE = 0.01


def released_value(
    rows: pa.Table, p: np.ndarray, curve: Curve, examples: Examples, settings: Settings
) -> LifetimeValue | None:
    """The value of the release: all money in the data counts. None where there is too little.

    p: P(churn) of each row from a fit without its customer, (rows,).
    """
    population = _newest_population(rows, examples)
    return fit_value(
        rows,
        p,
        curve,
        settings,
        examples.definitions,
        population,
        margin_share=_margin_share(population.as_of, examples),
    )


def value_report(
    train: pa.Table,
    p: np.ndarray,
    curve: Curve,
    test: pa.Table,
    p_test: np.ndarray,
    examples: Examples,
    plan: Plan,
    settings: Settings,
) -> dict[str, Any]:
    """The evaluation of a value fitted on the training rows, with the money that was known on the
    first evaluation date. Without a value `missing` says why.

    p, p_test: P(churn) of both, from a fit that had not seen the row.
    """
    horizons = settings.money_horizons
    money = money_known_before(
        money_matrix(train, horizons),
        train["as_of"].to_numpy(),
        horizons,
        latency_days=settings.churn.label_latency_days,
        at=plan.evaluate[0],
    )
    judged = evaluate_value(
        lambda days: value_of(days, train, p, curve, examples, settings, money=money),
        curve,
        test,
        p_test,
        examples.definitions,
        horizons,
    )
    report: dict[str, Any] = {"horizons": judged}
    if not judged:
        missing = missing_for_value(train, settings)
        report["missing"] = f"{missing} is missing" if missing else TOO_FEW
    return report | question_facts(settings)


def value_facts(value: LifetimeValue | None, rows: pa.Table, settings: Settings) -> dict[str, Any]:
    """What the release says of money, for its report: from how many days it was learned, or why
    there is none. `rows`: those it was fitted on.
    """
    if value is None:
        missing = missing_for_value(rows, settings)
        return {"unknown": f"{missing} is missing" if missing else TOO_FEW}
    terms = value.terms
    return {"learned_days": terms.learned_days, "extrapolated": terms.extrapolated}


def question_facts(settings: Settings) -> dict[str, Any]:
    """The question of [value], for a report."""
    section = settings.value
    return {
        "days": section.days,
        "margin": section.margin,
        "annual_discount": section.annual_discount,
        "currency": settings.business.currency,
    }


def value_of(
    days: int,
    rows: pa.Table,
    p: np.ndarray,
    curve: Curve,
    examples: Examples,
    settings: Settings,
    *,
    money: np.ndarray,
) -> LifetimeValue | None:
    """The value of so many days as a release of that question would have it, to be judged.

    Not discounted and without a share as margin. `money`: what of `money_matrix` was known.
    """
    changes = {"days": days, "annual_discount": 0.0}
    if not settings.value.reads_margins:
        changes["margin"] = 1.0
    question = settings.model_copy(update={"value": settings.value.model_copy(update=changes)})
    population = _newest_population(rows, examples)
    return fit_value(
        rows,
        p,
        curve,
        question,
        examples.definitions,
        population,
        money=money[:, : len(question.money_horizons)],
        margin_share=_margin_share(population.as_of, examples),
    )


def _newest_population(rows: pa.Table, examples: Examples) -> PopulationStats:
    """The statistics of the newest instant among the rows; nothing later is known."""
    newest = int(rows["as_of"].to_numpy().max())
    return max(
        (each for each in examples.population_stats if each.as_of <= newest),
        key=lambda each: each.as_of,
    )


def _margin_share(at: int, examples: Examples) -> float:
    """What share of the amounts known at an instant (µs) is margin; 1 where money is amounts.

    A starting point that the regression corrects, so a business that sells below its cost begins at
    LEAST_SHARE.
    """
    return max(examples.margin_shares.get(at, 1.0), LEAST_SHARE)
