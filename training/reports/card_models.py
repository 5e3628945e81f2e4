"""The card's section about the fitted models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from features.core.language import join_words, mark, say, term
from serving.scoring.scorer import Scorer
from training.evaluation import own_estimators
from training.formats import decimals
from training.models.blending import SEEDS
from training.reports.markdown import markdown_table

Report = Mapping[str, Any]
MODELS = {"churn": mark("churn"), "next-stage": mark("the next stage of customers who stay")}
MODEL_COLUMNS = (
    mark("model"),
    mark("folds"),
    mark("ridge penalty"),
    mark("boosters' weight"),
    mark("rounds"),
    mark("one direction"),
    mark("ridge alone"),
    mark("boosters alone"),
    mark("blend"),
)


def models_section(scorer: Scorer, evaluation: Report) -> list[str]:
    lines = [
        say("## Models"),
        "",
        say(
            "{columns} columns. p is fitted on {churn_rows:,} rows, q on {stay_rows:,}.",
            columns=len(scorer.columns),
            churn_rows=scorer.churn_rows,
            stay_rows=scorer.stay_rows,
        ),
        "",
    ]
    if "models" not in evaluation:
        why = evaluation.get("why", {}).get("got") or say("not enough data")
        return [*lines, say("No model: {why}. p and q are frequencies.", why=why), ""]
    fitted = {
        job: evaluation["models"][job]
        for job in MODELS
        if isinstance(evaluation["models"].get(job), Mapping)
    }
    lines += _blends(fitted)
    who, rows = own_estimators.table(evaluation)
    if rows:
        title = say(
            "Own estimators, each alone ({who}; same rows, folds and calibration):", who=term(who)
        )
        lines += [title, ""]
        lines += markdown_table(tuple(map(say, own_estimators.COLUMNS)), rows)
    if "next-stage" not in fitted:
        lines += [say("The next stage is by frequencies: too few rows for a model."), ""]
    if scorer.status == "no_skill":
        text = say(
            "The churn model is not served; the figures below are its own and show why. The "
            "calibration is that of the rates."
        )
        lines += [text, ""]
    return lines


def _blends(fitted: Mapping[str, Report]) -> list[str]:
    lines = []
    if any(part.get("weight") for part in fitted.values()):
        alone = fitted.get("churn", {}).get("own") and not fitted["churn"].get("rounds")
        if alone:
            name = fitted["churn"]["model"]
            lines += [say("p is {name} alone, one of the own estimators.", name=name), ""]
        text = say(
            "A blend in log-odds of a ridge logistic regression on logged columns and boosted "
            "trees ({seeds} seeds). Chosen on folds of the training dates by log loss (the last "
            "three columns), then fitted on all of them.",
            seeds=SEEDS,
        )
        lines += [text, ""]
    lines += markdown_table(
        tuple(map(say, MODEL_COLUMNS)),
        [_blend_row(say(MODELS[job]), part) for job, part in fitted.items()],
    )
    churn = fitted.get("churn", {})
    if churn.get("columns"):
        text = say(
            "The churn model is the simpler {name}: a logistic regression on {columns}.",
            name=churn["model"],
            columns=join_words(churn["columns"]),
        )
        lines += [text, ""]
    for job, part in fitted.items():
        if part.get("directions"):
            text = say(
                "Trees for {model} follow one direction in: {names}.",
                model=say(MODELS[job]),
                names=join_words(sorted(part["directions"])),
            )
            lines += [text, ""]
    return lines


def _blend_row(name: str, part: Report) -> tuple[str, ...]:
    losses = part.get("losses", {})
    return (
        name,
        term(str(part.get("folds"))),
        f"{part['strength']:g}",
        f"{part['weight']:g}",
        f"{part['rounds']:,}",
        f"{len(part.get('directions', ()))}",
        *(decimals(losses.get(key), 4) for key in ("ridge", "boosters", "blend")),
    )
