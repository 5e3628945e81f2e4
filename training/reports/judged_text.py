"""What `lifecycle judge` prints: what became of every prediction, then the figures."""

from __future__ import annotations

from typing import Any

from features.core.language import join_words, mark, say, term
from training.formats import confidence, decimals, pad, percent
from training.reports.summary import figure_lines

THEIRS = "this model"
_COUNTS = {
    "empty": mark("without a number"),
    "outcome_not_known": mark("of an as_of whose outcomes are not known yet"),
    "no_such_row": mark("of a customer who has no row at that as_of"),
}


def judged_text(report: dict[str, Any]) -> str:
    """The report for a terminal: counts, figures by population, figures by date."""
    counts = report["predictions"]
    lines = [
        say(
            "  {read:,} predictions read, {judged:,} judged",
            read=counts["read"],
            judged=counts["judged"],
        )
    ]
    lines += [
        say("    {rows:,} are not judged: {which}", rows=counts[name], which=say(words))
        for name, words in _COUNTS.items()
        if counts[name]
    ]
    if counts["rows_not_predicted"]:
        lines.append(
            say(
                "    {rows:,} rows of these dates have no prediction: the figures are of the "
                "others alone",
                rows=counts["rows_not_predicted"],
            )
        )
    if counts["moved_off_0_or_1"]:
        lines.append(
            say(
                "    {rows:,} had a probability of 0 or 1 and were moved by 1e-15, because one "
                "surprise would count infinitely",
                rows=counts["moved_off_0_or_1"],
            )
        )
    dates = report["as_of"]
    lines += [
        say(
            "  as of {evaluated}, {days} days ahead; baselines fitted on {dates} dates up to "
            "{last}",
            evaluated=join_words(dates["evaluate"]),
            days=report["horizon_days"],
            dates=len(dates["train"]),
            last=dates["train"][-1],
        ),
        "",
        *figure_lines(report, ours=THEIRS),
    ]
    return "\n".join([*lines, *_date_lines(report["by_date"])]).rstrip()


def _date_lines(by_date: list[dict[str, Any]]) -> list[str]:
    """A line for each date and population, where there are several dates."""
    if len({row["as_of"] for row in by_date}) < 2:
        return []
    return [
        say("  by date"),
        *(_date_line(row) for row in by_date if row["rows"]),
    ]


def _date_line(row: dict[str, Any]) -> str:
    interval = confidence(row.get("auroc_low"), row.get("auroc_high"))
    return say(
        "    {as_of}  {population}{rows:>9,} rows, {rate:>7} left  AUROC {auroc}  log loss {loss}",
        as_of=row["as_of"],
        population=pad(term(row["population"]), 9),
        rows=row["rows"],
        rate=percent(row["rate"]),
        auroc=decimals(row["auroc"], 4) + interval,
        loss=decimals(row["log_loss"], 4),
    )
