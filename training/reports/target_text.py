"""Own targets in the terminal text of a training and in the card of its release."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.evaluation import baseline_comparison
from training.formats import confidence, count, decimals, percent, with_interval
from training.reports import amount_text
from training.reports.markdown import markdown_table

Report = Mapping[str, Any]
OURS = baseline_comparison.OURS
COLUMNS = (
    "model",
    "AUROC (95 % CI)",
    "log loss",
    "ours − its (95 % CI)",
    "Brier",
    "ECE",
)
STATUS = {
    "no_skill": "No skill: not better than chance. The rate of the training rows is served, and "
    "every row's warnings say so.",
    "leak_suspected": "It has no model, and the column is empty, until that is settled.",
}


def target_lines(evaluation: Report) -> list[str]:
    """Lines for a terminal: each target with its figure, baseline and verdict; [] without any."""
    lines = []
    for name, report in evaluation.get("targets", {}).items():
        lines.append(f"  {_title(name, report)}: {_headline(report)}")
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
        return f"not enough data among {who}: {report['why']}"
    figures = report["figures"][who]
    if _is_amount(report):
        return amount_text.headline(who, figures)
    text = f"{count(figures['rows'])} rows of {who}, {percent(figures['rate'])} with label 1"
    if figures.get("auroc") is None:
        return f"{text}: one label alone, so nothing can be measured"
    interval = confidence(figures["auroc_low"], figures["auroc_high"])
    text += f", AUROC {decimals(figures['auroc'])}{interval}"
    return f"{text}, calibration error {percent(figures['ece'])}"


def _notes(report: Report) -> list[str]:
    notes = []
    if report["status"] == "leak_suspected":
        notes.append(f"A leak is suspected: {report['why']}")
    if report["status"] in STATUS:
        of_amount = _is_amount(report) and report["status"] == "no_skill"
        notes.append(amount_text.NO_SKILL if of_amount else STATUS[report["status"]])
    if report.get("note"):
        notes.append(report["note"])
    figures = report.get("figures", {}).get(report["population"], {})
    comparison = figures.get("baseline_comparison") or {}
    # A model without skill is not recommended, whatever its log loss is.
    if comparison.get("verdict") and report["status"] == "ok":
        notes.append(f"recommended: {comparison['recommended']} ({comparison['verdict']})")
    others = report.get("not_labelled", {})
    if others.get("new"):
        notes.append(
            f"{count(others['new'])} ids of the SELECT, over all dates, had no row at as_of: "
            "customers who came later, no label"
        )
    if others.get("blank"):
        notes.append(f"{count(others['blank'])} rows of the SELECT have no id: no label")
    return notes


def targets_section(evaluation: Report) -> list[str]:
    """The section of the card; no lines without targets."""
    targets = evaluation.get("targets", {})
    if not targets:
        return []
    lines = [
        "## Own targets",
        "",
        "Questions of the business, each with a model of its own on the same dates and columns. "
        "The label is 1 for the customers that its SELECT returns from the rows of the outcome "
        "window, or it is the amount that it returns. Figures are of dates that were not trained "
        "on, beside baselines fitted on the same rows.",
        "",
    ]
    for name, report in targets.items():
        lines += [f"### {_title(name, report)}, within {report['horizon_days']} days", ""]
        lines += [f"{_headline(report)[:1].upper()}{_headline(report)[1:]}.", ""]
        lines += [f"- {note}" for note in _notes(report)]
        lines += [""] * bool(_notes(report))
        for who, figures in report.get("figures", {}).items():
            table = amount_text.table if _is_amount(report) else _table
            lines += table(who, figures)
    return lines


def _table(who: str, figures: Report) -> list[str]:
    if not figures["rows"]:
        return []
    pairs = figures.get("paired_log_loss", {})
    rows = [
        (
            name,
            with_interval(each, "auroc", prefix="auroc"),
            decimals(each["log_loss"], 4),
            with_interval(pairs[name], "difference", digits=4) if name in pairs else "–",
            decimals(each["brier"], 4),
            decimals(each["ece"], 4),
        )
        for name, each in [*figures["baselines"].items(), (f"**{OURS}**", figures)]
    ]
    head = f"{who}: {count(figures['rows'])} rows, {percent(figures['rate'])} with label 1"
    return [f"*{head}*", "", *markdown_table(COLUMNS, rows)]
