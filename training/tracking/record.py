"""What a finished job tells the tracking store: parameters, figures, tags, features, datasets. Nothing of a customer.

A SELECT may hold literals and a path a name, so both are told by their hash only.
"""

from __future__ import annotations

import hashlib
import json
import math
import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from features.core.settings import Settings
from serving.batch.run_folders import column_bytes
from serving.scoring.scorer import stage_index
from training import metrics
from training.evaluation import baseline_comparison, gate
from training.examples import Examples
from training.models.blending import BlendSpec
from training.plan import Plan
from training.reports import card
from training.tracking.pending import Record
from training.tracking.registry import MODELS
from training.tracking.revision import revisions

LONGEST_VALUE = 6000
SECTION = {"churn": "churn", "next-stage": "next_stage"}
FIGURES = {
    "churn": (
        "rows",
        "rate",
        "auroc",
        "auroc_low",
        "auroc_high",
        "average_precision",
        "log_loss",
        "brier",
        "ece",
        "top_decile_lift",
        "gain_20",
    ),
    "next-stage": ("rows", "log_loss", "ranked_probability_score", "accuracy", "macro_f1"),
}
DATED = {
    "churn": ("auroc", "log_loss", "rate"),
    "next-stage": ("log_loss", "ranked_probability_score"),
}
_TYPES = {"int64": "long", "double": "double", "bool": "boolean"}


@dataclass(frozen=True)
class HeldOut:
    """The evaluation rows and what was predicted for them: p (rows,), p_next (rows, 7)."""

    rows: pa.Table
    p: np.ndarray
    p_next: np.ndarray


def records(
    jobs: Sequence[str],
    *,
    account: dict[str, Any],
    settings: Settings,
    made: Examples,
    dates: Plan,
    held: HeldOut | None,
    found: dict[str, BlendSpec | None],
    release: Path,
    began: float,
    pictures: Sequence[Path],
) -> list[Record]:
    """One record a job that was asked for. Together they register both models: a release is always both."""
    files = {
        "configuration.json": configuration(settings),
        "evaluation.json": account,
        "features.json": _features(made),
        "card.md": (release / "card.md").read_text(),
    }
    tags = _tags(account, settings, made, release)
    datasets = tuple(_dataset(made.at(at), context) for context, at in _contexts(dates) if at)
    shared = {
        "files": files,
        "datasets": datasets,
        "pictures": tuple(pictures),
        "release": release.name,
        "began": began,
    }
    out = []
    for job in jobs:
        part = found.get(job)
        metrics = {"seconds": round(time.time() - began, 1), **_metrics(job, account, held)}
        out.append(
            Record(
                job,
                params=_params(settings, account, made, part),
                metrics=metrics,
                by_date=tuple(_by_date(job, held)) if held else (),
                tags={**tags, **_verdict(job, account)},
                trials=part.trials if part else (),
                ended=time.time(),
                models=models(job, jobs),
                **shared,
            )
        )
    return out


def models(job: str, jobs: Sequence[str]) -> tuple[str, ...]:
    """The registered models this job's run makes versions of: its own, or both where it ran alone.

    A release is always both, and p_next holds p: both champions must be of the release that is served.
    """
    return (SECTION[job],) if len(jobs) > 1 else tuple(MODELS)


def configuration(settings: Settings) -> dict[str, Any]:
    """The whole configuration; SELECTs and paths by their sha256."""
    stated = settings.model_dump(mode="json", exclude={"folder"})
    for section in ("tables", "files"):
        stated[section] = {
            name: {"sha256": _sha256(text)} for name, text in stated[section].items()
        }
    return stated


def digest(rows: pa.Table) -> str:
    """16 hex digits over the examples: equal data and features, equal digest."""
    hashed = hashlib.sha256()
    for name in rows.column_names:
        hashed.update(name.encode() + column_bytes(rows[name]))
    return hashed.hexdigest()[:16]


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _contexts(dates: Plan) -> list[tuple[str, tuple[int, ...]]]:
    return [("training", dates.train), ("evaluation", dates.evaluate)]


def _dataset(rows: pa.Table, context: str) -> dict[str, Any]:
    columns = [(field.name, _TYPES.get(str(field.type), "string")) for field in rows.schema]
    return {
        "name": f"{context} examples",
        "context": context,
        "digest": digest(rows),
        "rows": rows.num_rows,
        "columns": columns,
    }


def _features(made: Examples) -> list[dict[str, Any]]:
    return [
        {
            "name": c.name,
            "family": c.feature.family,
            "unit": c.feature.unit,
            "window": c.window,
            "modelled": c.name in made.modelled,
        }
        for c in made.columns
    ]


def _params(
    settings: Settings, account: dict[str, Any], made: Examples, part: BlendSpec | None
) -> dict[str, str]:
    """The configuration flat (`churn.horizon_days`), the dates, and what the search chose (`chosen.…`)."""
    stated = dict(_flat(configuration(settings)))
    stated |= {f"as_of.{use}": ", ".join(days) for use, days in account.get("as_of", {}).items()}
    stated |= {"features": str(len(made.modelled)), "feature_columns": str(len(made.columns))}
    if part:
        chosen = {
            "booster_weight": part.weight,
            "ridge_strength": part.strength,
            "rounds": part.rounds,
            "folds": part.folds,
        }
        stated |= {
            f"chosen.{name}": str(value) for name, value in {**chosen, **part.settings}.items()
        }
    return {name: value[:LONGEST_VALUE] for name, value in stated.items()}


def _flat(stated: dict[str, Any], under: str = "") -> Iterator[tuple[str, str]]:
    for name, value in stated.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{under}{name}.")
        else:
            yield f"{under}{name}", value if isinstance(value, str) else json.dumps(value)


def _tags(
    account: dict[str, Any], settings: Settings, made: Examples, release: Path
) -> dict[str, str]:
    versions = {"python": platform.python_version(), **card.versions()}
    return {
        "release": release.name,
        "status": account["status"],
        "data_digest": digest(made.rows),
        "configuration_digest": _sha256(json.dumps(configuration(settings), sort_keys=True))[:16],
        **_gate(account),
        "mlflow.source.name": "lifecycle train",
        "mlflow.source.type": "LOCAL",
        **{f"version.{name}": text for name, text in versions.items()},
        **revisions(settings.folder),
    }


def _gate(account: dict[str, Any]) -> dict[str, str]:
    """Against which release the gate judged, its verdict with the reasons, and the table in words."""
    found = account.get("gate")
    if not found:
        return {}
    told = {
        "gate": "; ".join([found["verdict"], *found["why"]]),
        "gate.table": "\n".join(gate.lines(account)),
    }
    return told | ({"gate.champion": found["champion"]} if found["champion"] else {})


def _gate_figures(found: dict[str, Any]) -> dict[str, Any]:
    """What we lose more (above 0) than the release that is served, in the population judged; the rest is in the tags."""
    row = found.get("table", {}).get(found.get("population")) or {}
    return {
        "gate_log_loss_difference": (row.get("log_loss") or {}).get("difference"),
        "gate_same_reasons": found.get("same_reasons"),
    }


def _metrics(job: str, account: dict[str, Any], held: HeldOut | None) -> dict[str, float]:
    """Figures over all evaluation dates together, `<population>_<figure>`; at most 40 with those by date."""
    out: dict[str, Any] = {}
    for who, section in account.get(SECTION[job], {}).items():
        out |= {f"{who}_{name}": section.get(name) for name in FIGURES[job]}
        if best := _best_baseline(section):
            out[f"{who}_best_baseline_log_loss"] = section["baselines"][best]["log_loss"]
            pair = section["paired_log_loss"][best]
            out |= {
                f"{who}_minus_best_baseline{end}": pair[of]
                for end, of in (("", "difference"), ("_low", "low"), ("_high", "high"))
            }
        if job == "next-stage":
            out[f"{who}_recall_of_changes"] = section.get("changes", {}).get("recall")
            out[f"{who}_macro_f1_if_nothing_changed"] = section.get("if_nothing_changed", {}).get(
                "macro_f1"
            )
    if job == "next-stage" and held:
        out |= _intervals(held)
    if job == "churn":
        out |= _gate_figures(account.get("gate") or {})
    if worst := account.get(SECTION[job], {}).get(_headline(job, account), {}).get("worst_slice"):
        out["worst_slice_relative_log_loss"] = worst["relative"]
    return {
        name: float(value)
        for name, value in out.items()
        if value is not None and math.isfinite(value)
    }


def _best_baseline(section: dict[str, Any]) -> str | None:
    """The baseline that loses least, of those we are compared with row by row."""
    return min(
        section.get("paired_log_loss", ()),
        key=lambda name: section["baselines"][name]["log_loss"],
        default=None,
    )


def _intervals(held: HeldOut) -> dict[str, float]:
    """95 % intervals of the next stage's log loss, by the bootstrap over customers the verdicts use."""
    out = {}
    for who, mask in _populations(held.rows).items():
        if mask.any():
            losses = metrics.stage_losses(
                stage_index(held.rows["outcome_stage"].to_numpy())[mask], held.p_next[mask]
            )
            ids = held.rows["customer_id"].to_numpy()[mask].astype(str)
            found = metrics.paired(losses, np.zeros(len(losses)), ids)
            out |= {f"{who}_log_loss_low": found["low"], f"{who}_log_loss_high": found["high"]}
    return out


def _populations(rows: pa.Table) -> dict[str, np.ndarray]:
    masks = {
        "everyone": np.ones(rows.num_rows, dtype=bool),
        "eligible": rows["eligible"].to_numpy(),
    }
    return {who: masks[who] for who in metrics.POPULATIONS}


def _by_date(job: str, held: HeldOut) -> Iterator[tuple[str, float, int]]:
    """The figures of each evaluation date by itself, as `by_date/<population>_<figure>`."""
    as_of, y = held.rows["as_of"].to_numpy(), held.rows["churned"].to_numpy()
    outcome = stage_index(held.rows["outcome_stage"].to_numpy())
    for at in np.unique(as_of):
        for who, mask in _populations(held.rows).items():
            m = mask & (as_of == at)
            found = (
                metrics.churn_metrics(y[m], held.p[m])
                if job == "churn"
                else metrics.stage_metrics(outcome[m], held.p_next[m])
            )
            for name in DATED[job]:
                if found.get(name) is not None and math.isfinite(found[name]):
                    yield f"by_date/{who}_{name}", float(found[name]), int(at)


def _headline(job: str, account: dict[str, Any]) -> str | None:
    return baseline_comparison.headline(
        account.get(SECTION[job], {}), told="auroc" if job == "churn" else "log_loss"
    )


def _verdict(job: str, account: dict[str, Any]) -> dict[str, str]:
    """The headline's population, the best baseline there, and how we stand to it in words."""
    section, who = account.get(SECTION[job], {}), _headline(job, account)
    best = _best_baseline(section[who]) if who else None
    if best is None:
        return {"verdict": account["status"].replace("_", " ")}
    verdict = metrics.verdict(best, section[who]["paired_log_loss"][best])
    lines = "\n".join(
        f"- {group}: {line}"
        for group, found in section.items()
        for line in found.get("verdicts", ())
    )
    told = (account.get("recommendation") or {}).get(SECTION[job]) or {}
    advice = "\n".join(f"\n{line}" for line in baseline_comparison.lines(account))
    return {
        "headline_population": who,
        "best_baseline": best,
        "verdict": verdict,
        **({"recommended": told["recommended"]} if told else {}),
        "mlflow.note.content": f"Log loss on dates not trained on:\n\n{lines}\n{advice}",
    }
