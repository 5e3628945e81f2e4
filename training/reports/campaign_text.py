"""What campaigns changed in the rows of a training, in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from features.core.language import join_words, mark, number, percent, say

_WHY = {
    "no hold-out": mark("nobody was held out"),
    "few customers": mark("an arm has fewer than 20 customers"),
    "chosen arms": mark("what was known before tells its arms apart, so they were not drawn"),
}


def campaign_lines(evaluation: Mapping[str, Any]) -> list[str]:
    """A line for the campaigns that were drawn, and one for each other; none without campaigns."""
    facts = evaluation.get("campaigns")
    if not facts:
        return []
    return [*_drawn_lines(facts), *_other_lines(facts["not_drawn"])]


def _drawn_lines(facts: Mapping[str, Any]) -> list[str]:
    if not facts["drawn"]:
        return []
    names = join_words(sorted(facts["drawn"]))
    if not facts["replaced"]:
        return [say("campaigns {names}: none of their contacts falls into a window", names=names)]
    rates = {
        "before": percent(facts["rate"] or 0.0),
        "after": percent(facts["rate_without_contacts"] or 0.0),
    }
    if facts["contacted"] == "as_they_are":
        lines = [
            say(
                "campaigns {names}: {n} rows of contacted customers stay as they are: {before} of "
                "the eligible leave; left alone it would be {after} ([training] contacted)",
                names=names,
                n=number(facts["replaced"]),
                **rates,
            )
        ]
    else:
        lines = [
            say(
                "campaigns {names}: {m} rows of held-out customers stand in for {n} of contacted "
                "ones: {after} of the eligible leave; with the contacts it was {before}",
                names=names,
                n=number(facts["replaced"]),
                m=number(facts["stand_ins"]),
                **rates,
            )
        ]
    if facts["without"]:
        lines.append(
            say(
                "  for {n} contacted rows nobody can stand in: they stay as they are",
                n=number(facts["without"]),
            )
        )
    return lines


def _other_lines(not_drawn: Mapping[str, Any]) -> list[str]:
    return [
        say(
            "campaign {name}: its contacts stay in the outcomes, because {why}: the risk of these "
            "customers is that of being contacted",
            name=name,
            why=say(_WHY[each["why"]]),
        )
        for name, each in sorted(not_drawn.items())
    ]
