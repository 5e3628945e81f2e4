"""`lifecycle runs`: the trainings with their main figure, verdict and role, as rows and as text."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from serving.release.release_store import served_release_id
from training.formats import UNKNOWN, confidence, decimals
from training.tracking import registry
from training.tracking.store import Store

ROLES = ("challenger", "champion", "served")


def run_rows(store: Store, limit: int) -> list[dict[str, Any]]:
    """The newest `limit` parent runs that ended, newest first."""
    runs = store.client.search_runs(
        [store.experiment],
        "tags.`lifecycle.job` LIKE '%' AND attributes.status = 'FINISHED'",
        max_results=limit,
        order_by=["attributes.start_time DESC", "attributes.end_time DESC"],
    )
    aliases = {
        (model, alias): registry.aliased_release(store, model, alias)
        for model in registry.MODELS
        for alias in (registry.CHALLENGER, registry.CHAMPION)
    }
    return [describe_run(run, aliases, served_release_id()) for run in runs]


def describe_run(
    run: Any, aliases: dict[tuple[str, str], str | None], served: str | None
) -> dict[str, Any]:
    """One run as plain data; None where a value is unknown.

    run, started (RFC 3339), seconds, job, status, release; the main figure: figure, population,
    value, low, high; best_baseline, verdict; challenger, champion, served: whether the run's
    release is that.
    """
    tags, metrics = run.data.tags, run.data.metrics
    job, who, release = tags["lifecycle.job"], tags.get("headline_population"), tags.get("release")
    figure, model = ("log_loss", "next_stage") if job == "next-stage" else ("auroc", "churn")
    return {
        "run": run.info.run_id,
        "started": datetime.fromtimestamp(run.info.start_time / 1000, UTC).isoformat(
            timespec="seconds"
        ),
        "seconds": metrics.get("seconds"),
        "job": job,
        "status": tags.get("status"),
        "release": release,
        "figure": figure,
        "population": who,
        **{
            name: metrics.get(f"{who}_{figure}{end}")
            for name, end in (("value", ""), ("low", "_low"), ("high", "_high"))
        },
        "best_baseline": tags.get("best_baseline"),
        "verdict": tags.get("verdict"),
        "challenger": release is not None and release == aliases[model, registry.CHALLENGER],
        "champion": release is not None and release == aliases[model, registry.CHAMPION],
        "served": release is not None and release == served,
    }


def runs_text(runs: list[dict[str, Any]]) -> str:
    """Two lines per run: start, job, release, status and role; then the figure and the verdict."""
    if not runs:
        return "  no training is recorded here yet; type: lifecycle train"
    return "\n".join(line for run in runs for line in _run_lines(run))


def _run_lines(run: dict[str, Any]) -> tuple[str, str]:
    started = run["started"][:16].replace("T", " ")
    release, status = run["release"] or UNKNOWN, run["status"] or UNKNOWN
    roles = ", ".join(role for role in ROLES if run[role])
    first = f"  {started}  {run['job']:<10} {release:<18}{status:<17}{roles}"
    return first.rstrip(), f"{'':20}{_figure(run)}{run['verdict'] or ''}".rstrip()


def _figure(run: dict[str, Any]) -> str:
    if run["value"] is None:
        return ""
    name = {"auroc": "AUROC", "log_loss": "log loss"}[run["figure"]]
    interval = confidence(run["low"], run["high"])
    return f"{name} {decimals(run['value'])}{interval}, {run['population']} customers; "
