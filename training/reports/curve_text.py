"""The curve's figures in the terminal text of a training and in the card of its release."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from training.formats import confidence, count, decimals, percent
from training.reports.markdown import markdown_table

Report = Mapping[str, Any]
Each = TypeVar("Each")
EVENTS = {
    "everyone": "activity, everyone",
    "eligible": "activity, eligible",
    "covered": "cover lost, of those covered",
    "gone": "return, of those gone",
}


def curve_lines(evaluation: Report) -> list[str]:
    """Lines for a terminal: each horizon, of eligible customers or of those with cover."""
    report = evaluation.get("curve", {})
    groups = report.get("groups", {})
    who = judged_group(groups)
    if who is None:
        return []
    lines = ["", f"  when ({EVENTS[who]})"]
    for days, each in by_days(groups[who]["horizons"]):
        lines.append(f"    {days:>5}  {_line(each)}")
    lines += [f"    {line}" for line in _cancelled(report)]
    return [*lines, *(f"    {line}" for line in _not_judged(report))]


def by_days(horizons: Mapping[str, Each]) -> Iterator[tuple[str, Each]]:
    """("<h>d", what stands there) from the shortest horizon to the longest."""
    # By number: a file has its keys in the order of letters.
    for days in sorted(horizons, key=lambda name: int(name.removesuffix("d"))):
        yield days, horizons[days]


def _line(each: Report) -> str:
    text = f"{percent(each['rate'])} came, mean p {decimals(each['mean_p'])}"
    if each["auroc"] is not None:
        text += f", AUROC {decimals(each['auroc'])}"
    text += f", log loss {decimals(each['log_loss'])}"
    best = each.get("best_baseline")
    return f"{text}; less that of {best['name']} {_difference(best)}" if best else text


def _difference(best: Report) -> str:
    return decimals(best["difference"]) + confidence(best["low"], best["high"])


def _not_judged(report: Report) -> Iterator[str]:
    if report["not_judged"]:
        days = ", ".join(f"{each}d" for each in report["not_judged"])
        yield f"not judged, because their outcomes are not known yet: {days}"


def _cancelled(report: Report) -> Iterator[str]:
    """Of who lost the cover: how many had cancelled, and how many were expected to have."""
    each = report.get("cancelled")
    if each:
        yield (
            f"of {count(each['rows'])} who lost the cover {percent(each['rate'])} had cancelled, "
            f"{percent(each['mean_p'])} expected (p_cancelled / p_churn), AUROC "
            f"{decimals(each['auroc'])}; log loss less that of one share for all "
            f"{_difference(each['less_constant'])}"
        )


def curve_section(evaluation: Report) -> list[str]:
    """The card's section: a row for each horizon; no lines without figures."""
    report = evaluation.get("curve", {})
    groups = report.get("groups", {})
    who = judged_group(groups)
    if who is None:
        return []
    gone = groups.get("gone", {}).get("horizons", {})
    rows = [
        (
            days,
            count(each["rows"]),
            percent(each["rate"]),
            percent(each["mean_p"]),
            decimals(each["auroc"]),
            decimals(each["log_loss"], 4),
            _best(each),
            _shares(gone.get(days)),
        )
        for days, each in by_days(groups[who]["horizons"])
    ]
    names = ("within", "rows", "came", "mean p", "AUROC", "log loss", "less best baseline")
    lines = [
        "## When",
        "",
        f"The event is {EVENTS[who]}; the last column is about the return of those who are gone.",
        "",
        *markdown_table((*names, "gone: came, mean p"), rows),
    ]
    scores = groups[who]["integrated_brier"]
    known = f"The history gives an answer up to {report['known_until']} days"
    lines.append(f"- Integrated Brier score: {_brier(scores)}.")
    lines += [f"- {line[0].upper()}{line[1:]}." for line in _cancelled(report)]
    lines.append(f"- {'; '.join([known, *_not_judged(report)])}.")
    return [*lines, ""]


def judged_group(groups: Report) -> str | None:
    """Whom the figures are about first: those who can still be kept, where they are judged."""
    return next((name for name in ("eligible", "covered", "everyone") if name in groups), None)


def _shares(each: Report | None) -> str:
    return f"{percent(each['rate'])}, {percent(each['mean_p'])}" if each else decimals(None)


def _best(each: Report) -> str:
    best = each.get("best_baseline")
    return f"{best['name']}: {_difference(best)}" if best else decimals(None)


def _brier(scores: Mapping[str, float | None]) -> str:
    return ", ".join(f"{name} {decimals(value, 4)}" for name, value in sorted(scores.items()))
