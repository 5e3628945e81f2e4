"""The card's sections about quality: each takes an evaluation and gives lines of markdown.

No number is computed here: every one stands in the evaluation. What is unknown is a dash, and a
section without anything known has no lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from features.core.language import join_words, mark, say, term
from features.recipes.stages import STAGES
from training import metrics
from training.evaluation import baseline_comparison, gate, learning_curve, slices
from training.formats import (
    count,
    decimals,
    percent,
    percent_with_interval,
    span,
    with_interval,
)
from training.reports.markdown import markdown_table, one_line, sentence
from training.reports.summary import weakest_segment
from training.stored_texts import say_stored
from training.uncertainty import fit_evidence, fit_prediction_sets

Report = dict[str, Any]
MOST_DATES, MOST_SEGMENTS = 5, 4
TITLES = {"churn": mark("Churn"), "next_stage": mark("Next stage")}


def verdict_section(evaluation: Report) -> list[str]:
    """What is recommended, the verdicts of both populations, and what no skill means."""
    recommended = baseline_comparison.lines(evaluation, why=False)
    lines = [say("## Verdict"), "", *(f"- {sentence(line)}" for line in recommended)]
    for part, title in TITLES.items():
        comparisons = dict(baseline_comparison.populations(evaluation[part]))
        verdicts = [
            say("{who}: {verdict}", who=term(who), verdict=say_stored(comparisons[who]["verdict"]))
            for who in metrics.POPULATIONS
            if who in comparisons
        ]
        text = say("- {title}, {verdicts}.", title=say(title), verdicts=say("; ").join(verdicts))
        lines += [text] * bool(verdicts)
    if evaluation["status"] == "no_skill":
        lines.append(
            say(
                "- No skill: the 95 % CI of the AUROC includes ½. The release serves the rate of "
                "eligible customers, and to others that of the others."
            )
        )
    lines += [
        f"- {say_stored(note)}"
        for note in evaluation.get("notes", [])
        if not note.startswith("No skill")
    ]
    return [*lines, *(f"- {sentence(line)}" for line in gate.lines(evaluation)), ""]


def calibration_section(evaluation: Report) -> list[str]:
    method = evaluation["calibration"]
    names = (
        say("population"),
        say("mean p"),
        say("left (95 % CI)"),
        "ECE",
        say("by chance"),
        say("rarely over"),
        say("rate known"),
        say("rate and slope known"),
    )
    rows = [_calibration_row(who, evaluation["churn"][who]) for who in metrics.POPULATIONS]
    return [
        say("## Calibration"),
        "",
        say("{text}.", text=say_stored(method.get("why") or method["kind"])),
        "",
        *markdown_table(names, rows),
        say(
            "The calibration error (ECE) is never zero. *By chance*: what true probabilities would "
            "show with so few rows; *rarely over* is exceeded once in twenty. *Rate known*: the "
            "error that is left when all log-odds are moved by the one number that fits best."
        ),
        "",
    ]


def _calibration_row(who: str, churn: Report) -> tuple[str, ...]:
    report = churn.get("calibration") or {}
    floor, shift, platt = (
        report.get(name) or {} for name in ("floor", "after_shift", "after_platt")
    )
    return (
        term(who),
        decimals(report.get("predicted")),
        with_interval(report, "observed"),
        decimals(report.get("ece"), 4),
        decimals(floor.get("mean"), 4),
        decimals(floor.get("high"), 4),
        decimals(shift.get("ece"), 4),
        decimals(platt.get("ece"), 4),
    )


def rates_section(evaluation: Report) -> list[str]:
    """The share that left by date, the newest dates, and whether the evaluated ones are usual."""
    dates = evaluation.get("rates", [])
    if not dates:
        return []
    names = (
        say("as of"),
        say("used to"),
        say("everyone, rows"),
        say("left (95 % CI)"),
        say("eligible, rows"),
        say("left (95 % CI)"),
    )
    title = say("### The churn rate by date")
    if len(dates) > MOST_DATES:
        title += say(", the newest of {dates} dates", dates=len(dates))
    rows = [_rate_row(date) for date in dates[-MOST_DATES:]]
    moved = [text for who in metrics.POPULATIONS if (text := _rate_range(dates, who))]
    return [
        title,
        *markdown_table(names, rows),
        *[say("The rate of the evaluation dates: {rates}.", rates=say("; ").join(moved)), ""]
        * bool(moved),
    ]


def _rate_row(date: Report) -> tuple[str, ...]:
    cells = [
        cell
        for who in metrics.POPULATIONS
        for cell in (count(date[who]["rows"]), with_interval(date[who], "rate"))
    ]
    return (date["as_of"], term(date["split"]), *cells)


def _rate_range(dates: Sequence[Report], who: str) -> str | None:
    """Whether the evaluated rates lie between the lowest and the highest rate trained on."""
    rates: dict[str, list[float]] = {"train": [], "evaluate": []}
    for date in dates:
        if date["split"] in rates and date[who]["rate"] is not None:
            rates[date["split"]].append(date[who]["rate"])
    if not rates["train"] or not rates["evaluate"]:
        return None
    low, high = min(rates["train"]), max(rates["train"])
    inside = all(low <= rate <= high for rate in rates["evaluate"])
    named = {"who": term(who), "span": span(low, high)}
    if inside:
        return say("{who}, inside the range of the training dates ({span})", **named)
    return say("{who}, **outside** the range of the training dates ({span})", **named)


def segments_section(evaluation: Report) -> list[str]:
    """The weakest segments per model, and customers the model was never trained on."""
    lines = [
        say("## Segments"),
        "",
        say(
            "*Relative*: our log loss divided by the log loss of the segment's own base rate; "
            "under one is better. A segment is judged from {rows} rows on, of which {others} have "
            "another outcome than most.",
            rows=slices.LEAST_ROWS,
            others=slices.LEAST_OF_EACH,
        ),
        "",
    ]
    for part, figure in (("churn", "auroc"), ("next_stage", "log_loss")):
        who = _judged_population(evaluation[part], figure)
        if who:
            report = evaluation[part][who]
            lines.append(say("### {title}, {who}", title=say(TITLES[part]), who=term(who)))
            lines += [*_segment_table(report["slices"]), *_weakest(report), *_new(report), ""]
    return lines


def _judged_population(section: Report, figure: str) -> str | None:
    """Eligible, or everyone where the figure is not known of eligible."""
    for who in ("eligible", "everyone"):
        if (section.get(who) or {}).get(figure) is not None:
            return who
    return None


def _segment_table(segments: Sequence[Report]) -> list[str]:
    judged = [segment for segment in segments if not segment.get("too_few")]
    judged.sort(key=lambda one: (-one["relative"], one["dimension"], one["name"]))
    rows = [
        (
            term(segment["dimension"]),
            say_stored(segment["name"]),
            count(segment["rows"]),
            decimals(segment["log_loss"], 4),
            decimals(segment["relative"]),
            with_interval(segment, "difference", digits=4),
        )
        for segment in judged[:MOST_SEGMENTS]
    ]
    names = (
        say("dimension"),
        say("segment, weakest first"),
        say("rows"),
        say("log loss"),
        say("relative"),
        say("ours − its base rate's (95 % CI)"),
    )
    return markdown_table(names, rows) or [say("No segment has enough rows."), ""]


def _weakest(report: Report) -> list[str]:
    if not report.get("worst_slice"):
        return []
    text = sentence(one_line(weakest_segment(report["worst_slice"])))
    return [say("- {text} The weakest of many is partly bad luck.", text=text)]


def _new(report: Report) -> list[str]:
    rows = report.get("customers", ())
    texts = [_customers_text(row) for row in rows]
    if not any(row["name"] == slices.NEVER_TRAINED_ON for row in rows):
        texts.append(
            say("no evaluated customer is new to the model, so its quality for new ones is unknown")
        )
    return [say("- Customers {texts}.", texts=say("; ").join(texts))]


def _customers_text(row: Report) -> str:
    text = say("{name}: {rows:,} rows", name=term(row["name"]), rows=row["rows"])
    if row.get("too_few"):
        return text + say(", too few to judge")
    verdict = say_stored(metrics.verdict("the base rate", dict(row)))
    loss = decimals(row["log_loss"], 4)
    return text + say(", log loss {loss}, {verdict}", loss=loss, verdict=verdict)


def uncertainty_section(evaluation: Report) -> list[str]:
    """Sets of next stages, evidence grades and the learning curve, where they are known."""
    texts = [
        *fit_prediction_sets.lines(evaluation),
        *fit_evidence.lines(evaluation),
        *learning_curve.lines(evaluation),
    ] or [say("the evaluation holds no prediction sets and no evidence grades")]
    stages = evaluation["sets"]["everyone"]["stages"] if evaluation.get("sets") else []
    rows = [
        (
            term(one["stage"]),
            count(one["rows"]),
            percent_with_interval(one, "coverage"),
            percent(one["accuracy"]),
        )
        for one in sorted(stages, key=lambda one: STAGES.index(one["stage"]))
    ]
    names = (say("next stage"), say("rows"), say("coverage (95 % CI)"), say("top-1 accuracy"))
    return [
        say("## Uncertainty"),
        "",
        *(f"- {sentence(text)}" for text in texts),
        "",
        *markdown_table(names, rows),
    ]


def without_section(evaluation: Report) -> list[str]:
    """The scorers for days on which a table is silent, with their figures."""
    reports = evaluation.get("without", {})
    silent = evaluation.get("silent_tables", [])
    stale = evaluation.get("stale_dates", [])
    if not (reports or silent or stale):
        return []
    lines = [say("## Without a table"), ""]
    if silent:
        lines.append(
            say(
                "- Nothing was learned from {tables}: silent at the newest date. Every score says "
                "so.",
                tables=join_words(silent),
            )
        )
    if stale:
        days = join_words(stale)
        lines.append(say("- Left out, because a table was silent then: {days}.", days=days))
    if reports:
        lines.append(
            say(
                "- A stale or unsent table is answered by a scorer that never learned from it, "
                "marked `without:<table>`. Figures are of the evaluation dates, everyone and "
                "eligible."
            )
        )
    names = (
        say("without"),
        say("status"),
        say("columns"),
        "AUROC",
        say("AUROC, eligible"),
        say("log loss, eligible"),
    )
    rows = [
        (
            name.replace("-", ", "),
            report["status"],
            count(report["columns"]),
            decimals(report["everyone"]["auroc"]),
            decimals(report["eligible"]["auroc"]),
            decimals(report["eligible"]["log_loss"], 4),
        )
        for name, report in sorted(reports.items())
    ]
    return [*lines, "", *(markdown_table(names, rows) if rows else [])]
