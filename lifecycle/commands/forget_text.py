"""What `lifecycle forget` took out, what it could not know, and where they still stand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from features.core.language import mark, number, say

PLACES = {
    "runs": mark("runs and their pages"),
    "campaigns": mark("campaigns"),
    "monitoring": mark("monitoring"),
    "predictions": mark("predictions for evaluation"),
    "backtests": mark("backtests"),
    "kept history": mark("the kept history"),
    "elsewhere": mark("tables elsewhere"),
    "databases": mark("databases"),
}


def forget_text(receipt: Mapping[str, Any]) -> str:
    """The receipt in lines; no id stands in it."""
    lines = [
        say("{n} customers would be forgotten; nothing was changed", n=number(receipt["ids"]))
        if receipt["dry_run"]
        else say("{n} customers are forgotten", n=number(receipt["ids"]))
    ]
    lines += _count_lines(receipt)
    lines += [
        say("  {rows} rows of {place}", rows=number(rows), place=say(PLACES[place]))
        for place, rows in receipt["rows"].items()
    ]
    lines += [
        say("  warning: {path} was not read, and may have rows of them", path=path)
        for path in receipt["unreadable"]
    ]
    lines += _release_lines(receipt) + _file_lines(receipt)
    if "receipt" in receipt:
        lines.append(say("  receipt: {path}", path=receipt["receipt"]))
    return "\n".join(lines)


def let_go_text(report: Mapping[str, Any]) -> str:
    """How many are left out no longer, and how many still are."""
    go, stay = number(report["let_go"]), number(report["forgotten"])
    if report["dry_run"]:
        return say(
            "{go} customers are in no table any more and would be let go; {stay} stay forgotten",
            go=go,
            stay=stay,
        )
    return say(
        "{go} customers are in no table any more and are let go; {stay} stay forgotten",
        go=go,
        stay=stay,
    )


def _count_lines(receipt: Mapping[str, Any]) -> list[str]:
    words = {
        "repeated": say("lines of the list repeat an id"),
        "already_forgotten": say(
            "were forgotten before: what was taken out then, also by a command that was killed, is "
            "not counted again"
        ),
        "nowhere": say("are in no file and no table; they are left out if they ever come"),
    }
    return [f"  {number(receipt[key])} {text}" for key, text in words.items() if receipt[key]]


def _release_lines(receipt: Mapping[str, Any]) -> list[str]:
    return [
        say(
            "  release {release} can have learned from {n} of them, and was evaluated on {m}: "
            "models stay as they are; train again",
            release=each["release"],
            n=number(each["may_have_learned_from"]),
            m=number(each["evaluated_on"]),
        )
        for each in receipt["releases"]
        if each["may_have_learned_from"] or each["evaluated_on"]
    ]


def _file_lines(receipt: Mapping[str, Any]) -> list[str]:
    if receipt["files_not_read"]:
        return [
            say(
                "  whether they still stand in your files is not known: {reason}",
                reason=receipt["files_not_read"],
            )
        ]
    return [
        say(
            "  at least {rows} rows of {n} of them still stand in {files} (repeated and rejected "
            "ones are not counted): they are left out when it is read, and yours to delete",
            rows=number(each["rows"]),
            n=number(each["customers"]),
            files=", ".join(each["files"]),
        )
        for each in receipt["still_in_files"].values()
    ]
