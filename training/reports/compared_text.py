"""What `lifecycle compare` prints: a line for each set of predictions, then who is better where."""

from __future__ import annotations

from typing import Any

from features.core.language import join_words, mark, say, term
from training.formats import (
    UNKNOWN,
    count,
    decimals,
    pad,
    pad_left,
    percent,
    signed,
    span,
)
from training.stored_texts import say_stored

_TITLES = {"everyone": mark("everyone"), "eligible": mark("eligible customers")}


def compared_text(report: dict[str, Any]) -> str:
    """The report for a terminal: churn by population, then the next stage."""
    lines = [
        say(
            "  {rows:,} rows that all predict, as of {dates}, {days} days ahead",
            rows=report["rows"],
            dates=join_words(report["as_of"]),
            days=report["horizon_days"],
        )
    ]
    lines += [
        say(
            "    {name}: {predictions:,} predictions, of them {rows:,} are compared",
            name=name,
            predictions=given,
            rows=report["rows"],
        )
        for name, given in report["predictions"].items()
        if given != report["rows"]
    ]
    width = max(len(name) for name in report["names"]) + 2
    lines += _cost_lines(report["costs"], width)
    for who, title in _TITLES.items():
        for section, lines_of in (("churn", _churn_lines), ("next_stage", _stage_lines)):
            if section in report:
                lines += ["", *lines_of(report[section][who], title, width)]
    return "\n".join(lines)


def _cost_lines(costs: dict[str, Any], width: int) -> list[str]:
    """Time and size of each set; none where nothing is known of any."""
    if not any(value is not None for cost in costs.values() for value in cost.values()):
        return []
    names = (
        pad_left(say("training"), 10),
        pad_left(say("release"), 11),
        pad_left(say("features"), 10),
    )
    lines = ["", f"    {'':<{width}}{''.join(names)}"]
    for name, cost in costs.items():
        seconds, size = cost["training_seconds"], cost["release_bytes"]
        spent = UNKNOWN if seconds is None else say("{seconds:,.0f} s", seconds=seconds)
        weight = UNKNOWN if size is None else f"{size / 1e6:,.2f} MB"
        cells = f"{pad_left(spent, 10)}{weight:>11}{count(cost['features']):>10}"
        lines.append(f"    {pad(name, width)}{cells}")
    return lines


def _churn_lines(one: dict[str, Any], title: str, width: int) -> list[str]:
    left = "" if one["rate"] is None else say(", {rate} left", rate=percent(one["rate"]))
    lines = [say("  churn, {title}: {rows:,} rows", title=say(title), rows=one["rows"]) + left]
    if not one["rows"]:
        return lines
    loss, lift = pad_left(say("log loss"), 9), pad_left(say("lift"), 7)
    lines.append(f"    {'':<{width}}{'AUROC':>7}{'':19}{loss}{'ECE':>8}{lift}")
    for name, figures in one["models"].items():
        low, high = figures["auroc_low"], figures["auroc_high"]
        interval = "" if low is None or high is None else f" {span(low, high)}"
        lines.append(
            f"    {pad(name, width)}{decimals(figures['auroc'], 4):>7}{interval:<19}"
            f"{decimals(figures['log_loss'], 4):>9}{percent(figures['ece']):>8}"
            f"{decimals(figures['top_decile_lift'], 2):>7}"
        )
    lines += [f"    {say_stored(verdict)}" for verdict in one["verdicts"]]
    for cut, name in (("by_date", "as_of"), ("by_stage", "stage")):
        if len(one[cut]) > 1:
            lines.append(say("    log loss less that of the first, by {name}", name=term(name)))
            lines += [line for row in one[cut] for line in _cut_lines(row, row[name])]
    return lines


def _cut_lines(row: dict[str, Any], name: str) -> list[str]:
    return [
        say(
            "      {name}{rows:>9,} rows  {other}: {difference} ({low} … {high})",
            name=pad(term(name), 12),
            rows=row["rows"],
            other=other,
            difference=signed(pair["difference"]),
            low=signed(pair["low"]),
            high=signed(pair["high"]),
        )
        for other, pair in row["differences"].items()
    ]


def _stage_lines(one: dict[str, Any], title: str, width: int) -> list[str]:
    lines = [say("  next stage, {title}: {rows:,} rows", title=say(title), rows=one["rows"])]
    if not one["rows"]:
        return lines
    loss, accuracy = pad_left(say("log loss"), 9), pad_left(say("accuracy"), 10)
    lines.append(f"    {'':<{width}}{loss}{accuracy}{'macro-F1':>10}")
    lines += [
        f"    {pad(name, width)}{decimals(figures['log_loss'], 4):>9}"
        f"{percent(figures['accuracy']):>10}{decimals(figures['macro_f1'], 4):>10}"
        for name, figures in one["models"].items()
    ]
    return [*lines, *(f"    {say_stored(verdict)}" for verdict in one["verdicts"])]
