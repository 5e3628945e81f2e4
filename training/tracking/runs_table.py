"""`lifecycle runs`: what was trained, how good it was, and what became of it, as rows and as text."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from training.tracking import registry
from training.tracking.store import Store

ROLES = ("challenger", "champion", "served")


def rows(store: Store, limit: int) -> list[dict[str, Any]]:
    """Newest first, parent runs that ended."""
    found = store.client.search_runs(
        [store.experiment],
        "tags.`lifecycle.job` LIKE '%' AND attributes.status = 'FINISHED'",
        max_results=limit,
        order_by=["attributes.start_time DESC", "attributes.end_time DESC"],
    )
    aliases = {
        (model, alias): registry.release_of(store, model, alias)
        for model in registry.MODELS
        for alias in (registry.CHALLENGER, registry.CHAMPION)
    }
    return [row(run, aliases, registry.serving_now()) for run in found]


def row(run: Any, aliases: dict[tuple[str, str], str | None], served: str | None) -> dict[str, Any]:
    """run, started (RFC 3339), seconds, job, status, release; the headline: figure, population, value, low, high;
    best_baseline, verdict; challenger, champion, served: whether the run's release is that. None where unknown."""
    tags, metrics = run.data.tags, run.data.metrics
    job, who, release = tags["lifecycle.job"], tags.get("headline_population"), tags.get("release")
    figure, model = ("auroc", "churn") if job == "churn" else ("log_loss", "next_stage")
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


def text(found: list[dict[str, Any]]) -> str:
    """Two lines a run: when, which job, release and role; then the figure and the verdict."""
    if not found:
        return "  no training job is recorded here yet: lifecycle train"
    lines = []
    for each in found:
        roles = ", ".join(role for role in ROLES if each[role])
        lines.append(
            f"  {each['started'][:16].replace('T', ' ')}  {each['job']:<11}{each['release'] or '–':<18}{each['status'] or '–':<17}{roles}".rstrip()
        )
        lines.append(f"{'':20}{_figure(each)}{each['verdict'] or ''}".rstrip())
    return "\n".join(lines)


def _figure(found: dict[str, Any]) -> str:
    if found["value"] is None:
        return ""
    name = {"auroc": "AUROC", "log_loss": "log loss"}[found["figure"]]
    interval = "" if found["low"] is None else f" ({found['low']:.3f} … {found['high']:.3f})"
    return f"{name} {found['value']:.3f}{interval} of {found['population']}; "
