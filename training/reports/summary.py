"""Texts of a finished training, promotion or batch run for a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from features.engine.consent import without_consent
from features.recipes.stages import CHINESE, STAGES
from serving.release.score_table import CANCELLED, WITHOUT
from training import metrics
from training.evaluation import (
    ablation,
    baseline_comparison,
    gate,
    learning_curve,
    own_estimators,
    slices,
)
from training.formats import UNKNOWN, confidence, decimals, percent, span
from training.reports.curve_text import curve_lines
from training.reports.target_text import target_lines
from training.reports.value_text import value_lines
from training.uncertainty import fit_evidence, fit_prediction_sets

Report = dict[str, Any]
OURS = baseline_comparison.OURS
# Whose rate a score can be where no model answers, finest first.
RATE_LEVELS = {
    "own_past": "their own past",
    "stage": "the stage",
    "eligibility": "those who are as eligible as they are",
    "segment": "the segment",
    "everyone": "everyone",
}
# Characters of the bar of the most frequent stage.
LONGEST_BAR = 30
REASONS = ("reason_1", "reason_2", "reason_3")


def training_text(evaluation: Report) -> str:
    """Figures of the model and the baselines, for everyone and eligible, and the verdicts."""
    if evaluation["status"] == "not_enough_data":
        why = evaluation["why"]
        text = f"  not enough data to train: {why['got']}\n  {why['rule']}\n  {why['do']}"
        return "\n".join([text, *target_lines(evaluation)])
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
        lines += ["", *(f"  {note}" for note in evaluation["notes"])]
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
    # In a table the name is followed by spaces: the columns stay where they are.
    wide = OURS.ljust(len(ours))
    return [line.replace(wide, ours).replace(OURS, ours) for line in lines]


def _data_lines(evaluation: Report) -> list[str]:
    dates = evaluation["as_of"]
    lines = [
        f"  trained on {len(dates['train'])} dates up to {dates['train'][-1]} "
        f"({evaluation['train_rows']:,} rows), evaluated on {', '.join(dates['evaluate'])}"
    ]
    lines += [f"  {line}" for line in search_lines(evaluation)]
    if evaluation["unused_features"]:
        lines.append(
            f"  {len(evaluation['unused_features'])} columns are not modelled: "
            "their windows are longer than the history trained on"
        )
    if evaluation.get("sensitive_left_out"):
        lines.append(
            f"  not used, as they may be sensitive: {', '.join(evaluation['sensitive_left_out'])} "
            "([features] sensitive_allowed names what is used all the same)"
        )
    return lines


def search_lines(evaluation: Report) -> list[str]:
    """How many of its trials each search did: one line, or none without a search."""
    done = [
        f"{job} {spec['trials_done']} of {spec['trials_wanted']} trials"
        for job, spec in (evaluation.get("models") or {}).items()
        if isinstance(spec, Mapping) and spec.get("trials_wanted")
    ]
    return [f"searched: {', '.join(done)}"] if done else []


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
        verdict = [f"gate: {promotion['verdict']}"]
    lines = [
        f"serving release {name} ({status})",
        *baseline_comparison.lines(evaluation),
        *verdict,
    ]
    return "\n  ".join(lines)


def _churn_lines(section: Report) -> list[str]:
    populations = [
        f"{who}: {report['rows']:,} customers"
        + ("" if report["rate"] is None else f", {percent(report['rate'])} left")
        for who, report in section.items()
    ]

    def figures(report: Report) -> tuple[str, ...]:
        auroc, lift = report.get("auroc"), report.get("top_decile_lift")
        return decimals(auroc, 4), decimals(report["log_loss"], 4), decimals(lift, 2)

    reports = section.values()
    gains = ([report.get(f"gain_{share}") for share in metrics.GAINS] for report in reports)
    return [
        _across("  churn", populations),
        _across("", [_columns("AUROC", "log loss", "lift")] * len(populations)),
        *_candidates(section, figures),
        _across("    its AUROC, 95 % CI", [_interval(report, "auroc") for report in reports]),
        _across("    calibration error (ECE)", [percent(report.get("ece")) for report in reports]),
        _across(
            "    leavers in top 10, 20, 30 %", [", ".join(map(percent, each)) for each in gains]
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
        f"{who}: {report['changes']['changed']:,} of {report['rows']:,} changed"
        for who, report in section.items()
    ]
    no_change = [
        _columns(UNKNOWN, decimals(report["if_nothing_changed"]["macro_f1"], 4), UNKNOWN, UNKNOWN)
        for report in section.values()
    ]
    names = _columns("log loss", "macro-F1", "recall", "precision")
    return [
        _across("  next stage", changed),
        _across("    recall, precision of changes", [names] * len(changed)),
        _across("    no change of stage", no_change),
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
        lines.append(_across(f"    {name}", cells))
    return lines


def _notes(section: Report, figure: str) -> list[str]:
    """The verdict, the weakest segment, and customers never trained on, per population."""
    lines = [
        f"    {who}: {comparison['verdict']}"
        for who, comparison in baseline_comparison.populations(section)
    ]
    for who, report in section.items():
        if report["worst_slice"]:
            lines.append(f"    {who}: {weakest_segment(report['worst_slice'])}")
        lines += [
            f"    {who}, {_new_customers(row, figure)}"
            for row in report["customers"]
            if row["name"] != slices.TRAINED_ON
        ]
    return lines


def weakest_segment(worst: Report) -> str:
    """`weakest of 20 segments with enough rows: stage new, log loss .1241 below its base rate`."""
    difference, low, high = worst["difference"], worst["low"], worst["high"]
    side = "below" if difference < 0 else "above"
    # Inside the interval nobody knows which side it is.
    unsure = " (its 95 % CI includes 0)" if low <= 0 <= high else ""
    return (
        f"weakest of {worst['compared']} segments with enough rows: {worst['dimension']} "
        f"{worst['name']}, log loss {decimals(abs(difference), 4)} {side} its base rate{unsure}"
    )


def _new_customers(row: Report, figure: str) -> str:
    text = f"{row['name']}: {row['rows']:,} rows"
    if row.get("too_few"):
        return f"{text}, too few to judge"
    name = "AUROC" if figure == "auroc" else figure
    interval = confidence(row.get(f"{figure}_low"), row.get(f"{figure}_high"))
    verdict = metrics.verdict("the base rate", dict(row))
    return f"{text}, {name} {decimals(row[figure], 4)}{interval}, {verdict}"


def _across(name: str, cells: Iterable[str]) -> str:
    return f"{name:<32}{''.join(f'{cell:<44}' for cell in cells)}".rstrip()


def _columns(*cells: str) -> str:
    return "".join(f"{cell:>10}" for cell in cells)


def _interval(report: Report, name: str) -> str:
    low, high = report.get(f"{name}_low"), report.get(f"{name}_high")
    return UNKNOWN if low is None or high is None else span(low, high)


def scores_text(
    folder: Path, *, as_of: str | None = None, riskiest: int = 10, consent: bool = False
) -> str:
    """Customers by stage, and the riskiest eligible ones who can still be kept, with reasons.

    Who has cancelled is counted apart.

    `folder` is that of a run. `consent`: only those are named whose consent is true, where
    customers have the flag. It names customers: for the owner's terminal alone.
    """
    rows = pq.read_table(folder / "scores.parquet").to_pylist()
    counts = {stage: sum(row["stage"] == stage for row in rows) for stage in STAGES}
    longest = max(counts.values()) or 1
    lines = ["  customers by stage" + (f" as of {as_of}" if as_of else "")]
    lines += [
        f"    {stage:<10}{CHINESE[stage]:<6}{number:>8,}  {_bar(number / longest)}".rstrip()
        for stage, number in counts.items()
    ]
    lines += [*_rate_lines(rows), *_without_lines(rows)]
    eligible = [row for row in rows if row["eligible"] and row["p_churn"] is not None]
    cancelled = [row for row in eligible if CANCELLED in row["warnings"]]
    staying = [row for row in eligible if CANCELLED not in row["warnings"]]
    refused = _refused_in_lists(folder, staying) if consent else set()
    listed = [row for row in staying if row["customer_id"] not in refused]
    listed.sort(key=lambda row: (-row["p_churn"], row["customer_id"]))
    shown = listed[:riskiest]
    who = f"{len(staying):,} eligible customers"
    if cancelled:
        lines += ["", f"  {len(cancelled):,} have cancelled already; their cover still runs"]
        who += " who have not cancelled"
    if staying:
        mean = sum(row["p_churn"] for row in staying) / len(staying)
        lines += ["", f"  {who}: mean p_churn {decimals(mean)}"]
        lines += ["", f"  the {len(shown)} riskiest of them"]
    else:
        lines += ["", f"  no scores of {who}"]
    if refused:
        lines.append(f"  ({len(refused):,} of them are not listed: no consent)")
    for row in shown:
        p = decimals(row["p_churn"])
        lines.append(f"    {row['customer_id']:<12} p_churn {p}  {row['stage']}")
        lines += [f"{'':17}{row[key]}" for key in REASONS if row[key]]
    return "\n".join(lines)


def _refused_in_lists(folder: Path, rows: list[dict[str, Any]]) -> set[str]:
    """Ids without consent; none where no customer of the run has a flag."""
    file = folder / "history" / "customers.parquet"
    if not file.is_file():
        return set()
    customers = pq.read_table(file)
    if customers["consent"].null_count == customers.num_rows:
        return set()
    return without_consent(customers, [row["customer_id"] for row in rows])


def _bar(share: float) -> str:
    return "█" * round(LONGEST_BAR * share)


def _without_lines(rows: list[dict[str, Any]]) -> list[str]:
    """One line where scores do without a table, because it was silent."""
    marks = Counter(table for row in rows for table in _marks(row, WITHOUT))
    if not marks:
        return []
    tables = " and ".join(sorted(marks))
    return [
        "",
        f"  scored without {tables}, which had fallen silent (lifecycle check says since when): "
        f"{max(marks.values()):,} customers.",
        "  The figures of these scores stand in the card, under Without a table.",
    ]


def _rate_lines(rows: list[dict[str, Any]]) -> list[str]:
    """How many scores are rates instead of a model's answer, and whose rates."""
    rated = [row["warnings"] for row in rows if _marks(row, "rate_of:")]
    levels = [level for row in rows for level in _marks(row, "rate_of:")]
    counts = ", ".join(
        f"{levels.count(level):,} by the rate of {words}"
        for level, words in RATE_LEVELS.items()
        if level in levels
    )
    if not levels:
        return []
    lines = ["", f"  scores are rates, not a model's: {counts}"]
    if all("no_skill" in marks and _without(marks) for marks in rated):
        lines.append("  Why: the model without the silent tables is no better than chance.")
    return lines


def _marks(row: dict[str, Any], prefix: str) -> list[str]:
    """What follows the prefix in each warning of a row that begins with it."""
    return [mark.removeprefix(prefix) for mark in row["warnings"] if mark.startswith(prefix)]


def _without(marks: Iterable[str]) -> bool:
    return any(mark.startswith(WITHOUT) for mark in marks)
