"""What `lifecycle judge` prints: what became of every prediction, then the figures."""

from __future__ import annotations

from typing import Any

from training.formats import confidence, decimals, percent
from training.reports.summary import figure_lines

THEIRS = "this model"
_COUNTS = {
    "empty": "without a number",
    "outcome_not_known": "of an as_of whose outcomes are not known yet",
    "no_such_row": "of a customer who has no row at that as_of",
}


def judged_text(report: dict[str, Any]) -> str:
    """The report for a terminal: counts, figures by population, figures by date."""
    counts = report["predictions"]
    lines = [f"  {counts['read']:,} predictions read, {counts['judged']:,} judged"]
    lines += [
        f"    {counts[name]:,} are not judged: {words}"
        for name, words in _COUNTS.items()
        if counts[name]
    ]
    if counts["rows_not_predicted"]:
        lines.append(
            f"    {counts['rows_not_predicted']:,} rows of these dates have no prediction: the "
            "figures are of the others alone"
        )
    if counts["moved_off_0_or_1"]:
        lines.append(
            f"    {counts['moved_off_0_or_1']:,} had a probability of 0 or 1 and were moved by "
            "1e-15, because one surprise would count infinitely"
        )
    dates = report["as_of"]
    lines += [
        f"  as of {', '.join(dates['evaluate'])}, {report['horizon_days']} days ahead; baselines "
        f"fitted on {len(dates['train'])} dates up to {dates['train'][-1]}",
        "",
        *figure_lines(report, ours=THEIRS),
    ]
    return "\n".join([*lines, *_date_lines(report["by_date"])]).rstrip()


def _date_lines(by_date: list[dict[str, Any]]) -> list[str]:
    """A line for each date and population, where there are several dates."""
    if len({row["as_of"] for row in by_date}) < 2:
        return []
    return [
        "  by date",
        *(
            f"    {row['as_of']}  {row['population']:<9}{row['rows']:>9,} rows, "
            f"{percent(row['rate']):>7} left  AUROC {decimals(row['auroc'], 4)}"
            f"{confidence(row.get('auroc_low'), row.get('auroc_high'))}  "
            f"log loss {decimals(row['log_loss'], 4)}"
            for row in by_date
            if row["rows"]
        ),
    ]
