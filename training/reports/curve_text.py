"""The curve's figures in the terminal text of a training and in the card of its release."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from features.core.language import join_words, mark, say, term
from training.formats import confidence, count, decimals, percent
from training.reports.markdown import markdown_table, sentence

Report = Mapping[str, Any]
Each = TypeVar("Each")
EVENTS = {
    "everyone": mark("activity, everyone"),
    "eligible": mark("activity, eligible"),
    "covered": mark("cover lost, of those covered"),
    "gone": mark("return, of those gone"),
}


def curve_lines(evaluation: Report) -> list[str]:
    """Lines for a terminal: each horizon, of eligible customers or of those with cover."""
    report = evaluation.get("curve", {})
    groups = report.get("groups", {})
    who = judged_group(groups)
    if who is None:
        return []
    lines = ["", say("  when ({event})", event=say(EVENTS[who]))]
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
    text = say(
        "{rate} came, mean p {mean_p}",
        rate=percent(each["rate"]),
        mean_p=decimals(each["mean_p"]),
    )
    if each["auroc"] is not None:
        text += say(", AUROC {auroc}", auroc=decimals(each["auroc"]))
    text += say(", log loss {loss}", loss=decimals(each["log_loss"]))
    best = each.get("best_baseline")
    if not best:
        return text
    difference = _difference(best)
    return text + say(
        "; less that of {name} {difference}", name=term(best["name"]), difference=difference
    )


def _difference(best: Report) -> str:
    return decimals(best["difference"]) + confidence(best["low"], best["high"])


def _not_judged(report: Report) -> Iterator[str]:
    if report["not_judged"]:
        days = join_words(f"{each}d" for each in report["not_judged"])
        yield say("not judged, because their outcomes are not known yet: {days}", days=days)


def _cancelled(report: Report) -> Iterator[str]:
    """Of who lost the cover: how many had cancelled, and how many were expected to have."""
    each = report.get("cancelled")
    if each:
        yield say(
            "of {rows} who lost the cover {rate} had cancelled, {expected} expected (p_cancelled / "
            "p_churn), AUROC {auroc}; log loss less that of one share for all {difference}",
            rows=count(each["rows"]),
            rate=percent(each["rate"]),
            expected=percent(each["mean_p"]),
            auroc=decimals(each["auroc"]),
            difference=_difference(each["less_constant"]),
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
    names = (
        say("within"),
        say("rows"),
        say("came"),
        say("mean p"),
        "AUROC",
        say("log loss"),
        say("less best baseline"),
        say("gone: came, mean p"),
    )
    lines = [
        say("## When"),
        "",
        say(
            "The event is {event}; the last column is about the return of those who are gone.",
            event=say(EVENTS[who]),
        ),
        "",
        *markdown_table(names, rows),
    ]
    scores = groups[who]["integrated_brier"]
    known = say("The history gives an answer up to {days} days", days=report["known_until"])
    lines.append(say("- Integrated Brier score: {scores}.", scores=_brier(scores)))
    lines += [f"- {sentence(line)}" for line in _cancelled(report)]
    last = say("; ").join([known, *_not_judged(report)])
    lines.append(f"- {sentence(last)}")
    return [*lines, ""]


def judged_group(groups: Report) -> str | None:
    """Whom the figures are about first: those who can still be kept, where they are judged."""
    return next((name for name in ("eligible", "covered", "everyone") if name in groups), None)


def _shares(each: Report | None) -> str:
    return f"{percent(each['rate'])}, {percent(each['mean_p'])}" if each else decimals(None)


def _best(each: Report) -> str:
    best = each.get("best_baseline")
    return (
        say("{name}: {figures}", name=term(best["name"]), figures=_difference(best))
        if best
        else decimals(None)
    )


def _brier(scores: Mapping[str, float | None]) -> str:
    return join_words(
        f"{term(name)} {decimals(value, 4)}" for name, value in sorted(scores.items())
    )
