"""Own targets in the terminal text of a training and in the card of its release."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from features.core.language import mark, say, term
from training.evaluation import baseline_comparison
from training.formats import confidence, count, decimals, percent, with_interval
from training.reports import amount_text
from training.reports.markdown import markdown_table
from training.stored_texts import say_stored

Report = Mapping[str, Any]
OURS = baseline_comparison.OURS
COLUMNS = (
    mark("model"),
    mark("AUROC (95 % CI)"),
    mark("log loss"),
    mark("ours − its (95 % CI)"),
    "Brier",
    "ECE",
)
STATUS = {
    "no_skill": mark(
        "No skill: not better than chance. The rate of the training rows is served, and every "
        "row's warnings say so."
    ),
    "leak_suspected": mark("It has no model, and the column is empty, until that is settled."),
}


def target_lines(evaluation: Report) -> list[str]:
    """Lines for a terminal: each target with its figure, baseline and verdict; [] without any."""
    lines = []
    for name, report in evaluation.get("targets", {}).items():
        lines.append(say("  {title}: {text}", title=_title(name, report), text=_headline(report)))
        lines += [f"    {each}" for each in _notes(report)]
    return ["", *lines] if lines else []


def _title(name: str, report: Report) -> str:
    """The columns of a target in a few letters."""
    return f"{name}_expected, {name}_q10 … _q90" if _is_amount(report) else f"p_{name}"


def _is_amount(report: Report) -> bool:
    return bool(report.get("kind") == "amount")


def _headline(report: Report) -> str:
    who = report["population"]
    if report["status"] == "not_enough_data":
        return say("not enough data among {who}: {why}", who=term(who), why=report["why"])
    figures = report["figures"][who]
    if _is_amount(report):
        return amount_text.headline(who, figures)
    text = say(
        "{rows} rows of {who}, {rate} with label 1",
        rows=count(figures["rows"]),
        who=term(who),
        rate=percent(figures["rate"]),
    )
    if figures.get("auroc") is None:
        return text + say(": one label alone, so nothing can be measured")
    interval = confidence(figures["auroc_low"], figures["auroc_high"])
    return text + say(
        ", AUROC {auroc}, calibration error {ece}",
        auroc=decimals(figures["auroc"]) + interval,
        ece=percent(figures["ece"]),
    )


def _notes(report: Report) -> list[str]:
    notes = []
    if report["status"] == "leak_suspected":
        notes.append(say("A leak is suspected: {why}", why=report["why"]))
    if report["status"] in STATUS:
        of_amount = _is_amount(report) and report["status"] == "no_skill"
        notes.append(say(amount_text.NO_SKILL if of_amount else STATUS[report["status"]]))
    if report.get("note"):
        notes.append(report["note"])
    figures = report.get("figures", {}).get(report["population"], {})
    comparison = figures.get("baseline_comparison") or {}
    # A model without skill is not recommended, whatever its log loss is.
    if comparison.get("verdict") and report["status"] == "ok":
        notes.append(
            say(
                "recommended: {name} ({verdict})",
                name=term(comparison["recommended"]),
                verdict=say_stored(comparison["verdict"]),
            )
        )
    others = report.get("not_labelled", {})
    if others.get("new"):
        notes.append(
            say(
                "{ids} ids of the SELECT, over all dates, had no row at as_of: customers who came "
                "later, no label",
                ids=count(others["new"]),
            )
        )
    if others.get("blank"):
        rows = count(others["blank"])
        notes.append(say("{rows} rows of the SELECT have no id: no label", rows=rows))
    return notes


def targets_section(evaluation: Report) -> list[str]:
    """The section of the card; no lines without targets."""
    targets = evaluation.get("targets", {})
    if not targets:
        return []
    lines = [
        say("## Own targets"),
        "",
        say(
            "Questions of the business, each with a model of its own on the same dates and "
            "columns. The label is 1 for the customers that its SELECT returns from the rows of "
            "the outcome window, or it is the amount that it returns. Figures are of dates that "
            "were not trained on, beside baselines fitted on the same rows."
        ),
        "",
    ]
    for name, report in targets.items():
        title = say(
            "### {title}, within {days} days",
            title=_title(name, report),
            days=report["horizon_days"],
        )
        lines += [title, "", _sentence(_headline(report)), ""]
        lines += [f"- {note}" for note in _notes(report)]
        lines += [""] * bool(_notes(report))
        for who, figures in report.get("figures", {}).items():
            table = amount_text.table if _is_amount(report) else _table
            lines += table(who, figures)
    return lines


def _sentence(text: str) -> str:
    return say("{text}.", text=f"{text[:1].upper()}{text[1:]}")


def _table(who: str, figures: Report) -> list[str]:
    if not figures["rows"]:
        return []
    pairs = figures.get("paired_log_loss", {})
    rows = [
        (
            name if name.startswith("*") else term(name),
            with_interval(each, "auroc", prefix="auroc"),
            decimals(each["log_loss"], 4),
            with_interval(pairs[name], "difference", digits=4) if name in pairs else "–",
            decimals(each["brier"], 4),
            decimals(each["ece"], 4),
        )
        for name, each in [*figures["baselines"].items(), (f"**{term(OURS)}**", figures)]
    ]
    head = say(
        "{who}: {rows} rows, {rate} with label 1",
        who=term(who),
        rows=count(figures["rows"]),
        rate=percent(figures["rate"]),
    )
    return [f"*{head}*", "", *markdown_table(tuple(map(say, COLUMNS)), rows)]
