"""Our model and the baselines, from simple to complex: which candidate is worth having.

A candidate beats another where its log loss is lower by more than the interval of the difference
(paired, by customers). Our model is recommended where it beats the best simpler candidate; else
the simplest candidate that none beats is, and the verdict says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from features.core.language import mark, say, term
from training import metrics
from training.models import simpler_models
from training.stored_texts import say_stored

OURS = "our model"
SIMPLE_TO_COMPLEX = (
    "base rate",
    "recency",
    "own past rate",
    "renewal rate",
    "RFM logistic",
    "BG/NBD",
    "marginal",
    "persistence",
    "Markov",
    "semi-Markov",
    "hurdle, constant p",
    "hurdle, logistic p",
)
MIN_CUSTOMERS = 30  # with fewer, an interval by customers means nothing
MODELS = {"churn": mark("churn"), "next_stage": mark("the next stage")}


def baseline_comparison(
    ours: np.ndarray, theirs: Mapping[str, np.ndarray], customers: np.ndarray
) -> dict[str, Any]:
    """Every candidate compared with every other on the same rows.

    `ours` and each of `theirs` are log losses (rows,). `candidates`: name and who beats it, simple
    ones first. `best_simpler`: the best of the baselines; `difference`: ours − its, with the 95 %
    interval by customers. `verdict` in words; `recommended`: a candidate's name. The last four are
    None without rows.
    """
    names = [*sorted(theirs, key=_rank), OURS]
    count = len(np.unique(customers))
    out: dict[str, Any] = {"customers": count, "candidates": []}
    if not count:
        return out | dict.fromkeys(("best_simpler", "difference", "verdict", "recommended"))
    losses = np.stack([*(theirs[name] for name in names[:-1]), ours], axis=1)
    means, replicates = losses.mean(axis=0), metrics.bootstrap_means(losses, customers)
    beats = _beats(means, replicates) & (count >= MIN_CUSTOMERS)
    best = int(means[:-1].argmin())
    pair = metrics.difference_interval(
        means[-1] - means[best], replicates[:, -1] - replicates[:, best]
    )
    chosen = len(names) - 1 if beats[-1, best] else int(np.flatnonzero(~beats.any(axis=0))[0])
    out["candidates"] = [
        {"name": name, "beaten_by": [names[by] for by in np.flatnonzero(beats[:, at])]}
        for at, name in enumerate(names)
    ]
    out |= {"best_simpler": names[best], "difference": pair, "recommended": names[chosen]}
    return out | {"verdict": _verdict(names[best], names[chosen], pair, count)}


def _rank(name: str) -> tuple[int, str]:
    known = name in SIMPLE_TO_COMPLEX
    return (SIMPLE_TO_COMPLEX.index(name) if known else len(SIMPLE_TO_COMPLEX)), name


def _beats(means: np.ndarray, replicates: np.ndarray) -> np.ndarray:
    """Whether the row's candidate beats the column's, bool (k, k)."""
    high = np.quantile(replicates[:, :, None] - replicates[:, None, :], 0.975, axis=0)
    return (high < -metrics.NEGLIGIBLE) & (means[:, None] < means[None, :])


def _verdict(best: str, chosen: str, pair: dict[str, float], customers: int) -> str:
    if customers < MIN_CUSTOMERS:
        return (
            f"{customers} customers are too few to tell our model from {best}: {chosen} is enough"
        )
    words = f"our model is {metrics.verdict(best, pair)}"
    if chosen in (best, OURS):
        return words
    return f"{words}, and {best} no better than {chosen}, which is simpler"


def speak_of(name: str, report: Any) -> Any:
    """The report with this name wherever its words or candidates say `our model`."""
    if isinstance(report, str):
        return report.replace(OURS, name)
    if isinstance(report, Mapping):
        return {key: speak_of(name, value) for key, value in report.items()}
    return [speak_of(name, value) for value in report] if isinstance(report, list) else report


def headline_population(section: Mapping[str, Any], *, figure: str) -> str | None:
    """The population in which a model is judged: eligible if its `figure` is known, else everyone.

    None where the figure is known for neither.
    """
    return next(
        (who for who in ("eligible", "everyone") if section.get(who, {}).get(figure) is not None),
        None,
    )


def recommendation(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """Per model: the headline population, the recommended candidate and the verdict there.

    None for a model that its evaluation rows cannot judge. A churn model without skill is never
    recommended, also where its log loss is lower than that of the baselines.
    """
    out: dict[str, Any] = {}
    has_skill = metrics.has_skill(evaluation["churn"])
    for model, figure in (("churn", "auroc"), ("next_stage", "log_loss")):
        who = headline_population(evaluation[model], figure=figure)
        comparison = evaluation[model][who]["baseline_comparison"] if who else {}
        if not comparison.get("candidates"):
            out[model] = None
        elif model == "churn" and not has_skill and comparison["recommended"] == OURS:
            best = comparison["best_simpler"]
            verdict = (
                f"our model has no skill: the interval of its AUROC contains ½; {best} is best"
            )
            out[model] = {"population": who, "recommended": best, "verdict": verdict}
        else:
            names = ("recommended", "verdict")
            out[model] = {"population": who, **{name: comparison[name] for name in names}}
    return out


def lines(evaluation: Mapping[str, Any], *, why: bool = True) -> list[str]:
    """The recommendation in words, one line per model.

    Empty where the evaluation has none (base rates, older releases). `why` adds the verdict.
    """
    by_model = evaluation.get("recommendation") or {}
    return [
        _line(model, by_model[model], evaluation, why) for model in MODELS if by_model.get(model)
    ]


def _line(
    model: str, recommended: Mapping[str, Any], evaluation: Mapping[str, Any], why: bool
) -> str:
    name, served = recommended["recommended"], _served_model(model, evaluation)
    text = say("recommended for {model}: {name}", model=say(MODELS[model]), name=term(name))
    if why:
        who, verdict = term(recommended["population"]), say_stored(recommended["verdict"])
        text += say(" ({who}: {verdict})", who=who, verdict=verdict)
    if name == OURS:
        if served not in simpler_models.COLUMNS:
            return text
        return text + say(", which here is {served}", served=term(served))
    return text + _what_is_served(model, name, served, evaluation)


def _what_is_served(model: str, name: str, served: str, evaluation: Mapping[str, Any]) -> str:
    """What the release serves, where the candidate `name` is recommended and is not our model."""
    if model == "churn" and evaluation.get("status") == "no_skill":
        return say(". This release serves rates")
    if name == served:
        return say(". This release serves it")
    if model == "churn" and name in simpler_models.COLUMNS:
        return say(
            '. This release serves {served}; set churn_model = "{name}" under [training] to train '
            "that one",
            served=term(served),
            name=name,
        )
    return say(
        ". A release cannot hold that one: this one serves {served}",
        served=term(served),
    )


def _served_model(model: str, evaluation: Mapping[str, Any]) -> str:
    """The name of the model that a release with this evaluation serves."""
    spec = evaluation.get("models", {}).get(model.replace("_", "-"))
    if spec == "frequencies":
        return "frequencies"
    simpler = spec.get("model") if isinstance(spec, Mapping) else None
    return simpler if simpler in simpler_models.COLUMNS else OURS


def populations(section: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """(population, baseline comparison) of every population of a model's section with rows."""
    each = [(who, one.get("baseline_comparison") or {}) for who, one in section.items()]
    return [(who, comparison) for who, comparison in each if comparison.get("candidates")]
