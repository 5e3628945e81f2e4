"""`lifecycle backtest`: train at earlier dates as if each were today, compare with what happened.

On each date the data end there, on both clocks: stage definitions, search, validation at the newest
complete window and refit on all mature dates are those of a `train` on that day. Its scores of that
date and of every later date of the backtest are compared with the outcomes. Dates share nothing but
the tables: each release freezes its own definitions, so the rows of one instant differ between two
of them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from features.core.errors import LifecycleError, NotEnoughData
from features.core.instants import DAY_US, day_text
from features.core.language import say
from features.core.progress import print_status
from features.core.settings import Settings
from features.engine.columns import FeatureColumn
from features.engine.consent import with_consent
from features.labels.event_times import outcomes_until
from features.recipes.population_stats import PopulationStats
from features.recipes.stages import STAGES
from features.tables.history import History
from serving.batch import writers
from serving.scoring.curve import Curve
from serving.scoring.scorer import Scorer
from training import examples, job, metrics, plan
from training.backtest import plots, predictions_store, report, text
from training.backtest.date_metrics import score_metrics
from training.backtest.dated_curve import judge_curve
from training.backtest.dated_value import judge_value
from training.backtest.predictions_store import DatePredictions
from training.curve import out_of_fold_p, released_curve
from training.examples import Examples
from training.models.remembered_fits import remember_fits
from training.parallel import reproducible_fits
from training.tracking import record, tracking
from training.tracking.pending import RunRecord
from training.uncertainty.unseen_rows import uncertainty_report

MAX_DATES, FEW_DATES = 8, 6
SCORE_KEYS = ["customer_id", "as_of", "p_churn"]


@dataclass(frozen=True)
class DatedModel:
    """The result of a training at `as_of` (µs): the released scorer and curve, and metadata.

    `examples`: the refit rows of both; p: their P(churn), from fits without the row's customer.
    `metadata` holds aggregates only.
    """

    as_of: int
    scorer: Scorer
    curve: Curve
    examples: Examples
    p: np.ndarray
    metadata: dict[str, Any]

    @property
    def columns(self) -> tuple[FeatureColumn, ...]:
        """The feature columns of rows that the scorer scores."""
        return self.examples.columns


@dataclass(frozen=True)
class BacktestResult:
    """A finished backtest: its folder, its report, and the predictions of all dates.

    `predictions`: customer_id, as_of, eligible, churned, outcome_stage, p_churn, p_next_<stage>;
    sorted by as_of and customer_id.
    """

    folder: Path
    report: dict[str, Any]
    predictions: pa.Table

    @property
    def text(self) -> str:
        """The report for a terminal."""
        return f"{text.report_text(self.report)}\n  plots  {self.folder}"


def backtest(
    history: History, settings: Settings, *, as_of: Sequence[int] = (), out: Path | None = None
) -> BacktestResult:
    """Evaluate the dates (default: `choose_dates`), draw plots, and record the result in MLflow.

    A backtest that was killed continues where it was. `out` gets the predictions of all dates.
    ImmatureWindow and NotEnoughData where a given date, or every date, has nothing to train on or
    to compare with.
    """
    began = time.time()
    result = walk_dates(history, settings, as_of=as_of)
    if out is not None:
        writers.write_table(result.predictions, out)
    pictures = plots.draw(result.report, result.folder)
    tracking.record_run(_run_record(result, settings, pictures, began))
    return result


def walk_dates(
    history: History, settings: Settings, *, as_of: Sequence[int] = ()
) -> BacktestResult:
    """`backtest` without plots and without a record in MLflow."""
    history = with_consent(history, settings, "train", at=history.data_until)
    dates = choose_dates(history, settings, as_of)
    until = outcomes_until(dates, history, settings)
    name = predictions_store.backtest_id(history, settings, dates, until=until)
    folder = predictions_store.make_folder(name)
    results = _predict_dates(history, settings, dates, folder)
    warnings = _warnings(dates, results, chosen=bool(as_of))
    content = report.build_report(results, settings, name=name, warnings=warnings)
    predictions_store.write_report(folder, content)
    tables = [result.predictions for result in results if result.predictions is not None]
    return BacktestResult(folder, content, pa.concat_tables(tables))


def choose_dates(
    history: History, settings: Settings, as_of: Sequence[int] = ()
) -> tuple[int, ...]:
    """The given instants, else the newest MAX_DATES rolling ones; oldest first.

    Each has a training date before it and a complete window after it; else an error.
    """
    if not as_of:
        dates = plan.rolling_dates(history, settings, most=MAX_DATES)
        if not dates:
            got = "no date with a training date before it and a complete window after it"
            raise _not_enough("--as-of", got, settings)
        return dates
    instants = tuple(sorted(set(as_of)))
    plan.refuse_immature(instants, history, settings, where="--as-of")
    for at in instants:
        if not plan.plan_as_of(history, settings, at).train:
            got = f"{day_text(at, zone=settings.zone)}, before which there is no training date"
            raise _not_enough("--as-of", got, settings)
    return instants


def train_as_of(history: History, settings: Settings, at: int) -> DatedModel:
    """The result of a `train` at the instant `at`, with its own validation.

    NotEnoughData where that training would have been refused.
    """
    with reproducible_fits(), remember_fits():
        return _train_as_of(history, plan.without_eval_dates(settings), at)


def _train_as_of(history: History, settings: Settings, at: int) -> DatedModel:
    run = job.TrainingRun(plan.truncated_at(history, at), settings)
    dates, rows = run.plan, run.examples
    validation = score_metrics(run.eval_rows, *run.eval_scorer.score(run.eval_rows))
    status = "ok" if metrics.has_skill(validation["churn"]) else "no_skill"
    metadata = {
        "as_of": day_text(at, zone=settings.zone),
        "at": at,
        "status": status,
        "train_dates": len(dates.train),
        "train_until": day_text(dates.train[-1], zone=settings.zone),
        "refit_dates": len(dates.refit),
        "features": len(rows.modelled),
        "population_mean_gap_days": rows.definitions.population_mean_gap_us / DAY_US,
        "multiples": list(rows.definitions.multiples),
        "trials": {name: len(blend.trials) if blend else 0 for name, blend in run.specs.items()},
        "validation": {
            "as_of": day_text(dates.evaluate[-1], zone=settings.zone),
            **validation,
        },
    }
    refit_rows = rows.rows_at(dates.refit)
    released = run.fitting.fit_released_scorer(refit_rows, labelled=rows.rows, status=status)
    p = out_of_fold_p(run.fitting, released, refit_rows)
    curve = released_curve(refit_rows, p, rows, settings)
    return DatedModel(at, released, curve, replace(rows, rows=refit_rows), p, metadata)


def label_rows_at(model: DatedModel, history: History, settings: Settings, at: int) -> pa.Table:
    """The rows of every customer at one instant with their outcomes, by the model's definitions."""
    return _label_with_population(model, history, settings, at)[0]


def _label_with_population(
    model: DatedModel, history: History, settings: Settings, at: int
) -> tuple[pa.Table, PopulationStats]:
    rows, population, _ = examples.label_rows(
        history, settings, at, definitions=model.scorer.definitions, columns=model.columns
    )
    return rows, population


def score_rows(model: DatedModel, rows: pa.Table) -> pa.Table:
    """customer_id, as_of, eligible, LABELS, p_churn, p_next_<stage> of labelled rows."""
    p, p_next = model.scorer.score(rows)
    scores = rows.select(["customer_id", "as_of", "eligible", *examples.LABELS])
    scores = scores.append_column("p_churn", pa.array(p))
    for number, stage in enumerate(STAGES):
        scores = scores.append_column(f"p_next_{stage}", pa.array(p_next[:, number]))
    return scores


def _predict_dates(
    history: History, settings: Settings, dates: tuple[int, ...], folder: Path
) -> list[DatePredictions]:
    """Every date: loaded where it was finished before, else predicted and saved at once."""
    names = {at: day_text(at, zone=settings.zone).replace(":", "") for at in dates}
    results = {at: saved for at in dates if (saved := predictions_store.load(folder, names[at]))}
    todo = [at for at in dates if at not in results]
    print_status(
        say(
            "backtest {name}: {dates} dates, {finished} finished before; the search for the others "
            "takes up to {duration}, features and fits are added to that",
            name=folder.name,
            dates=len(dates),
            finished=len(results),
            duration=_duration(len(todo) * settings.training.seconds),
        )
    )
    began = time.monotonic()
    for number, at in enumerate(todo, 1):
        later = [other for other in dates if other > at]
        results[at] = _predict_date(history, settings, at, later)
        predictions_store.save(folder, names[at], results[at])
        left = (time.monotonic() - began) / number * (len(todo) - number)
        print_status(
            say(
                "backtest: {date} is done, {number} of {dates}; about {duration} left",
                date=names[at],
                number=number,
                dates=len(todo),
                duration=_duration(left),
            )
        )
    if all(results[at].predictions is None for at in dates):
        raise _not_enough("backtest", results[dates[-1]].metadata["why"], settings)
    return [results[at] for at in dates]


def _predict_date(
    history: History, settings: Settings, at: int, later: list[int]
) -> DatePredictions:
    """The predictions of a model trained at `at`: at that date, and p_churn at `later` dates."""
    began = time.monotonic()
    try:
        model = train_as_of(history, settings, at)
    except NotEnoughData as error:
        day = day_text(at, zone=settings.zone)
        return DatePredictions({"as_of": day, "at": at, "why": error.got})
    rows, population = _label_with_population(model, history, settings, at)
    fresh = score_rows(model, rows)
    p = fresh["p_churn"].to_numpy()
    judged = {
        "coverage": uncertainty_report(model.scorer, rows),
        "curve": judge_curve(model.curve, model.examples, rows, p, population, history, settings),
        "value": judge_value(model.curve, model.examples, model.p, rows, p, history, settings),
    }
    tables = [
        score_rows(model, label_rows_at(model, history, settings, then)).select(SCORE_KEYS)
        for then in later
    ]
    # The empty table first: it gives the columns where there is no later date.
    later_predictions = pa.concat_tables([fresh.select(SCORE_KEYS).slice(0, 0), *tables])
    seconds = round(time.monotonic() - began, 1)
    metadata = {**model.metadata, **judged, "seconds": seconds}
    return DatePredictions(metadata, fresh, later_predictions)


def _warnings(dates: tuple[int, ...], results: list[DatePredictions], *, chosen: bool) -> list[str]:
    """Skipped dates, and too few dates. `chosen`: the user gave the dates and knows how many."""
    warnings = [
        f"{result.metadata['as_of']} is skipped: {result.metadata['why']}"
        for result in results
        if result.predictions is None
    ]
    if len(dates) < FEW_DATES and not chosen:
        warnings.append(
            f"the data allow {len(dates)} date{'s' * (len(dates) > 1)}; under {FEW_DATES} the "
            "spread between dates is hardly known: add older rows, or set a smaller [churn] "
            "horizon_days or [training] step_days"
        )
    return warnings


def _not_enough(where: str, got: str, settings: Settings) -> LifecycleError:
    days = settings.churn.horizon_days
    return NotEnoughData(
        where=where,
        got=got,
        rule=f"A backtest needs a date with three horizons of {days} days (and label latency) "
        "before it, and one horizon after it.",
        fix="Add older rows, or set a smaller [churn] horizon_days or [training] history_days.",
    )


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _run_record(
    result: BacktestResult, settings: Settings, pictures: list[Path], began: float
) -> RunRecord:
    """The backtest for MLflow, once per id: aggregates, and figures by date."""
    content = result.report
    metrics = {"seconds": round(time.time() - began, 1), **report.report_metrics(content)}
    return RunRecord(
        "backtest",
        params={
            **record.configuration_params(settings),
            "backtest": content["backtest"],
            "horizon_days": str(content["horizon_days"]),
            "as_of": ", ".join(date["as_of"] for date in content["dates"]),
        },
        metrics=metrics,
        by_date=report.metrics_by_date(content),
        files={
            "report.json": content,
            "configuration.json": record.masked_configuration(settings),
        },
        tags={
            "status": "ok",
            "verdict": content["verdict"],
            "mlflow.source.name": "lifecycle backtest",
            "mlflow.source.type": "LOCAL",
        },
        pictures=tuple(pictures),
        began=began,
        ended=time.time(),
        key=f"backtest-{content['backtest']}",
        business=settings.business.name,
    )
