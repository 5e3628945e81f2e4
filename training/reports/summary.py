"""Texts of a finished training or promotion for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rich.cells import cell_len

from features.core.language import join_words, mark, say, term
from training import metrics
from training.evaluation import (
    ablation,
    baseline_comparison,
    gate,
    learning_curve,
    own_estimators,
    slices,
)
from training.formats import UNKNOWN, confidence, decimals, pad, pad_left, percent, span
from training.reports.campaign_text import campaign_lines
from training.reports.curve_text import curve_lines
from training.reports.target_text import target_lines
from training.reports.value_text import value_lines
from training.stored_texts import say_stored
from training.uncertainty import fit_evidence, fit_prediction_sets

Report = dict[str, Any]
OURS = baseline_comparison.OURS


def training_text(evaluation: Report) -> str:
    """Figures of the model and the baselines, for everyone and eligible, and the verdicts."""
    if evaluation["status"] == "not_enough_data":
        why = evaluation["why"]
        text = say("  not enough data to train: {why}", why=why["got"])
        text += f"\n  {why['rule']}\n  {why['do']}"
        campaigns = [f"  {line}" for line in campaign_lines(evaluation)]
        return "\n".join([text, *campaigns, *target_lines(evaluation)])
    lines = [*_data_lines(evaluation), "", *figure_lines(evaluation)]
    lines += [f"  {line}" for line in baseline_comparison.lines(evaluation, why=False)]
    lines += [
        *curve_lines(evaluation),
        *value_lines(evaluation),
        *fit_prediction_sets.lines(evaluation),
        *fit_evidence.lines(evaluation),
        *learning_curve.lines(evaluation),
        *ablation.lines(evaluation),
        *own_estimators.lines(evaluation),
        *target_lines(evaluation),
    ]
    if evaluation.get("gate"):
        lines += ["", *(f"  {line}" for line in gate.lines(evaluation))]
    if evaluation.get("notes"):
        lines += ["", *(f"  {say_stored(note)}" for note in evaluation["notes"])]
    return "\n".join(lines)


def figure_lines(evaluation: Report, *, ours: str = OURS) -> list[str]:
    """The figures of churn and next stage beside every baseline, by population.

    `ours`: what is judged, where it is not our model. A section that is absent has no lines.
    """
    lines = []
    for section, of_section in (("churn", _churn_lines), ("next_stage", _stage_lines)):
        if section in evaluation:
            report = evaluation[section]
            if ours != OURS:  # what somebody else's model was trained on, nobody knows here
                report = {who: each | {"customers": []} for who, each in report.items()}
            lines += [*of_section(report), ""]
    if ours == OURS:
        return lines
    # In a table the name is followed by spaces: the columns stay where they are.
    own, ours = term(OURS), term(ours)
    wide = pad(own, max(cell_len(own), cell_len(ours)))
    return [line.replace(wide, ours).replace(own, ours) for line in lines]


def _data_lines(evaluation: Report) -> list[str]:
    dates = evaluation["as_of"]
    lines = [
        say(
            "  trained on {dates} dates up to {last} ({rows:,} rows), evaluated on {evaluated}",
            dates=len(dates["train"]),
            last=dates["train"][-1],
            rows=evaluation["train_rows"],
            evaluated=join_words(dates["evaluate"]),
        )
    ]
    lines += [f"  {line}" for line in search_lines(evaluation)]
    lines += [f"  {line}" for line in campaign_lines(evaluation)]
    if evaluation["unused_features"]:
        lines.append(
            say(
                "  {columns} columns are not modelled: their windows are longer than the history "
                "trained on",
                columns=len(evaluation["unused_features"]),
            )
        )
    if evaluation.get("sensitive_left_out"):
        lines.append(
            say(
                "  not used, as they may be sensitive: {names} ([features] sensitive_allowed "
                "names what is used all the same)",
                names=join_words(evaluation["sensitive_left_out"]),
            )
        )
    return lines


def search_lines(evaluation: Report) -> list[str]:
    """How many of its trials each search did: one line, or none without a search."""
    done = [
        say(
            "{job} {trials} of {wanted} trials",
            job=term(job),
            trials=spec["trials_done"],
            wanted=spec["trials_wanted"],
        )
        for job, spec in (evaluation.get("models") or {}).items()
        if isinstance(spec, Mapping) and spec.get("trials_wanted")
    ]
    return [say("searched: {searches}", searches=join_words(done))] if done else []


def promotion_text(
    name: str, status: str, evaluation: Report, promotion: Mapping[str, Any] | None = None
) -> str:
    """What `promote` prints: the served release, the recommendation and the gate's result.

    `promotion`: its line in promotions.jsonl. Where the gate of the evaluation compared with
    another release than the one that was served, its verdict says nothing.
    """
    verdict = gate.lines(evaluation)
    compared = (evaluation.get("gate") or {}).get("champion")
    if promotion and promotion["previous"] not in (None, name, compared):
        verdict = [say("gate: {verdict}", verdict=say_stored(promotion["verdict"]))]
    lines = [
        say("serving release {name} ({status})", name=name, status=status),
        *baseline_comparison.lines(evaluation),
        *verdict,
    ]
    return "\n  ".join(lines)


def _churn_lines(section: Report) -> list[str]:
    populations = [
        say("{who}: {rows:,} customers", who=term(who), rows=report["rows"])
        + ("" if report["rate"] is None else say(", {rate} left", rate=percent(report["rate"])))
        for who, report in section.items()
    ]

    def figures(report: Report) -> tuple[str, ...]:
        auroc, lift = report.get("auroc"), report.get("top_decile_lift")
        return decimals(auroc, 4), decimals(report["log_loss"], 4), decimals(lift, 2)

    reports = section.values()
    gains = ([report.get(f"gain_{share}") for share in metrics.GAINS] for report in reports)
    return [
        _across(say("  churn"), populations),
        _across("", [_columns("AUROC", say("log loss"), say("lift"))] * len(populations)),
        *_candidates(section, figures),
        _across(say("    its AUROC, 95 % CI"), [_interval(report, "auroc") for report in reports]),
        _across(
            say("    calibration error (ECE)"), [percent(report.get("ece")) for report in reports]
        ),
        _across(
            say("    leavers in top 10, 20, 30 %"),
            [", ".join(map(percent, each)) for each in gains],
        ),
        *_notes(section, "auroc"),
    ]


def _stage_lines(section: Report) -> list[str]:
    def figures(report: Report) -> tuple[str, ...]:
        changes = report["changes"]
        return (
            decimals(report["log_loss"], 4),
            decimals(report["macro_f1"], 4),
            percent(changes["recall"]),
            percent(changes["precision"]),
        )

    changed = [
        say(
            "{who}: {changed:,} of {rows:,} changed",
            who=term(who),
            changed=report["changes"]["changed"],
            rows=report["rows"],
        )
        for who, report in section.items()
    ]
    no_change = [
        _columns(UNKNOWN, decimals(report["if_nothing_changed"]["macro_f1"], 4), UNKNOWN, UNKNOWN)
        for report in section.values()
    ]
    names = _columns(say("log loss"), "macro-F1", say("recall"), say("precision"))
    return [
        _across(say("  next stage"), changed),
        _across(say("    recall, precision of changes"), [names] * len(changed)),
        _across(say("    no change of stage"), no_change),
        *_candidates(section, figures),
        *_notes(section, "accuracy"),
    ]


def _candidates(section: Report, figures: Callable[[Report], tuple[str, ...]]) -> list[str]:
    """A line per candidate, simple ones first and our model last, a column per population."""
    names = [
        candidate["name"]
        for _, comparison in baseline_comparison.populations(section)
        for candidate in comparison["candidates"]
    ]
    baselines = {name for report in section.values() for name in report["baselines"]}
    lines = []
    for name in dict.fromkeys(names):
        reports = [
            # What is judged has another name than ours where it is somebody else's.
            report["baselines"].get(name) if name in baselines else report
            for report in section.values()
        ]
        cells = [
            _columns(*figures(report)) if report and report["rows"] else _columns(UNKNOWN)
            for report in reports
        ]
        lines.append(_across(f"    {term(name)}", cells))
    return lines


def _notes(section: Report, figure: str) -> list[str]:
    """The verdict, the weakest segment, and customers never trained on, per population."""
    lines = [
        "    " + say("{who}: {verdict}", who=term(who), verdict=say_stored(comparison["verdict"]))
        for who, comparison in baseline_comparison.populations(section)
    ]
    for who, report in section.items():
        if report["worst_slice"]:
            lines.append(
                "    "
                + say(
                    "{who}: {verdict}",
                    who=term(who),
                    verdict=weakest_segment(report["worst_slice"]),
                )
            )
        lines += [
            "    " + say("{who}, {verdict}", who=term(who), verdict=_new_customers(row, figure))
            for row in report["customers"]
            if row["name"] != slices.TRAINED_ON
        ]
    return lines


def weakest_segment(worst: Report) -> str:
    """`weakest of 20 segments with enough rows: stage new, log loss .1241 below its base rate`."""
    difference, low, high = worst["difference"], worst["low"], worst["high"]
    side = mark(
        "weakest of {segments} segments with enough rows: {segment}, log loss {distance} below "
        "its base rate"
    )
    if difference >= 0:
        side = mark(
            "weakest of {segments} segments with enough rows: {segment}, log loss {distance} above "
            "its base rate"
        )
    # Inside the interval nobody knows which side it is.
    unsure = say(" (its 95 % CI includes 0)") if low <= 0 <= high else ""
    segment = f"{term(worst['dimension'])} {say_stored(worst['name'])}"
    distance = decimals(abs(difference), 4)
    return say(side, segments=worst["compared"], segment=segment, distance=distance) + unsure


def _new_customers(row: Report, figure: str) -> str:
    text = say("{name}: {rows:,} rows", name=term(row["name"]), rows=row["rows"])
    if row.get("too_few"):
        return text + say(", too few to judge")
    name = "AUROC" if figure == "auroc" else term(figure)
    interval = confidence(row.get(f"{figure}_low"), row.get(f"{figure}_high"))
    verdict = say_stored(metrics.verdict("the base rate", dict(row)))
    figures = f"{name} {decimals(row[figure], 4)}{interval}"
    return text + say(", {figures}, {verdict}", figures=figures, verdict=verdict)


def _across(name: str, cells: Iterable[str]) -> str:
    return f"{pad(name, 32)}{''.join(pad(cell, 44) for cell in cells)}".rstrip()


def _columns(*cells: str) -> str:
    return "".join(pad_left(cell, 10) for cell in cells)


def _interval(report: Report, name: str) -> str:
    low, high = report.get(f"{name}_low"), report.get(f"{name}_high")
    return UNKNOWN if low is None or high is None else span(low, high)
