"""The report of a backtest as text: small tables and the verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from features.core.language import ENGLISH, use_language
from training.backtest import coverage
from training.backtest.dated_curve import pooled_lines
from training.backtest.dated_value import pooled_value_lines
from training.backtest.report import FIGURES, bias_text
from training.formats import count, decimals, percent, signed, span

Report = Mapping[str, Any]
NAMES = {
    ("churn", "auroc"): "AUROC",
    ("churn", "log_loss"): "log loss",
    ("churn", "ece"): "calibration error (ECE)",
    ("next_stage", "log_loss"): "log loss, next stage",
}


def report_text(report: Report) -> str:
    """Verdict first, then warnings, then each date with its validation, levels, age, stability.

    In English in every language, like the report itself.
    """
    with use_language(ENGLISH):
        return _english_text(report)


def _english_text(report: Report) -> str:
    days = [date["as_of"] for date in report["dates"]]
    lines = [
        f"  {report['verdict']}",
        *(f"  warning: {warning}" for warning in report["warnings"]),
        "",
        f"  backtest of {len(days)} dates, {days[0]} … {days[-1]}, each as if it were today; "
        f"horizon {report['horizon_days']} days",
    ]
    for who in ("eligible", "everyone"):
        lines += [
            "",
            *_date_lines(report, who),
            "",
            *_level_lines(report, who),
            *coverage.set_lines(report["coverage"], who),
            *_validation_lines(report, who),
        ]
    lines += [
        *coverage.interval_lines(report["coverage"]),
        *pooled_lines(report["curve"]),
        *pooled_value_lines(report["value"]),
        *_age_lines(report),
        *_stability_lines(report),
    ]
    return "\n".join(lines)


def _date_lines(report: Report, who: str) -> Iterator[str]:
    """The true figures of each date, the validation estimate, and the difference in errors."""
    columns = (
        ("customers", 11),
        ("left", 8),
        ("AUROC", 9),
        ("validated", 11),
        ("errors", 9),
        ("log loss", 11),
        ("validated", 11),
        ("errors", 9),
        ("ECE", 8),
    )
    yield f"  {who:<12}" + "".join(f"{name:>{width}}" for name, width in columns)
    for date in report["dates"]:
        true = date["churn"][who]
        cells = [count(true["rows"]), percent(true["rate"])]
        for figure in ("auroc", "log_loss"):
            difference = date["difference"]["churn"][who][figure] or {}
            cells += [
                decimals(true[figure]),
                decimals(date["estimate"]["churn"][who][figure]),
                signed(difference.get("errors"), 1),
            ]
        cells.append(decimals(true["ece"]))
        row = "".join(f"{cell:>{width}}" for cell, (_, width) in zip(cells, columns, strict=True))
        status = "" if date["status"] == "ok" else f"  {date['status']}"
        yield f"    {date['as_of']:<10}{row}{status}"


def _level_lines(report: Report, who: str) -> Iterator[str]:
    for section, figure in FIGURES:
        if level := report["summary"][section][who][figure]:
            yield (
                f"    {NAMES[section, figure]:<25}mean {decimals(level['mean'], 4)}, "
                f"spread {decimals(level['spread'], 4)}, "
                f"worst {decimals(level['worst'], 4)} ({level['worst_as_of']}), "
                f"best {decimals(level['best'], 4)} ({level['best_as_of']})"
            )


def _validation_lines(report: Report, who: str) -> Iterator[str]:
    """Truth − validation estimate over the dates."""
    validation = report["validation"]["churn"][who]["log_loss"]
    if validation and validation["median_errors"] is not None:
        interval = (
            ""
            if validation["low"] is None
            else f" (95 % CI {span(validation['low'], validation['high'], 4)})"
        )
        yield (
            f"    truth − validation in log loss: {validation['median_errors']:.1f} standard "
            f"errors in the median, {percent(validation['within_two'], 0)} within 2; mean "
            f"{signed(validation['mean_difference'])}{interval}: {bias_text(validation)}"
        )


def _age_lines(report: Report) -> Iterator[str]:
    if report["decay"]:
        yield ""
        yield (
            "  a model's age   dates      log loss − a fresh model's (95 % CI), eligible"
            "      AUROC (fresh)"
        )
    for age in report["decay"]:
        if lost := age["eligible"] or age["everyone"]:
            difference = f"{signed(lost['difference'])} ({span(lost['low'], lost['high'], 4)})"
            yield (
                f"    {age['months']:>4g} months{age['pairs']:>9}      {difference:<46}"
                f"{decimals(lost['auroc'])} ({decimals(lost['fresh_auroc'])})"
            )


def _stability_lines(report: Report) -> Iterator[str]:
    if report["stability"]:
        yield ""
        yield (
            "  from date to date, eligible      customers   rank corr.   top tenth   moved > .2"
            "     PSI   models alone"
        )
    for move in report["stability"]:
        change = move["eligible"]
        yield (
            f"    {move['from']} → {move['to']:<12}{change['customers']:>12,}"
            f"{decimals(change['rank_correlation']):>13}"
            f"{percent(change['top_decile_overlap']):>12}{percent(change['moved']):>13}"
            f"{decimals(change['population_stability']):>8}{decimals(change['same_rows']):>15}"
        )
