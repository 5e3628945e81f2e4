"""Scorers that never learned from a table that may be missing: one fit of each model for each.

A sub-release is fitted on the training dates with what the search found, and calibrated on the
evaluation dates, which it has not seen. Its figures are of the same fit under the calibration of
the evaluated scorer, which knows nothing of the evaluation dates (docs/decisions/027).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.core.language import join_words, say
from features.core.progress import print_status
from features.core.settings import Settings
from features.tables.freshness import needed_tables
from serving.scoring.cannot_churn import CannotChurn
from serving.scoring.evidence import RateSpread
from serving.scoring.parts import design_matrix
from serving.scoring.scorer import Calibration, Scorer
from serving.scoring.sub_releases import SubRelease
from training import metrics
from training.examples import Examples
from training.fitting import Fitting, with_status
from training.models import blending, churn, next_stage
from training.models.fit_reasons import reason_reference
from training.uncertainty.unseen_rows import UnseenPredictions, fit_uncertainty

FIGURES = ("rows", "rate", "mean_p", "auroc", "auroc_low", "auroc_high", "log_loss", "ece")
# All sub-releases together may take a quarter of the time of a training. p is learned from every
# training date and by as many boosters as in the whole release, because fewer cost it 1 % of its
# log loss; q from the newest dates.
STAGE_DATES = 3
REFERENCE_ROWS = 500  # of reasons: a mean over fewer rows than for the whole release


@dataclass(frozen=True)
class FittedSubRelease:
    """A sub-release and its figures on the evaluation dates, by population."""

    sub_release: SubRelease
    report: dict[str, Any]


def possible_lacks(examples: Examples, settings: Settings) -> Iterator[tuple[str, ...]]:
    """The tables that each sub-release lacks: every table alone, then all of them together.

    Only tables that a modelled column reads, and that a score can do without.
    """
    modelled = set(examples.modelled)
    read = {
        table
        for column in examples.columns
        if column.name in modelled
        for table in column.feature.tables
    }
    optional = sorted(read - needed_tables(settings) - {"activity"})
    yield from ((table,) for table in optional)
    if len(optional) > 1:
        yield tuple(optional)


def fit_sub_releases(
    fitting: Fitting,
    examples: Examples,
    settings: Settings,
    *,
    train_rows: pa.Table,
    eval_rows: pa.Table,
    calibration: Calibration,
    least_spread: RateSpread | None,
    last_families: tuple[str, ...] = (),
) -> list[FittedSubRelease]:
    """Every sub-release of a training.

    `calibration`: that of the evaluated scorer. `least_spread`: that of the whole release, which
    was measured over more dates; no sub-release claims a narrower one. `last_families`: families
    whose reasons come last.
    """
    fitted = []
    for lacks in possible_lacks(examples, settings):
        print_status(say("fitting without {tables}", tables=join_words(lacks)))
        columns = examples.without_tables(lacks).modelled
        part = replace(fitting, columns=columns, specs=_restrict_specs(fitting, columns))
        scorer, report = _fit_one(part, train_rows, eval_rows, calibration)
        scorer = replace(scorer, rate_spread=_widest(scorer.rate_spread, least_spread))
        if scorer.reason_reference and last_families:
            reference = replace(scorer.reason_reference, last_families=last_families)
            scorer = replace(scorer, reason_reference=reference)
        fitted.append(FittedSubRelease(SubRelease(lacks, scorer), report))
    return fitted


def _restrict_specs(fitting: Fitting, columns: tuple[str, ...]) -> dict[str, Any]:
    """The specs with what they say of these columns alone."""
    known = set(columns)
    return {
        model: spec
        and replace(
            spec,
            directions={name: way for name, way in spec.directions.items() if name in known},
            columns=tuple(name for name in spec.columns if name in known),
        )
        for model, spec in fitting.specs.items()
    }


def _fit_one(
    fitting: Fitting, train_rows: pa.Table, eval_rows: pa.Table, calibration: Calibration
) -> tuple[Scorer, dict[str, Any]]:
    spec = fitting.specs["churn"]
    assert spec is not None
    blend = churn.fit_churn_blend(
        spec,
        train_rows,
        fitting.columns,
        seed=fitting.seed,
        contractual=fitting.contractual,
        seeds=blending.SEEDS,
    )
    newest = pa.array(np.unique(train_rows["as_of"].to_numpy())[-STAGE_DATES:])
    stage_rows = train_rows.filter(pc.is_in(train_rows["as_of"], value_set=newest))
    q, classes = fitting.fit_stages(stage_rows, seeds=blending.EVAL_SEEDS)
    scorer = Scorer(
        fitting.definitions,
        fitting.columns,
        blend,
        calibration,
        q,
        classes,
        train_rows.num_rows,
        next_stage.stayers(stage_rows).num_rows,
    )
    report = _figures(scorer, eval_rows)
    unseen = _predict_unseen(scorer, eval_rows)
    scorer = replace(
        scorer,
        reason_reference=reason_reference(
            scorer, train_rows, fitting.feature_columns, most=REFERENCE_ROWS
        ),
        calibration=churn.calibrate(unseen.margin, eval_rows, window=fitting.outcome_window_us),
    )
    scorer = with_status(report["status"], scorer, train_rows)
    if report["status"] == "no_skill":
        unseen = replace(unseen, margin=scorer.margin(eval_rows), forward=scorer.margin(eval_rows))
    window = fitting.outcome_window_us
    return fit_uncertainty(scorer, eval_rows, unseen, outcome_window_us=window), report


def _predict_unseen(scorer: Scorer, rows: pa.Table) -> UnseenPredictions:
    """The scorer's margins of rows that it was not fitted on; NaN where nobody can churn."""
    matrix = design_matrix(rows, scorer.columns)
    margin = scorer.churn.margins(matrix)[:, 0]
    for _, part in scorer.churn.parts:
        if isinstance(part, CannotChurn):
            margin = np.where(part.row_mask(matrix), np.nan, margin)
    return UnseenPredictions(margin, margin, scorer.next_stage.margins(matrix))


def _widest(own: RateSpread | None, least: RateSpread | None) -> RateSpread | None:
    if own is None or least is None:
        return own or least
    pairs = zip(own.standard_deviations, least.standard_deviations, strict=True)
    note = f"{own.note}; at least that of the whole release"
    return RateSpread(tuple(max(pair) for pair in pairs), note)


def _figures(scorer: Scorer, rows: pa.Table) -> dict[str, Any]:
    """Status, columns and, by population, rows, AUROC, log loss, calibration error and mean p."""
    y, p, eligible = (
        rows["churned"].to_numpy(),
        scorer.p_churn(rows),
        rows["eligible"].to_numpy(),
    )
    churned = {
        "everyone": metrics.churn_metrics(y, p) | _mean(p),
        "eligible": metrics.churn_metrics(y[eligible], p[eligible]) | _mean(p[eligible]),
    }
    status = "ok" if metrics.has_skill(churned) else "no_skill"
    return {
        "status": status,
        "columns": len(scorer.columns),
        **{who: {name: each[name] for name in FIGURES} for who, each in churned.items()},
    }


def _mean(p: np.ndarray) -> dict[str, float | None]:
    return {"mean_p": float(p.mean()) if len(p) else None}
