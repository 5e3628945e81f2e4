"""The card's sections about figures: each takes an evaluation and gives lines of markdown, or none where it cannot tell.

No number is made here: every one stands in the evaluation, and what is unknown is a dash.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from features.recipes.stages import STAGES
from training import metrics
from training.evaluation import baseline_comparison, gate, learning_curve, slices
from training.uncertainty import fit_evidence, fit_prediction_sets

Account = Mapping[str, Any]
MOST_DATES, MOST_SLICES = 5, 4
TITLES = {"churn": "Churn", "next_stage": "Next stage"}
UNKNOWN = "–"


def table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table with an empty line behind it; no lines without rows."""
    body = [
        "| " + " | ".join(plain(cell).replace("|", "\\|") for cell in row) + " |" for row in rows
    ]
    head = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    return [*head, *body, ""] if body else []


def plain(stated: str) -> str:
    """On one line, and no markup: names that people gave."""
    return " ".join(stated.split()).replace("<", "&lt;")


def four(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.4f}"


def three(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.3f}"


def percent(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.1%}"


def count(value: int | None) -> str:
    return UNKNOWN if value is None else f"{value:,}"


def between(
    found: Account, figure: str, *, low: str = "low", high: str = "high", text: Any = three
) -> str:
    """`0.785 (0.729 … 0.842)`, or the figure alone where it has no interval."""
    ends = [found.get(end) for end in (low, high)]
    told = "" if None in ends else f" ({text(ends[0])} … {text(ends[1])})"
    return text(found.get(figure)) + told


def figures(account: Account) -> list[str]:
    lines = ["## Metrics", ""]
    lines += [
        "On dates that were not trained on, beside every baseline, which was fitted on the same rows. Log loss, Brier "
        "and ECE (calibration error): lower is better. AUROC: one half is chance. *Ours − its*: log loss, below zero "
        "we lose less; it counts where the interval excludes zero. Lift and gain: the riskiest tenth and fifth.",
        "",
    ]
    for who in metrics.POPULATIONS:
        found = account["churn"][who]
        lines += [
            f"### Churn, {who}: {count(found['rows'])} rows, {percent(found['rate'])} left",
            *_churn(found),
        ]
    for who in metrics.POPULATIONS:
        found = account["next_stage"][who]
        changed = found["changes"]["changed"]
        lines += [
            f"### Next stage, {who}: {count(changed)} of {count(found['rows'])} rows changed",
            *_stages(found),
        ]
    return lines


def _rungs(found: Account) -> list[tuple[str, Account, Account | None]]:
    """(name, figures, our difference to it) of every baseline, simple ones first, and ours last."""
    names = [rung["name"] for rung in (found.get("ladder") or {}).get("rungs", ())] or list(
        found["baselines"]
    )
    told = found.get("paired_log_loss", {})
    theirs = [
        (name, found["baselines"][name], told.get(name))
        for name in names
        if name in found["baselines"]
    ]
    return [*theirs, (baseline_comparison.OURS, found, None)]


def _difference(pair: Account | None) -> str:
    return UNKNOWN if pair is None else between(pair, "difference", text=four)


def _churn(found: Account) -> list[str]:
    if not found["rows"]:
        return ["Nobody is in it.", ""]
    names = (
        "model",
        "AUROC (95 %)",
        "log loss",
        "ours − its (95 %)",
        "Brier",
        "ECE",
        "PR area",
        "lift",
        "gain",
    )
    rows = [
        (
            f"**{name}**" if name == baseline_comparison.OURS else name,
            between(one, "auroc", low="auroc_low", high="auroc_high"),
            four(one["log_loss"]),
            _difference(pair),
            four(one["brier"]),
            four(one["ece"]),
            three(one["average_precision"]),
            three(one["top_decile_lift"]),
            percent(one["gain_20"]),
        )
        for name, one, pair in _rungs(found)
    ]
    return table(names, rows)


def _stages(found: Account) -> list[str]:
    if not found["rows"]:
        return ["Nobody is in it.", ""]
    same = found["if_nothing_changed"]
    rows = [
        (
            "the stage of today",
            UNKNOWN,
            UNKNOWN,
            UNKNOWN,
            percent(same["accuracy"]),
            three(same["macro_f1"]),
            UNKNOWN,
            UNKNOWN,
        )
    ]
    for name, one, pair in _rungs(found):
        seen = one["changes"]
        rows.append(
            (
                f"**{name}**" if name == baseline_comparison.OURS else name,
                four(one["log_loss"]),
                _difference(pair),
                four(one["ranked_probability_score"]),
                percent(one["accuracy"]),
                three(one["macro_f1"]),
                between(seen, "recall", text=percent),
                percent(seen["precision"]),
            )
        )
    names = (
        "model",
        "log loss",
        "ours − its (95 %)",
        "ranked probability score",
        "accuracy",
        "macro-F1",
        "changes foreseen",
        "changes right",
    )
    return table(names, rows)


def verdict(account: Account) -> list[str]:
    """What is recommended, the verdicts of both populations, and what no skill means."""
    lines = [
        "## Verdict",
        "",
        *(f"- {_sentence(line)}" for line in baseline_comparison.lines(account, why=False)),
    ]
    for part, words in TITLES.items():
        told = dict(baseline_comparison.populations(account[part]))
        said = [f"{who}: {told[who]['verdict']}" for who in metrics.POPULATIONS if who in told]
        lines += [f"- {words}, {'; '.join(said)}."] * bool(said)
    if account["status"] == "no_skill":
        lines.append(
            "- No skill: the interval of the AUROC reaches one half. The release serves the base rate of churn."
        )
    return [*lines, *(f"- {_sentence(line)}" for line in gate.lines(account)), ""]


def _sentence(line: str) -> str:
    line = plain(line)
    return f"{line[:1].upper()}{line[1:]}."


def calibration(account: Account) -> list[str]:
    how = account["calibration"]
    lines = ["## Calibration", "", f"{how.get('why') or how['kind']}.", ""]
    rows = []
    for who in metrics.POPULATIONS:
        found = account["churn"][who]
        told = found.get("calibration") or {}
        floor, shift, bent = (
            told.get(name) or {} for name in ("floor", "after_shift", "after_platt")
        )
        rows.append(
            (
                who,
                three(told.get("said")),
                between(told, "left"),
                four(told.get("ece")),
                four(floor.get("mean")),
                four(floor.get("high")),
                four(shift.get("ece")),
                four(bent.get("ece")),
            )
        )
    names = (
        "population",
        "mean p",
        "left (95 %)",
        "ECE",
        "by chance",
        "rarely over",
        "rate known",
        "rate and slope known",
    )
    lines += table(names, rows)
    return [
        *lines,
        "An ECE is never zero: *by chance* is what true probabilities would show with so few rows, *rarely over* "
        "is passed once in twenty. *Rate known*: what is left when an oracle moves all log-odds by one number.",
        "",
    ]


def rates(account: Account) -> list[str]:
    """The share that left by date, the newest dates, and whether the evaluated ones lie among those trained on."""
    told = account.get("rates", [])
    cells = [
        (
            one["as_of"],
            one["split"],
            *(
                cell
                for who in metrics.POPULATIONS
                for cell in (count(one[who]["rows"]), between(one[who], "rate"))
            ),
        )
        for one in told[-MOST_DATES:]
    ]
    names = ("as of", "used to", "everyone, rows", "left (95 %)", "eligible, rows", "left (95 %)")
    newest = f", the newest of {len(told)} dates" if len(told) > MOST_DATES else ""
    lines = [f"### The rate's own history{newest}", *table(names, cells)]
    moved = [words for who in metrics.POPULATIONS if (words := _moved(told, who))]
    return (
        [*lines, *[f"Where the evaluated rate lies: {'; '.join(moved)}.", ""] * bool(moved)]
        if told
        else []
    )


def _moved(told: Sequence[Account], who: str) -> str | None:
    at = {
        use: [
            one[who]["rate"] for one in told if one["split"] == use and one[who]["rate"] is not None
        ]
        for use in ("train", "evaluate")
    }
    if not at["train"] or not at["evaluate"]:
        return None
    low, high = min(at["train"]), max(at["train"])
    where = "inside" if all(low <= rate <= high for rate in at["evaluate"]) else "**outside**"
    return f"{who}, {where} what was trained on ({three(low)} … {three(high)})"


def sliced(account: Account) -> list[str]:
    """Slices of the population a model is judged in, the worst one of each, and customers never trained on."""
    lines = [
        "## Slices",
        "",
        "*Relative*: our log loss in shares of what the slice's own base rate loses; under one is better. "
        f"A slice speaks from {slices.LEAST_ROWS} rows on, {slices.LEAST_OF_EACH} of them apart from the rest.",
        "",
    ]
    for part, told in (("churn", "auroc"), ("next_stage", "log_loss")):
        who = baseline_comparison.headline(account[part], told=told)
        if who:
            found = account[part][who]
            lines.append(f"### {TITLES[part]}, {who}")
            lines += [*_slices(found["slices"]), *_worst(found), *_new(found), ""]
    return lines


def _slices(found: Sequence[Account]) -> list[str]:
    able = [one for one in found if not one.get("too_few")]
    able.sort(key=lambda one: (-one["relative"], one["of"], one["name"]))
    rows = [
        (
            one["of"],
            one["name"],
            count(one["rows"]),
            four(one["log_loss"]),
            three(one["relative"]),
            between(one, "difference", text=four),
        )
        for one in able[:MOST_SLICES]
    ]
    names = (
        "cut by",
        "slice, worst first",
        "rows",
        "log loss",
        "relative",
        "ours − its base rate's (95 %)",
    )
    return table(names, rows) or ["No slice has enough rows to tell.", ""]


def _worst(found: Account) -> list[str]:
    worst = found.get("worst_slice")
    if not worst:
        return []
    told = f"- Worst of {count(worst['among'])} that can tell: {worst['of']} {worst['name']}, {worst['verdict']}."
    return [told + " The worst of many is also the unluckiest."]


def _new(found: Account) -> list[str]:
    told = [_who(one) for one in found.get("customers", ())]
    if not any(one["name"] == slices.NEVER for one in found.get("customers", ())):
        told.append(
            "no evaluated customer is new to the model, so how it does on new ones is not known"
        )
    return [f"- Customers {'; '.join(told)}."]


def _who(one: Account) -> str:
    told = f"{one['name']}: {count(one['rows'])} rows, "
    if one.get("too_few"):
        return f"{told}too few to tell"
    return f"{told}log loss {four(one['log_loss'])}, {metrics.verdict('the base rate', one)}"


def sure(account: Account) -> list[str]:
    """Sets of next stages, grades of evidence, and the learning curve, as far as the evaluation has them."""
    told = [
        *fit_prediction_sets.lines(account),
        *fit_evidence.lines(account),
        *learning_curve.lines(account),
    ]
    told = told or ["the evaluation holds no sets and no grades of evidence"]
    lines = ["## How sure a score is", "", *(f"- {_sentence(line)}" for line in told), ""]
    stages = account["sets"]["everyone"]["stages"] if account.get("sets") else []
    rows = [
        (
            one["stage"],
            count(one["rows"]),
            between(one, "coverage", text=percent),
            percent(one["accuracy"]),
        )
        for one in sorted(stages, key=lambda one: STAGES.index(one["stage"]))
    ]
    return [
        *lines,
        *table(("came to", "rows", "held by the set (95 %)", "the likeliest was right"), rows),
    ]
