"""A monitor's report in plain sentences: the verdict first, then what it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from features.core.instants import DAY_US
from features.core.language import day, join_words, mark, number, percent, say, term
from features.recipes.stages import STAGES
from training.monitor.kinds import (
    CALM,
    CANNOT_TELL,
    MOVED,
    NOBODY,
    NOTHING_YET,
    TOO_FEW_CUSTOMERS,
    TOO_FEW_DATES,
)
from training.monitor.windows import DELAYS_US

SHOWN = 5
Report = Mapping[str, Any]
_KINDS = {
    "features": mark("feature columns"),
    "scores": mark("scores"),
    "stages": mark("stages"),
    "newcomers": mark("new customers"),
    "preferences": mark("categories and channels"),
    "values": mark("values of the tables"),
    "feeds": mark("delays of the feeds"),
    "outcomes": mark("outcomes"),
    "silence": mark("silent tables"),
}


def monitor_text(report: Report) -> str:
    """The lines of `monitor`'s report."""
    lines = [_verdict(report)]
    lines.append(
        say(
            "  run of {day} beside the training dates of release {release}",
            day=day(report["as_of"]),
            release=report["release"],
        )
    )
    for kind, each in report["kinds"].items():
        lines += _kind_lines(kind, each)
    lines += _outcome_lines(report["outcomes"])
    lines += _age_lines(report["ages"])
    lines += _history_lines(report)
    return "\n".join(lines)


def _verdict(report: Report) -> str:
    moved = report["moved"]
    if report["verdict"] == MOVED:
        names = join_words(say(_KINDS[name]) for name in moved)
        if len(moved) == 1:
            return say("1 thing moved beyond chance: {names}", names=names)
        return say("{n} things moved beyond chance: {names}", n=number(len(moved)), names=names)
    if report["verdict"] == CALM:
        return say("nothing moved beyond chance")
    features = report["kinds"]["features"]
    if features["why"] == TOO_FEW_CUSTOMERS:
        return say(
            "cannot tell: {n} eligible customers are too few to see a change smaller than "
            "{visible} of them",
            n=number(features["customers"]),
            visible=percent(features["visible"], 0),
        )
    return say("cannot tell: {why}", why=_why(features["why"] or TOO_FEW_CUSTOMERS))


def _why(why: str) -> str:
    return {
        TOO_FEW_DATES: say("too few training dates to know how much calm months differ"),
        TOO_FEW_CUSTOMERS: say("too few customers"),
        NOBODY: say("nothing to compare"),
    }[why]


def _kind_lines(kind: str, each: Report) -> list[str]:
    name = say(_KINDS[kind])
    if each["verdict"] == CALM:
        return [
            say(
                "  {kind}: nothing moved; a change of {visible} would be seen in 8 of 10 months",
                kind=name,
                visible=percent(each["visible"], 0),
            )
        ]
    if each["verdict"] == CANNOT_TELL and each["visible"] is not None:
        return [
            say(
                "  {kind}: cannot tell; only a change of {visible} or more would be seen",
                kind=name,
                visible=percent(each["visible"], 0),
            )
        ]
    if each["verdict"] == CANNOT_TELL:
        return [say("  {kind}: cannot tell, {why}", kind=name, why=_why(each["why"]))]
    changes = each["changes"]
    lines = [
        say(
            "  {kind}: {n} of {tests} moved",
            kind=name,
            n=number(len(changes)),
            tests=number(each["tests"]),
        )
    ]
    lines += [f"    {_change(kind, change)}" for change in changes[:SHOWN]]
    if len(changes) > SHOWN:
        lines.append(say("    and {n} more; --json has all", n=number(len(changes) - SHOWN)))
    return lines


def _change(kind: str, change: Report) -> str:
    """What moved most of one series."""
    shares = {"usual": percent(change["usual"]), "now": percent(change["now"])}
    if kind == "preferences":
        return say(
            "{name}: used by {now} of the customers with a row (usually {usual})",
            name=change["name"],
            now=percent(1 - change["now"] if change["bin"] else change["now"]),
            usual=percent(1 - change["usual"] if change["bin"] else change["usual"]),
        )
    if kind == "newcomers":
        flip = change["bin"] == 0
        return say(
            "{now} of the eligible customers are new (usually {usual})",
            now=percent(1 - change["now"] if flip else change["now"]),
            usual=percent(1 - change["usual"] if flip else change["usual"]),
        )
    if kind == "stages":
        stage = term(STAGES[change["bin"]])
        return say("{name}: {now} of the customers (usually {usual})", name=stage, **shares)
    if kind == "feeds":
        return say(
            "{name}: {now} of the rows are recorded {delay} after their event (usually {usual})",
            name=change["name"],
            delay=_delay(change["bin"]),
            **shares,
        )
    return say(
        "{name}: {effect} of the customers are elsewhere than usual",
        name=change["name"],
        effect=percent(change["effect"]),
    )


def _delay(place: int) -> str:
    """The bin of a delay in words."""
    if place == 0:
        return say("within a minute")
    if place >= len(DELAYS_US):
        return say("more than {days} days", days=number(DELAYS_US[-1] / DAY_US))
    low, high = (DELAYS_US[at] / DAY_US for at in (place - 1, place))
    return say("{low} to {high} days", low=format(low, ".3g"), high=format(high, ".3g"))


def _outcome_lines(line: Report) -> list[str]:
    if line["verdict"] == NOTHING_YET:
        return [say("  outcomes: of no run are they complete yet")]
    lines = [
        say(
            "  outcomes of the run of {day}: {left} of {n} eligible customers left, {expected} "
            "were expected ({low} to {high})",
            day=day(line["as_of_text"]),
            left=number(line["left"]),
            n=number(line["customers"]),
            expected=number(line["expected"]),
            low=number(line["expected_low"]),
            high=number(line["expected_high"]),
        )
    ]
    if line["auroc"] is not None:
        lines.append(
            say(
                "    AUROC {auroc} ({low} to {high}), log loss {loss} ({rate} by the rate alone), "
                "lift of the riskiest tenth {lift}",
                auroc=number(line["auroc"], 3),
                low=number(line["auroc_low"], 3),
                high=number(line["auroc_high"], 3),
                loss=number(line["log_loss"], 4),
                rate=number(line["log_loss_of_rate"], 4),
                lift=number(line["lift"], 2),
            )
        )
    elif line["customers"]:
        lines.append(say("    all of them had the same outcome, so there is no AUROC"))
    if line["verdict"] == MOVED:
        lines.append(say("    that is further off than the training dates were"))
    elif line["verdict"] == CANNOT_TELL:
        lines.append(say("    too few customers to tell whether the rate has changed"))
    return lines


def _age_lines(ages: Report) -> list[str]:
    lines = [
        say(
            "  age: the data end {day}, {days} days ago; the run is {run} days old; the newest "
            "outcome that the model learned is {learned} days older than the run",
            day=day(ages["data_until"]),
            days=number(ages["data_days"]),
            run=number(ages["run_days"]),
            learned=number(ages["learned_days"]),
        )
    ]
    if ages["data_days"] > ages["most_days"]:
        lines.append(
            say(
                "    the data are older than [contract] max_staleness_days ({days})",
                days=number(ages["most_days"]),
            )
        )
    lines += [
        say(
            "  {table} had been silent for {days} days at the run; {allowed} are usual at most",
            table=name,
            days=number(each["quiet_days"], 1),
            allowed=number(each["allowed_days"], 1),
        )
        for name, each in ages["tables"].items()
        if each["stale"]
    ]
    return lines


def _history_lines(report: Report) -> list[str]:
    lines = []
    if report["realised"]:
        lines.append(
            say(
                "  {n} runs were judged by their outcomes for the first time",
                n=number(len(report["realised"])),
            )
        )
    if report["picture"]:
        lines.append(say("  history  {path}", path=report["history"]))
        lines.append(say("  picture  {path}", path=report["picture"]))
    return lines
