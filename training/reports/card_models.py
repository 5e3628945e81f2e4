"""The card's section about the fitted models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from serving.scoring.scorer import Scorer
from training.evaluation import own_estimators
from training.formats import decimals
from training.models.blending import SEEDS
from training.reports.markdown import markdown_table

Report = Mapping[str, Any]
MODELS = {"churn": "churn", "next-stage": "the next stage of customers who stay"}
MODEL_COLUMNS = (
    "model",
    "folds",
    "ridge penalty",
    "boosters' weight",
    "rounds",
    "one direction",
    "ridge alone",
    "boosters alone",
    "blend",
)


def models_section(scorer: Scorer, evaluation: Report) -> list[str]:
    lines = [
        "## Models",
        "",
        f"{len(scorer.columns)} columns. p is fitted on {scorer.churn_rows:,} rows, q on "
        f"{scorer.stay_rows:,}.",
        "",
    ]
    if "models" not in evaluation:
        why = evaluation.get("why", {}).get("got", "not enough data")
        return [*lines, f"No model: {why}. p and q are frequencies.", ""]
    fitted = {
        job: evaluation["models"][job]
        for job in MODELS
        if isinstance(evaluation["models"].get(job), Mapping)
    }
    lines += _blends(fitted)
    who, rows = own_estimators.table(evaluation)
    if rows:
        lines += [f"Own estimators, each alone ({who}; same rows, folds and calibration):", ""]
        lines += markdown_table(own_estimators.COLUMNS, rows)
    if "next-stage" not in fitted:
        lines += ["The next stage is by frequencies: too few rows for a model.", ""]
    if scorer.status == "no_skill":
        lines += [
            "The churn model is not served; the figures below are its own and show why. The "
            "calibration is that of the rates.",
            "",
        ]
    return lines


def _blends(fitted: Mapping[str, Report]) -> list[str]:
    lines = []
    if any(part.get("weight") for part in fitted.values()):
        alone = fitted.get("churn", {}).get("own") and not fitted["churn"].get("rounds")
        if alone:
            lines += [f"p is {fitted['churn']['model']} alone, one of the own estimators.", ""]
        lines += [
            "A blend in log-odds of a ridge logistic regression on logged columns and boosted "
            f"trees ({SEEDS} seeds). Chosen on folds of the training dates by log loss (the last "
            "three columns), then fitted on all of them.",
            "",
        ]
    lines += markdown_table(
        MODEL_COLUMNS, [_blend_row(MODELS[job], part) for job, part in fitted.items()]
    )
    churn = fitted.get("churn", {})
    if churn.get("columns"):
        lines += [
            f"The churn model is the simpler {churn['model']}: a logistic regression on "
            f"{', '.join(churn['columns'])}.",
            "",
        ]
    for job, part in fitted.items():
        if part.get("directions"):
            names = ", ".join(sorted(part["directions"]))
            lines += [f"Trees for {MODELS[job]} follow one direction in: {names}.", ""]
    return lines


def _blend_row(name: str, part: Report) -> tuple[str, ...]:
    losses = part.get("losses", {})
    return (
        name,
        str(part.get("folds")),
        f"{part['strength']:g}",
        f"{part['weight']:g}",
        f"{part['rounds']:,}",
        f"{len(part.get('directions', ()))}",
        *(decimals(losses.get(key), 4) for key in ("ridge", "boosters", "blend")),
    )
