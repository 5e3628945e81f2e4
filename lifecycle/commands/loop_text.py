"""The loop of campaigns in sentences: a line for each link, and what to type where it is broken."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from features.core.language import mark, number, say
from lifecycle.commands.loop import BROKEN, DONE, OPEN, Link, Loop

Facts = Mapping[str, Any]
_SIGNS = {DONE: "✓", OPEN: "…", BROKEN: "✗"}
_VERDICTS = {
    "effect": mark("it kept customers"),
    "harm": mark("it lost customers"),
    "no effect": mark("it changed nothing that matters"),
    "not enough data": mark("not enough data to tell"),
}


def loop_text(loops: Sequence[Loop]) -> str:
    """A block for each campaign, and how many links are broken."""
    lines: list[str] = []
    for loop in loops:
        head = say("campaign {name}", name=loop.campaign)
        if loop.decided:
            head = say("campaign {name}, decided on {day}", name=loop.campaign, day=loop.decided)
        lines += [head, *(f"  {_SIGNS[each.state]} {_sentence(each)}" for each in loop.links), ""]
    broken = sum(each.state == BROKEN for loop in loops for each in loop.links)
    if not broken:
        return "\n".join([*lines, say("no link is broken")])
    return "\n".join([*lines, say("broken links (✗): {n}", n=number(broken))])


def _sentence(link: Link) -> str:
    return _SENTENCES[link.name](link.state, link.facts)


def _scores(state: str, facts: Facts) -> str:
    if state == DONE:
        return say("scores: run {run} of {day}", run=facts["run"], day=facts["day"])
    return say(
        "scores: none of {day} by this configuration is left: whom the actions move cannot be "
        "learned. Type: lifecycle backfill --from {day} --to {day}",
        day=facts["day"],
    )


def _list(state: str, facts: Facts) -> str:
    if "why" in facts:
        return say("list: {why}", why=facts["why"])
    text = say(
        "list: {n} to contact, {m} held out",
        n=number(facts["to_contact"]),
        m=number(facts["held_out"]),
    )
    if state == DONE:
        return text
    return text + say(": without a hold-out no effect is ever known")


def _contacts(state: str, facts: Facts) -> str:
    contacted = number(facts["contacted"])
    if "to_contact" not in facts:
        return say("contacts: {n} in the table treatments", n=contacted)
    if state == OPEN:
        return say(
            "contacts: waits for data after the decision; the data end on {day}",
            day=facts["data_until"],
        )
    if not facts["contacted"]:
        return say(
            "contacts: the table treatments names none of them: nobody knows who was reached. Add "
            "the rows of treatments.csv that `lifecycle decide` wrote, with what happened"
        )
    text = say(
        "contacts: {n} of {all} in the table treatments",
        n=contacted,
        all=number(facts["to_contact"]),
    )
    if state == DONE:
        return text
    return text + say(
        "; {n} of the held out were contacted, which hides a part of the effect",
        n=number(facts["contacted_of_held_out"]),
    )


def _outcomes(state: str, facts: Facts) -> str:
    if state == DONE:
        return say("outcomes: complete since {day}", day=facts["complete_on"])
    return say(
        "outcomes: complete on {day}: {n} days of data more",
        day=facts["complete_on"],
        n=number(facts["days_more"]),
    )


def _effect(state: str, facts: Facts) -> str:
    if state == BROKEN:
        return say("effect: cannot be told: {why}", why=facts["why"])
    if "verdict" not in facts:
        return say("effect: waits for the outcomes")
    text = say(
        "effect: {verdict} ({points} points)",
        verdict=say(_VERDICTS[facts["verdict"]]),
        points=number(100 * facts["difference"], 1),
    )
    if facts["customers_needed_more"] and state == OPEN:
        text += say("; {n} customers more would do", n=number(facts["customers_needed_more"]))
    return text + say("; `decide` sends by it") if facts["used_by_decide"] else text


def _release(state: str, facts: Facts) -> str:
    if state == OPEN:
        return say("next release: waits for the outcomes")
    if facts["served"] is None:
        return say("next release: none is served. Type: lifecycle run")
    if state == DONE:
        return say(
            "next release: {name} has learned outcomes until {day}",
            name=facts["served"],
            day=facts["outcomes_until"],
        )
    return say(
        "next release: {name} has learned outcomes until {day} alone. Type: lifecycle run",
        name=facts["served"],
        day=facts["outcomes_until"],
    )


_SENTENCES: Mapping[str, Callable[[str, Facts], str]] = {
    "scores": _scores,
    "list": _list,
    "contacts": _contacts,
    "outcomes": _outcomes,
    "effect": _effect,
    "release": _release,
}
