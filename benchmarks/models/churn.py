"""Churn: log loss against every opponent, for everyone and eligible, the worst set, and time."""

from __future__ import annotations

from typing import Any

from benchmarks.models import automl, comparison
from benchmarks.models.comparison import OURS, Answers
from benchmarks.models.opponents import AUTOGLUON
from benchmarks.models.part import Options, figure, round_interval
from benchmarks.models.sets import SETS, population
from training import metrics

BEHIND, TIME = 0.005, 0.1
LONG_CASE = ("cdnow", "1998-03-31")


def measure(options: Options) -> dict[str, Any]:
    every = comparison.answers(options)
    sets = [comparison.judge(name, every, comparison.losses) for name in options.sets]
    eligible = [
        comparison.judge_population(f"{data}, eligible", data, "eligible", every, comparison.losses)
        for data in dict.fromkeys(SETS[name][0] for name in options.sets)
    ]
    return {
        "every": every,
        "sets": sets,
        "eligible": eligible,
        "opponents": options.opponents,
        "seconds": _seconds(every),
        "long": _long(every) if options.long else None,
    }


def _seconds(every: list[Answers]) -> dict[str, float]:
    """Seconds of training over all dates, by model that measures its own."""
    named = [name for name, details in every[0].details.items() if "seconds" in details]
    return {name: sum(one.details[name]["seconds"] for one in every) for name in named}


def _long(every: list[Answers]) -> dict[str, float] | None:
    """Log loss of ours and of AutoGluon with half an hour, on one date."""
    for one in every:
        if (one.case.data, str(one.case.day)) == LONG_CASE:
            answer, details = automl.answer(one.case, seconds=automl.LONG_SECONDS)
            y = one.case.late["churned"].to_numpy()
            return {
                "ours": float(comparison.losses(one)[OURS].mean()),
                "seconds": details["seconds"],
                "theirs": float(metrics.log_losses(y, answer["p"]).mean()),
            }
    return None


def figures(result: dict[str, Any]) -> dict[str, Any]:
    out = {}
    for name in result["opponents"]:
        pair = comparison.difference(result["sets"], OURS, name)
        out[f"log_loss_over_{_key(name)}"] = figure(
            pair["difference"],
            pair["difference"] < 0,
            "< 0",
            interval=round_interval(pair),
            sure=pair["high"] < 0,
        )
        pair = comparison.difference(result["eligible"], OURS, name)
        out[f"eligible_log_loss_over_{_key(name)}"] = figure(
            pair["difference"], pair["high"] < 0, "95 % interval < 0", interval=round_interval(pair)
        )
    behind = (
        {one.name: _behind(one, result["opponents"]) for one in result["sets"]}
        if result["opponents"]
        else {}
    )
    worst = max(behind.values(), default=None)
    out["behind_the_best_of_them"] = figure(
        worst,
        None if worst is None else worst <= BEHIND,
        f"<= {BEHIND} on each set",
        sets=_rounded(behind),
    )
    eligible = (
        {one.name: _behind(one, result["opponents"]) for one in result["eligible"]}
        if result["opponents"]
        else {}
    )
    worst = max(eligible.values(), default=None)
    out["eligible_behind_the_best_of_them"] = figure(
        worst,
        None if worst is None else worst <= BEHIND,
        f"<= {BEHIND} on each set",
        sets=_rounded(eligible),
    )
    ratio = (
        result["seconds"][OURS] / result["seconds"][AUTOGLUON]
        if AUTOGLUON in result["seconds"]
        else None
    )
    out["training_time_of_autogluon"] = figure(
        ratio, None if ratio is None else ratio <= TIME, f"<= {TIME}"
    )
    if result["long"]:
        out["log_loss_over_autogluon_1800_s"] = figure(
            result["long"]["ours"] - result["long"]["theirs"],
            result["long"]["ours"] < result["long"]["theirs"],
            "< 0, one date",
        )
    return out


def _behind(one: comparison.SetResult, opponents: list[str]) -> float:
    return one.mean(OURS) / min(one.mean(name) for name in opponents) - 1


def _key(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name.lower())


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in values.items()}


def report_text(result: dict[str, Any]) -> str:
    models, lines = list(result["every"][0].arrays), []
    lines.append(f"{'AUROC and log loss':34}" + "".join(f"{name[:20]:>22}" for name in models))
    for one in result["every"]:
        for who in ("everyone", "eligible"):
            mine = population(one.case.late, who)
            y = one.case.late["churned"].to_numpy()[mine]
            if 0 < y.sum() < len(y):
                measures = [
                    (metrics.auroc(y, p[mine])[0], metrics.log_losses(y, p[mine]).mean())
                    for p in (one.arrays[name]["p"] for name in models)
                ]
                lines.append(
                    f"{one.case.name + ', ' + who:34}"
                    + "".join(f"{a:13.4f}{b:9.4f}" for a, b in measures)
                )
    lines.append("log loss by set, then ours − theirs (95 %)")
    for part in result["sets"]:
        lines.append(f"{part.name:34}" + "".join(f"{part.mean(name):22.4f}" for name in models))
        lines += _over([part], result["opponents"])
    lines += ["all sets, each alike", *_over(result["sets"], result["opponents"])]
    for part in result["eligible"]:
        lines.append(f"{part.name:34}" + "".join(f"{part.mean(name):22.4f}" for name in models))
        lines += _over([part], result["opponents"])
    lines += ["eligible of all data, each alike", *_over(result["eligible"], result["opponents"])]
    lines += [f"  training, {name}: {took:.0f} s" for name, took in result["seconds"].items()]
    if result["long"]:
        lines.append(
            "  {} {}: ours {ours:.4f}, AutoGluon in {seconds:.0f} s {theirs:.4f}".format(
                *LONG_CASE, **result["long"]
            )
        )
    return "\n".join(lines)


def _over(sets: list[comparison.SetResult], names: list[str]) -> list[str]:
    return [f"    ours − {name:24}{comparison.format_pair(sets, OURS, name)}" for name in names]
