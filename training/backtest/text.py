"""A backtest's account in words and small tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from training.backtest import coverage
from training.backtest.report import FIGURES, bias

WORDS = {
    ("churn", "auroc"): "AUROC",
    ("churn", "log_loss"): "log loss",
    ("churn", "ece"): "calibration error",
    ("next_stage", "log_loss"): "log loss, next stage",
}


def text(told: dict[str, Any]) -> str:
    """Each date beside what was said of it before, the worst, mean and spread, age, stability, and the verdict."""
    days = [one["as_of"] for one in told["dates"]]
    lines = [
        f"  backtest of {len(days)} dates, {days[0]} … {days[-1]}, each as if it were today; horizon {told['horizon_days']} days"
    ]
    for who in ("eligible", "everyone"):
        lines += [
            "",
            *_dates(told, who),
            "",
            *_levels(told, who),
            *coverage.lines(told["held"], who),
            *_promises(told, who),
        ]
    lines += [
        *coverage.interval_lines(told["held"]),
        *_ages(told),
        *_moves(told),
        "",
        f"  {told['verdict']}",
    ]
    return "\n".join([*lines, *(f"  warning: {words}" for words in told["warnings"])])


def _dates(told: dict[str, Any], who: str) -> Iterator[str]:
    yield f"  {who:<14}customers    left    AUROC  validated   errors   log loss  validated   errors     ECE"
    for one in told["dates"]:
        now, then, off = (
            one["churn"][who],
            one["validation"]["churn"][who],
            one["difference"]["churn"][who],
        )
        areas, losses = (
            (now[f], then[f], (off[f] or {}).get("errors")) for f in ("auroc", "log_loss")
        )
        yield (
            f"    {one['as_of']:<12}{now['rows']:>9,}{_share(now['rate']):>8}"
            f"{_real(areas[0]):>9}{_real(areas[1]):>11}{_signed(areas[2]):>9}"
            f"{_real(losses[0]):>11}{_real(losses[1]):>11}{_signed(losses[2]):>9}{_real(now['ece']):>8}"
            f"{'' if one['status'] == 'ok' else '  ' + one['status']}"
        )


def _levels(told: dict[str, Any], who: str) -> Iterator[str]:
    for section, figure in FIGURES:
        if found := told["summary"][section][who][figure]:
            yield (
                f"    {WORDS[section, figure]:<22}mean {found['mean']:.4f}, spread {_real(found['spread'], 4)}, "
                f"worst {found['worst']:.4f} ({found['worst_as_of']}), best {found['best']:.4f} ({found['best_as_of']})"
            )


def _promises(told: dict[str, Any], who: str) -> Iterator[str]:
    """Truth − validation estimate over the dates."""
    found = told["validation"]["churn"][who]["log_loss"]
    if found and found["median_errors"] is not None:
        interval = "" if found["low"] is None else f" ({found['low']:+.4f} … {found['high']:+.4f})"
        yield (
            f"    truth − validation in log loss: {found['median_errors']:.1f} standard errors in the median, "
            f"{found['within_two']:.0%} within 2; mean {found['mean_difference']:+.4f}{interval}: {bias(found)}"
        )


def _ages(told: dict[str, Any]) -> Iterator[str]:
    if told["decay"]:
        yield from (
            "",
            "  a model's age   dates      log loss beside a fresh model's, eligible      AUROC (fresh)",
        )
    for age in told["decay"]:
        if found := age["eligible"] or age["everyone"]:
            yield (
                f"    {age['months']:>4g} months{age['pairs']:>9}      {found['difference']:+.4f} ({found['low']:+.4f} … "
                f"{found['high']:+.4f}){'':14}{_real(found['auroc'])} ({_real(found['fresh_auroc'])})"
            )


def _moves(told: dict[str, Any]) -> Iterator[str]:
    if told["stability"]:
        yield from (
            "",
            "  from date to date, eligible      customers   rank corr.   top tenth   moved > .2     PSI   models alone",
        )
    for one in told["stability"]:
        found = one["eligible"]
        yield (
            f"    {one['from']} → {one['to']:<12}{found['customers']:>12,}{_real(found['rank_correlation']):>13}"
            f"{_share(found['top_decile_overlap']):>12}{_share(found['moved']):>13}{_real(found['population_stability']):>8}"
            f"{_real(found['same_rows']):>15}"
        )


def _real(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.1f}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"
