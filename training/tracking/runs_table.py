"""`lifecycle runs`: the trainings with their main figure, verdict and role, as rows and as text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from features.core.language import mark, say
from serving.release.release_store import served_release_id
from training.formats import UNKNOWN, confidence, decimals
from training.metrics import POPULATIONS
from training.stored_texts import say_stored
from training.tracking import registry
from training.tracking.config_changes import changed_settings, changes_text
from training.tracking.run_labels import LABELS
from training.tracking.store import Store

ROLES = ("challenger", "champion", "served")
ELIGIBLE_FIRST = tuple(sorted(POPULATIONS, key=lambda who: who != "eligible"))
ENDS = (("value", ""), ("low", "_low"), ("high", "_high"))
INDENT = " " * 20


def run_rows(store: Store, limit: int, business: str | None = None) -> list[dict[str, Any]]:
    """The newest `limit` parent runs that ended, newest first; of one business if it is named."""
    experiments = {
        number: name for number, name in store.experiments().items() if business in (None, name)
    }
    if not experiments:
        return []
    runs = _newest_runs(store, list(experiments), limit)
    aliases = {
        (model, alias): registry.aliased_release(store, model, alias)
        for model in registry.MODELS
        for alias in (registry.CHALLENGER, registry.CHAMPION)
    }
    served = served_release_id()
    champion = _champion_run(store, aliases["churn", registry.CHAMPION] or served)
    return [
        describe_run(run, aliases, served)
        | {"business": experiments[run.info.experiment_id], "changes": _changes(run, champion)}
        for run in runs
    ]


def experiment_to_show(store: Store, business: str | None) -> str | None:
    """The experiment of the business, or that of the newest run; None where no run is recorded."""
    experiments = store.experiments()
    of_business = [number for number, name in experiments.items() if name == business]
    for numbers in (of_business, list(experiments)):
        if numbers and (runs := _newest_runs(store, numbers, 1)):
            return runs[0].info.experiment_id
    return None


def _newest_runs(store: Store, experiments: list[str], limit: int) -> list[Any]:
    return store.client.search_runs(
        experiments,
        "tags.`lifecycle.job` LIKE '%' AND attributes.status = 'FINISHED'",
        max_results=limit,
        order_by=["attributes.start_time DESC", "attributes.end_time DESC"],
    )


def _champion_run(store: Store, release: str | None) -> Any:
    """The newest run that trained the champion; None where none is recorded here."""
    if release is None:
        return None
    runs = store.client.search_runs(
        list(store.experiments()),
        f"tags.release = '{release}' AND attributes.status = 'FINISHED'",
        max_results=1,
        order_by=["attributes.start_time DESC"],
    )
    return runs[0] if runs else None


def _changes(run: Any, champion: Any) -> dict[str, Any] | None:
    """What the run's configuration has other than the champion's; None: not comparable."""
    if champion is None or run.info.experiment_id != champion.info.experiment_id:
        return None
    return changed_settings(champion.data.params, run.data.params)


def describe_run(
    run: Any, aliases: Mapping[tuple[str, str], str | None], served: str | None
) -> dict[str, Any]:
    """One run as plain data; None where a value is unknown.

    run, name, tags (of `--tag`), started (RFC 3339), seconds, job, status, release; the main
    figure: figure, population, value, low, high; `figures`: the same by population, eligible first;
    best_baseline, best_trial, verdict; challenger, champion, served: whether the run's release is
    that; parameters and metrics: everything that MLflow has of it.
    """
    tags, metrics = run.data.tags, run.data.metrics
    job, who, release = tags["lifecycle.job"], tags.get("headline_population"), tags.get("release")
    figure, model = ("log_loss", "next_stage") if job == "next-stage" else ("auroc", "churn")
    figures = {
        population: {name: metrics.get(f"{population}_{figure}{end}") for name, end in ENDS}
        for population in ELIGIBLE_FIRST
    }
    return {
        "run": run.info.run_id,
        "name": None if run.info.run_name == job else run.info.run_name,
        "tags": {name: tags[name] for name in json.loads(tags.get(LABELS, "[]"))},
        "started": datetime.fromtimestamp(run.info.start_time / 1000, UTC).isoformat(
            timespec="seconds"
        ),
        "seconds": metrics.get("seconds"),
        "job": job,
        "status": tags.get("status"),
        "release": release,
        "figure": figure,
        "population": who,
        **{name: metrics.get(f"{who}_{figure}{end}") for name, end in ENDS},
        "figures": {name: one for name, one in figures.items() if one["value"] is not None},
        "best_baseline": tags.get("best_baseline"),
        "best_trial": tags.get("best_trial"),
        "verdict": tags.get("verdict"),
        "challenger": release is not None and release == aliases[model, registry.CHALLENGER],
        "champion": release is not None and release == aliases[model, registry.CHAMPION],
        "served": release is not None and release == served,
        "parameters": dict(run.data.params),
        "metrics": dict(metrics),
    }


def runs_text(runs: list[dict[str, Any]]) -> str:
    """A few lines per run: start, job, release, status and role; name and tags; figures; changes.

    Businesses are named where there is more than one.
    """
    if not runs:
        return say("  no training is recorded here yet; type: lifecycle train")
    several = len({run["business"] for run in runs}) > 1
    return "\n".join(line for run in runs for line in _run_lines(run, several))


def _run_lines(run: dict[str, Any], several: bool) -> list[str]:
    started = run["started"][:16].replace("T", " ")
    release, status = run["release"] or UNKNOWN, run["status"] or UNKNOWN
    roles = ", ".join(role for role in ROLES if run[role])
    labels = [run["name"] or "", *(f"{key}={value}" for key, value in run["tags"].items())]
    lines = [
        f"  {started}  {run['job']:<10} {release:<18}{status:<17}{roles}",
        f"{INDENT}{run['business']}" if several else "",
        f"{INDENT}{'  '.join(label for label in labels if label)}",
        f"{INDENT}{_figures(run)}{say_stored(run['verdict'] or '')}",
        f"{INDENT}{changes_text(run['changes'])}",
    ]
    return [line.rstrip() for line in lines if line.strip()]


def _figures(run: dict[str, Any]) -> str:
    """The main figure of each population, eligible customers first."""
    name = {"auroc": "AUROC", "log_loss": say("log loss")}[run["figure"]]
    texts = [
        say(
            "{figure}, {who}",
            figure=decimals(one["value"]) + confidence(one["low"], one["high"]),
            who=say(_WHO[who]),
        )
        for who, one in run["figures"].items()
    ]
    between = say("; ")
    return f"{name} {between.join(texts)}{between}" if texts else ""


_WHO = {"eligible": mark("eligible customers"), "everyone": mark("everyone")}
