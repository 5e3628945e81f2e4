"""Scores without a table beside a model trained without it: `python -m benchmarks.silent_feeds`.

Simulated businesses of both kinds. A release is trained as of a day; then a table is stale (its
last 31 days are missing) or was not sent (no row of it). The scores of the release are compared
with those of a whole training, its search included, on the same data without that table: the mean p
and the log loss against what happened later. `--customers N --json`; the last line is one JSON
object.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from features.core.instants import DAY_US, instant
from features.core.settings import Settings, load_settings
from features.engine.build import build
from features.labels.outcomes import observe_outcomes
from features.recipes.population_stats import population_stats
from features.tables.history import History, load_history
from lifecycle import simulation
from serving.scoring.scorer import Scorer
from serving.scoring.sub_releases import SubRelease, choose_sub_release
from training import metrics
from training.job import TrainingRun
from training.models.remembered_fits import remember_fits
from training.parallel import reproducible_fits
from training.plan import truncated_at, without_eval_dates

AS_OF = "2024-09-01"
DAYS_SILENT = 31
MOST_DISTANCE, MOST_RATIO, MOST_SECONDS = 0.03, 1.01, 0.25
# The tables that are missing in each case, by kind of business.
CASES = {
    "retail": (
        ("interactions",),
        ("feedback",),
        ("customers", "feedback", "interactions"),
    ),
    "subscription": (("transactions",), ("customers", "feedback", "transactions")),
}


def compare_business(mode: str, customers: int, folder: Path) -> dict[str, Any]:
    """The comparisons of one business by case, and the seconds of its training."""
    simulation.write(simulation.simulate(customers=customers, mode=mode), folder=folder)
    settings = without_eval_dates(load_settings(folder / "lifecycle.toml"))
    history, _ = load_history(settings)
    at = instant(AS_OF, zone=settings.zone)
    past = truncated_at(history, at)
    with reproducible_fits(), remember_fits():
        run = TrainingRun(past, settings)
        began = time.process_time()
        whole = run.final_scorer
        _ = run.scorer_report
        before = time.process_time() - began
        subs = [each.sub_release for each in run.sub_releases]
        share = (time.process_time() - began - before) / before
    cases = {}
    for missing in CASES[mode]:
        reference = _train_without(past, settings, missing)
        for kind in ("stale", "unsent"):
            seen = _with_missing(history, missing, at, kind)
            scorer = choose_sub_release(SubRelease((), whole), subs, missing).scorer
            rows, churned = _rows(seen, history, settings, at, scorer, run)
            ours = scorer.p_churn(rows)
            bare = _without(history, missing)
            theirs = _score_reference(reference, bare, settings, at)
            cases[f"{mode}, {kind}: {', '.join(missing)}"] = _compare(ours, theirs, churned)
    return {"cases": cases, "share_of_training": share}


def _train_without(past: History, settings: Settings, missing: tuple[str, ...]) -> TrainingRun:
    """A whole training on the tables that are left."""
    with reproducible_fits(), remember_fits():
        run = TrainingRun(_without(past, missing), settings)
        _ = run.final_scorer
    return run


def _without(history: History, missing: tuple[str, ...]) -> History:
    return replace(history, names=tuple(n for n in history.names if n not in missing))


def _with_missing(history: History, missing: tuple[str, ...], at: int, kind: str) -> History:
    """The history in which the tables end 31 days before `at`, or have no row at all."""
    cursor = history.connection.cursor()
    schema = f"{kind}_{'_'.join(missing)}"
    cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    for name in history.names:
        clock = "coalesce(valid_from, acquired_at)" if name == "customers" else "recorded_at"
        limit = at - DAYS_SILENT * DAY_US if kind == "stale" else 0
        only = f" WHERE {clock} < {limit}" if name in missing else ""
        cursor.execute(f"CREATE OR REPLACE VIEW {schema}.{name} AS SELECT * FROM main.{name}{only}")
    return replace(history, connection=cursor, schema=schema)


def _rows(
    seen: History, history: History, settings: Settings, at: int, scorer: Scorer, run: TrainingRun
) -> tuple[pa.Table, np.ndarray]:
    """The feature rows at `at` of what was seen, and the outcomes of what happened."""
    definitions = scorer.definitions
    known = seen.as_of(at)
    population = population_stats(known, definitions)
    columns = [c for c in run.examples.columns if c.name in set(scorer.columns)]
    rows = build(known, population=population, definitions=definitions, columns=columns)
    outcomes = observe_outcomes(
        history, history.as_of(at), definitions=definitions, settings=settings
    )
    return rows, outcomes.rows["churned"].to_numpy()


def _score_reference(run: TrainingRun, history: History, settings: Settings, at: int) -> np.ndarray:
    rows, _ = _rows(history, history, settings, at, run.final_scorer, run)
    return run.final_scorer.p_churn(rows)


def _compare(ours: np.ndarray, theirs: np.ndarray, churned: np.ndarray) -> dict[str, float]:
    losses = [float(metrics.log_losses(churned, p).mean()) for p in (ours, theirs)]
    return {
        "rows": len(churned),
        "mean_p": float(ours.mean()),
        "mean_p_reference": float(theirs.mean()),
        "distance": abs(float(ours.mean() - theirs.mean())),
        "log_loss": losses[0],
        "log_loss_reference": losses[1],
        "ratio": losses[0] / losses[1],
    }


def figures(businesses: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The worst of all cases, each with what is wanted."""
    cases = [case for each in businesses.values() for case in each["cases"].values()]
    worst = {
        "largest distance of mean p": (max(c["distance"] for c in cases), MOST_DISTANCE),
        "largest ratio of log loss": (max(c["ratio"] for c in cases), MOST_RATIO),
        "share of training": (
            max(each["share_of_training"] for each in businesses.values()),
            MOST_SECONDS,
        ),
    }
    return {
        name: {"value": value, "wanted": wanted, "holds": value <= wanted}
        for name, (value, wanted) in worst.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=3000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    businesses = {}
    with tempfile.TemporaryDirectory() as place:
        for mode in CASES:
            businesses[mode] = compare_business(mode, arguments.customers, Path(place) / mode)
            for name, case in businesses[mode]["cases"].items():
                print(name, json.dumps(case))
            print(f"{mode}: sub-releases {businesses[mode]['share_of_training']:.3f} of training")
    print(json.dumps(figures(businesses)))


if __name__ == "__main__":
    main()
