"""The records of a training's targets for the tracking store: one run for each, as for churn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from training import metrics
from training.evaluation.baseline_comparison import headline_population
from training.models.amount_search import AmountSpec
from training.models.blend_spec import BlendSpec
from training.tracking.pending import RunRecord
from training.tracking.run_metrics import amount_metrics, best_baseline, run_metrics

CHOSEN = "chosen."  # the parameters that a search chose
OF_A_MODEL = ("headline_population", "best_baseline", "verdict", "recommended")
NOTE = "mlflow.note.content"


def target_job(name: str) -> str:
    """What the run of a target is called."""
    return f"target-{name}"


def target_records(
    training: RunRecord,
    reports: Mapping[str, Mapping[str, Any]],
    specs: Mapping[str, BlendSpec | AmountSpec | None],
) -> list[RunRecord]:
    """One record for each target, beside that of the `training`; nothing about a customer.

    `reports`: the sections of the evaluation by target. They register no model: a release holds its
    targets, and is registered by churn and next stage.
    """
    return [_record(training, name, report, specs[name]) for name, report in reports.items()]


def _record(
    training: RunRecord, name: str, report: Mapping[str, Any], spec: BlendSpec | AmountSpec | None
) -> RunRecord:
    figures, is_amount = report.get("figures", {}), report["kind"] == "amount"
    params = {key: text for key, text in training.params.items() if not key.startswith(CHOSEN)}
    if spec is not None:
        params |= {f"{CHOSEN}{key}": str(value) for key, value in _chosen(spec).items()}
    tags = {key: text for key, text in training.tags.items() if key not in (*OF_A_MODEL, NOTE)}
    return replace(
        training,
        job=target_job(name),
        params=params | {"target": name, "population": report["population"]},
        metrics={
            "seconds": training.metrics["seconds"],
            **(
                amount_metrics(figures)
                if is_amount
                else run_metrics("churn", {"churn": figures}, None)
            ),
        },
        by_date=(),
        tags=tags
        | (_amount_tags if is_amount else _verdict_tags)(report, figures)
        | {"status": report["status"], "target": name},
        files={**training.files, "target.json": dict(report)},
        trials=spec.trials if isinstance(spec, BlendSpec) else (),
        pictures=(),
        release=None,
        models=(),
        name=None,
        key=f"{training.key}-{name}",
    )


def _chosen(spec: BlendSpec | AmountSpec) -> dict[str, Any]:
    """What the search chose, as parameters of the run."""
    chosen = {
        "booster_weight": spec.weight,
        "ridge_strength": spec.strength,
        "rounds": spec.rounds,
        "folds": spec.folds,
        **spec.settings,
    }
    if isinstance(spec, BlendSpec):
        return chosen
    return chosen | {"objective": spec.objective, "quantile_rounds": spec.quantile_rounds}


def _amount_tags(report: Mapping[str, Any], figures: Mapping[str, Any]) -> dict[str, str]:
    """The population, the verdicts and the candidate worth having, as for a label."""
    who = report["population"]
    verdicts = figures.get(who, {}).get("verdicts", ())
    comparison = figures.get(who, {}).get("baseline_comparison") or {}
    if not verdicts or not comparison.get("verdict"):
        return {"verdict": report["status"].replace("_", " ")}
    lines = "\n".join(f"- {who}: {line}" for line in verdicts)
    tags = {
        "headline_population": who,
        "best_baseline": comparison["best_simpler"],
        "verdict": comparison["verdict"],
        NOTE: f"{figures[who]['loss']} on dates not trained on, as a share of that of the mean:"
        f"\n\n{lines}\n",
    }
    if report["status"] == "ok":
        tags["recommended"] = comparison["recommended"]
    return tags


def _verdict_tags(report: Mapping[str, Any], figures: Mapping[str, Any]) -> dict[str, str]:
    """The judged population, the best baseline there, and our model compared with it."""
    who = headline_population(figures, figure="auroc")
    best = best_baseline(figures[who]) if who else None
    if who is None or best is None:
        return {"verdict": report["status"].replace("_", " ")}
    verdicts = "\n".join(
        f"- {which}: {line}" for which, each in figures.items() for line in each.get("verdicts", ())
    )
    tags = {
        "headline_population": who,
        "best_baseline": best,
        "verdict": metrics.verdict(best, figures[who]["paired_log_loss"][best]),
        NOTE: f"Log loss on dates not trained on:\n\n{verdicts}\n",
    }
    if report["status"] == "ok":
        tags["recommended"] = figures[who]["baseline_comparison"]["recommended"]
    return tags
