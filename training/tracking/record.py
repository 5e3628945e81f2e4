"""What a finished training sends to the tracking store: parameters, figures, tags, datasets.

Nothing about a customer. A SELECT may hold literals and a path may hold a name, so both are sent as
their hash only.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from features.core.settings import Settings
from features.core.target_schema import SELECTS
from serving.batch.known_rows import column_bytes
from serving.release.checked_files import CARDS
from training import metrics
from training.evaluation import baseline_comparison, gate
from training.examples import Examples
from training.models.blend_spec import BlendSpec
from training.models.estimators.search_estimators import OwnPart
from training.plan import Plan
from training.reports import card
from training.tracking.pending import RunRecord
from training.tracking.registry import MODELS
from training.tracking.revision import revision_tags
from training.tracking.run_metrics import (
    SECTION,
    Holdout,
    Report,
    best_baseline,
    judged_population,
    metrics_by_date,
    run_metrics,
)

# MLflow's database refuses longer parameter values.
LONGEST_VALUE = 6000
LONGEST_KEY, PARAM_NAME = 100, re.compile(r"\w[\w .-]*")
MLFLOW_TYPES = {"int64": "long", "double": "double", "bool": "boolean"}


def build_records(
    jobs: Sequence[str],
    *,
    evaluation: dict[str, Any],
    settings: Settings,
    examples: Examples,
    dates: Plan,
    holdout: Holdout | None,
    blends: Mapping[str, BlendSpec | None],
    release: Path,
    began: float,
    pictures: Sequence[Path],
) -> list[RunRecord]:
    """One record per job. Together they register both models, because a release holds both.

    `release`: its folder. `began`: seconds since 1970. `pictures`: PNG files.
    """
    files = {
        "configuration.json": masked_configuration(settings),
        "evaluation.json": evaluation,
        "features.json": _features(examples),
        **{name: (release / name).read_text(encoding="utf-8") for name in CARDS},
    }
    tags = _tags(evaluation, settings, examples, release)
    datasets = _datasets(examples, dates)
    records = []
    for job in jobs:
        blend = blends.get(job)
        figures = run_metrics(job, evaluation, holdout)
        records.append(
            RunRecord(
                job,
                params=_params(settings, evaluation, examples, blend),
                metrics={"seconds": round(time.time() - began, 1), **figures},
                by_date=tuple(metrics_by_date(job, holdout)) if holdout else (),
                tags={**tags, **_verdict_tags(job, evaluation)},
                files=files,
                datasets=datasets,
                trials=blend.trials if blend else (),
                pictures=tuple(pictures),
                release=release.name,
                models=registered_models(job, jobs),
                began=began,
                ended=time.time(),
                business=settings.business.name,
            )
        )
    return records


def judge_record(
    report: dict[str, Any],
    settings: Settings,
    examples: Examples,
    dates: Plan,
    *,
    began: float,
    job: str,
) -> RunRecord:
    """The record of predictions that were judged; they are nobody's release and no model's version.

    `report`: as of training.judge. `began`: seconds since 1970.
    """
    figures = {
        name: value
        for section in SECTION
        for name, value in run_metrics(section, report, None).items()
        if section == "churn" or not name.endswith("_rows")
    }
    judged = "churn" if "churn" in report else "next-stage"
    return RunRecord(
        job,
        params=_params(settings, report, examples, None),
        metrics={"seconds": round(time.time() - began, 1), **figures},
        tags={
            "data_digest": digest_rows(examples.rows),
            "mlflow.source.name": "lifecycle judge",
            "mlflow.source.type": "LOCAL",
            "status": "judged",
            **_verdict_tags(judged, {**report, "status": "judged"}),
        },
        files={"configuration.json": masked_configuration(settings), "judged.json": report},
        datasets=_datasets(examples, dates),
        began=began,
        ended=time.time(),
        name=report["name"],
        business=settings.business.name,
    )


def estimator_record(
    part: OwnPart,
    report: dict[str, Any],
    settings: Settings,
    examples: Examples,
    dates: Plan,
    *,
    began: float,
) -> RunRecord:
    """The record of a business's own estimator, judged alone in a training."""
    judged = judge_record(report, settings, examples, dates, began=began, job="estimator")
    own = {"estimator": part.name, **{f"estimator.{k}": str(v) for k, v in part.params.items()}}
    tags = {"mlflow.source.name": "lifecycle train", "servable": part.not_servable or "yes"}
    return replace(judged, params=judged.params | own, tags=judged.tags | tags, trials=part.trials)


def registered_models(job: str, jobs: Sequence[str]) -> tuple[str, ...]:
    """The registered models that get a version from this job's run.

    Its own, or both where the job ran alone: a release is always both, and p_next contains p, so
    both champions must be of the served release.
    """
    return (SECTION[job],) if len(jobs) > 1 else tuple(MODELS)


def masked_configuration(settings: Settings) -> dict[str, Any]:
    """The whole configuration, with the sha256 of SELECTs and paths in their place."""
    config = settings.model_dump(mode="json", exclude={"folder"})
    for section in ("tables", "files"):
        config[section] = {
            name: {"sha256": _sha256(text)} for name, text in config[section].items()
        }
    for target in config["targets"].values():
        for key in set(SELECTS) & set(target):
            target[key] = {"sha256": _sha256(target[key])}
    return config


def digest_rows(rows: pa.Table) -> str:
    """16 hex digits over the examples: equal data and features have an equal digest."""
    digest = hashlib.sha256()
    for name in rows.column_names:
        digest.update(name.encode() + column_bytes(rows[name]))
    return digest.hexdigest()[:16]


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _datasets(examples: Examples, dates: Plan) -> tuple[dict[str, Any], ...]:
    instants = {"training": dates.train, "evaluation": dates.evaluate}
    return tuple(_dataset(examples.rows_at(at), context) for context, at in instants.items() if at)


def _dataset(rows: pa.Table, context: str) -> dict[str, Any]:
    columns = [(field.name, MLFLOW_TYPES.get(str(field.type), "string")) for field in rows.schema]
    return {
        "name": f"{context} examples",
        "context": context,
        "digest": digest_rows(rows),
        "rows": rows.num_rows,
        "columns": columns,
    }


def _features(examples: Examples) -> list[dict[str, Any]]:
    return [
        {
            "name": column.name,
            "family": column.feature.family,
            "unit": column.feature.unit,
            "window": column.window,
            "modelled": column.name in examples.modelled,
        }
        for column in examples.columns
    ]


def _params(
    settings: Settings, evaluation: Report, examples: Examples, blend: BlendSpec | None
) -> dict[str, str]:
    """The configuration flat (`churn.horizon_days`), the dates, and what the search chose."""
    params = configuration_params(settings)
    params |= {f"as_of.{use}": ", ".join(days) for use, days in evaluation.get("as_of", {}).items()}
    params |= {
        "features": str(len(examples.modelled)),
        "feature_columns": str(len(examples.columns)),
    }
    if blend:
        chosen = {
            "booster_weight": blend.weight,
            "ridge_strength": blend.strength,
            "rounds": blend.rounds,
            "folds": blend.folds,
            **blend.settings,
        }
        params |= {f"chosen.{name}": str(value) for name, value in chosen.items()}
    return {name: _short(value) for name, value in params.items()}


def configuration_params(settings: Settings) -> dict[str, str]:
    """Every setting by its dotted key (`churn.horizon_days`), as MLflow takes it."""
    flat = _flatten(masked_configuration(settings))
    return {name: _short(value) for name, value in flat}


def _short(value: str) -> str:
    """The value; where MLflow would refuse it for its length, where the whole one is."""
    if len(value) <= LONGEST_VALUE:
        return value
    return f"{len(value):,} characters, sha256 {_sha256(value)}: see configuration.json"


def _flatten(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every value by its dotted key. A section with a key that MLflow refuses is one JSON text."""
    for name, value in config.items():
        if isinstance(value, dict) and all(map(_is_param_name, value)):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value if isinstance(value, str) else json.dumps(value)


def _is_param_name(name: str) -> bool:
    """Whether MLflow takes the name as a part of a parameter's, on every system."""
    return len(name) <= LONGEST_KEY and PARAM_NAME.fullmatch(name) is not None


def _tags(
    evaluation: dict[str, Any], settings: Settings, examples: Examples, release: Path
) -> dict[str, str]:
    versions = {"python": platform.python_version(), **card.package_versions()}
    config = json.dumps(masked_configuration(settings), sort_keys=True)
    return {
        "release": release.name,
        "status": evaluation["status"],
        "data_digest": digest_rows(examples.rows),
        "configuration_digest": _sha256(config)[:16],
        **_gate_tags(evaluation),
        "mlflow.source.name": "lifecycle train",
        "mlflow.source.type": "LOCAL",
        **{f"version.{name}": text for name, text in versions.items()},
        **revision_tags(settings.folder),
    }


def _gate_tags(evaluation: dict[str, Any]) -> dict[str, str]:
    """The gate's verdict with its reasons, its table as text, and the release compared with."""
    report = evaluation.get("gate")
    if not report:
        return {}
    tags = {
        "gate": "; ".join([report["verdict"], *report["why"]]),
        "gate.table": "\n".join(gate.lines(evaluation)),
    }
    return tags | ({"gate.champion": report["champion"]} if report["champion"] else {})


def _verdict_tags(job: str, evaluation: Report) -> dict[str, str]:
    """The judged population, the best baseline there, and our model compared with it."""
    section, who = evaluation.get(SECTION[job], {}), judged_population(job, evaluation)
    best = best_baseline(section[who]) if who else None
    if who is None or best is None:
        return {"verdict": evaluation["status"].replace("_", " ")}
    recommendation = (evaluation.get("recommendation") or {}).get(SECTION[job]) or {}
    tags = {
        "headline_population": who,
        "best_baseline": best,
        "verdict": metrics.verdict(best, section[who]["paired_log_loss"][best]),
        "mlflow.note.content": _note(section, evaluation),
    }
    if recommendation:
        tags["recommended"] = recommendation["recommended"]
    return tags


def _note(section: Report, evaluation: Report) -> str:
    """The description on the run's page."""
    verdicts = "\n".join(
        f"- {who}: {line}" for who, report in section.items() for line in report.get("verdicts", ())
    )
    advice = "\n".join(f"\n{line}" for line in baseline_comparison.lines(evaluation))
    return f"Log loss on dates not trained on:\n\n{verdicts}\n{advice}"
