"""The ladder: our model and the baselines from simple to complex, and which of them is worth having.

A rung beats another where it loses less by more than its interval (paired, by customers). Our model is recommended
where it beats the best simpler rung; else the simplest rung that nothing beats is. That is said aloud.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from training import metrics
from training.models import simpler_models

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
FEWEST = 30  # customers: fewer have no interval to speak of
MODELS = {"churn": "churn", "next_stage": "the next stage"}


def baseline_comparison(
    ours: np.ndarray, theirs: Mapping[str, np.ndarray], customers: np.ndarray
) -> dict[str, Any]:
    """Everything compared with everything on the same rows: `ours` and each of `theirs` are losses (rows,).

    `rungs`: name and who beats it, simple ones first. `best_simpler`, and `difference` (ours − the best
    simpler one's, with its 95 % interval by customers). `verdict` in words; `recommended` is a rung's name. All None
    where nobody is there.
    """
    names = [*sorted(theirs, key=_rank), OURS]
    count = len(np.unique(customers))
    out: dict[str, Any] = {"customers": count, "rungs": []}
    if not count:
        return out | dict.fromkeys(("best_simpler", "difference", "verdict", "recommended"))
    lost = np.stack([*(theirs[name] for name in names[:-1]), ours], axis=1)
    means, told = lost.mean(axis=0), metrics.resampled(lost, customers)
    beats = _beats(means, told) & (count >= FEWEST)
    best = int(means[:-1].argmin())
    pair = metrics.interval(means[-1] - means[best], told[:, -1] - told[:, best])
    chosen = len(names) - 1 if beats[-1, best] else int(np.flatnonzero(~beats.any(axis=0))[0])
    out["rungs"] = [
        {"name": name, "beaten_by": [names[by] for by in np.flatnonzero(beats[:, at])]}
        for at, name in enumerate(names)
    ]
    out |= {"best_simpler": names[best], "difference": pair, "recommended": names[chosen]}
    return out | {"verdict": _verdict(names[best], names[chosen], pair, count)}


def _rank(name: str) -> tuple[int, str]:
    known = name in SIMPLE_TO_COMPLEX
    return (SIMPLE_TO_COMPLEX.index(name) if known else len(SIMPLE_TO_COMPLEX)), name


def _beats(means: np.ndarray, told: np.ndarray) -> np.ndarray:
    """bool (k, k): whether the row's rung loses less than the column's by more than the interval of the difference."""
    high = np.quantile(told[:, :, None] - told[:, None, :], 0.975, axis=0)
    return (high < -metrics.SAME) & (means[:, None] < means[None, :])


def _verdict(best: str, chosen: str, pair: dict[str, float], customers: int) -> str:
    if customers < FEWEST:
        return (
            f"{customers} customers are too few to tell our model from {best}: {chosen} is enough"
        )
    words = f"our model is {metrics.verdict(best, pair)}"
    if chosen in (best, OURS):
        return words
    return f"{words}, and {best} no better than {chosen}, which is simpler"


def headline(section: Mapping[str, Any], *, told: str) -> str | None:
    """The population a model is judged in: eligible, or everyone where the figure `told` is not known of eligible."""
    return next(
        (who for who in ("eligible", "everyone") if section.get(who, {}).get(told) is not None),
        None,
    )


def recommendation(account: Mapping[str, Any]) -> dict[str, Any]:
    """Per model of an evaluation: the headline's population, the rung recommended there, and the ladder's verdict.

    None for a model whose evaluation rows cannot tell.
    """
    out: dict[str, Any] = {}
    for model, told in (("churn", "auroc"), ("next_stage", "log_loss")):
        who = headline(account[model], told=told)
        found = account[model][who]["ladder"] if who else {}
        names = ("recommended", "verdict")
        out[model] = (
            {"population": who, **{name: found[name] for name in names}}
            if found.get("rungs")
            else None
        )
    return out


def lines(account: Mapping[str, Any], *, why: bool = True) -> list[str]:
    """The recommendation in words, a line a model; none where the account has none (base rates, older releases).

    `why` adds the verdict it rests on.
    """
    stated = account.get("recommendation") or {}
    return [_line(model, stated[model], account, why) for model in MODELS if stated.get(model)]


def _line(model: str, found: Mapping[str, Any], account: Mapping[str, Any], why: bool) -> str:
    told = f"recommended for {MODELS[model]}: {found['recommended']}"
    told += f" ({found['population']}: {found['verdict']})" if why else ""
    rung, ours = found["recommended"], _ours(model, account)
    if rung == OURS:
        return told + (f", which here is {ours}" if ours in simpler_models.COLUMNS else "")
    if model == "churn" and account.get("status") == "no_skill":
        return f"{told}. This release serves base rates"
    if rung == ours:
        return f"{told}. This release serves that one"
    if model == "churn" and rung in simpler_models.COLUMNS:
        return f'{told}. This release serves {ours}; churn_model = "{rung}" under [training] makes one of it'
    return f"{told}. A release cannot hold that one: this one serves {ours} all the same"


def _ours(model: str, account: Mapping[str, Any]) -> str:
    """What a release with this evaluation serves, in a word."""
    found = account.get("found", {}).get(model.replace("_", "-"))
    if found == "frequencies":
        return found
    simpler = found.get("model") if isinstance(found, Mapping) else None
    return simpler if simpler in simpler_models.COLUMNS else OURS


def populations(section: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """(population, ladder) of every population of a model's section where there is anybody."""
    found = [(who, one.get("ladder") or {}) for who, one in section.items()]
    return [(who, one) for who, one in found if one.get("rungs")]
