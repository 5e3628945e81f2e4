"""Churn: log loss against every opponent, the worst set, the time of training, and the default budget beside it."""

from __future__ import annotations

from typing import Any

from benchmarks.models import automl, judged, ours
from benchmarks.models.judged import LONGER, OURS, Answers
from benchmarks.models.opponents import AUTOGLUON
from benchmarks.models.part import Asked, figure, rounded
from benchmarks.models.sets import population
from training import metrics

BEHIND, TIME = 0.005, 0.1
LONG_CASE = ("cdnow", "1998-03-31")


def measured(asked: Asked) -> dict[str, Any]:
    every = judged.answers(asked, longer=True)
    sets = [judged.judged(name, every, judged.losses) for name in asked.sets]
    return {
        "every": every,
        "sets": sets,
        "opponents": asked.opponents,
        "seconds": _seconds(every),
        "long": _long(every) if asked.long else None,
    }


def _seconds(every: list[Answers]) -> dict[str, float]:
    """Seconds of training over all dates, by model that told its own."""
    named = [name for name, said in every[0].said.items() if "seconds" in said]
    return {name: sum(one.said[name]["seconds"] for one in every) for name in named}


def _long(every: list[Answers]) -> dict[str, float] | None:
    """Log loss of ours and of AutoGluon with half an hour, on one date."""
    for one in every:
        if (one.case.data, str(one.case.day)) == LONG_CASE:
            found, said = automl.answer(one.case, seconds=automl.LONG_SECONDS)
            y = one.case.late["churned"].to_numpy()
            return {
                "ours": float(judged.losses(one)[OURS].mean()),
                "seconds": said["seconds"],
                "theirs": float(metrics.losses(y, found["p"]).mean()),
            }
    return None


def figures(found: dict[str, Any]) -> dict[str, Any]:
    told = {}
    for name in found["opponents"]:
        pair = judged.difference(found["sets"], OURS, name)
        told[f"log_loss_over_{_key(name)}"] = figure(
            pair["difference"],
            pair["difference"] < 0,
            "< 0",
            interval=rounded(pair),
            sure=pair["high"] < 0,
        )
    behind = (
        {one.name: _behind(one, found["opponents"]) for one in found["sets"]}
        if found["opponents"]
        else {}
    )
    worst = max(behind.values(), default=None)
    told["behind_the_best_of_them"] = figure(
        worst,
        None if worst is None else worst <= BEHIND,
        f"<= {BEHIND} on each set",
        sets=_rounded(behind),
    )
    ratio = (
        found["seconds"][OURS] / found["seconds"][AUTOGLUON]
        if AUTOGLUON in found["seconds"]
        else None
    )
    told["training_time_of_autogluon"] = figure(
        ratio, None if ratio is None else ratio <= TIME, f"<= {TIME}"
    )
    pair = judged.difference(found["sets"], LONGER, OURS)
    told["default_budget_log_loss"] = figure(
        pair["difference"], None, f"{ours.DEFAULT:.0f} s − this budget", interval=rounded(pair)
    )
    if found["long"]:
        told["log_loss_over_autogluon_1800_s"] = figure(
            found["long"]["ours"] - found["long"]["theirs"],
            found["long"]["ours"] < found["long"]["theirs"],
            "< 0, one date",
        )
    return told


def _behind(one: judged.Judged, opponents: list[str]) -> float:
    return one.mean(OURS) / min(one.mean(name) for name in opponents) - 1


def _key(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name.lower())


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in values.items()}


def text(found: dict[str, Any]) -> str:
    models, lines = list(found["every"][0].arrays), []
    lines.append(f"{'AUROC and log loss':34}" + "".join(f"{name[:20]:>22}" for name in models))
    for one in found["every"]:
        for who in ("everyone", "eligible"):
            mine = population(one.case.late, who)
            y = one.case.late["churned"].to_numpy()[mine]
            if 0 < y.sum() < len(y):
                told = [
                    (metrics.auroc(y, p[mine])[0], metrics.losses(y, p[mine]).mean())
                    for p in (one.arrays[name]["p"] for name in models)
                ]
                lines.append(
                    f"{one.case.name + ', ' + who:34}"
                    + "".join(f"{a:13.4f}{b:9.4f}" for a, b in told)
                )
    lines.append("log loss by set, then ours − theirs (95 %)")
    for part in found["sets"]:
        lines.append(f"{part.name:34}" + "".join(f"{part.mean(name):22.4f}" for name in models))
        lines += _over([part], found["opponents"])
    lines += ["all sets, each alike", *_over(found["sets"], [*found["opponents"], LONGER])]
    lines += [f"  training, {name}: {took:.0f} s" for name, took in found["seconds"].items()]
    if found["long"]:
        lines.append(
            "  {} {}: ours {ours:.4f}, AutoGluon in {seconds:.0f} s {theirs:.4f}".format(
                *LONG_CASE, **found["long"]
            )
        )
    return "\n".join(lines)


def _over(sets: list[judged.Judged], names: list[str]) -> list[str]:
    return [
        f"    ours − {name:24}{judged.words(judged.difference(sets, OURS, name))}" for name in names
    ]
