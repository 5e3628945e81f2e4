"""The strip on top: may this page be used? How old the data, the scores and the model are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

from markupsafe import Markup, escape

from features.core.language import day, say, term
from serving.drawing.html import sentence
from serving.report.input_tables import STALE
from serving.report.model_tables import OURS
from serving.report.source import Source

State = Literal["good", "warning", "unknown"]
OLD_MODEL_DAYS, OLD_DATA_DAYS = 120, 7
_STATUS = {
    "ok": "it predicts better than simple rules",
    "no_skill": "no better than simple rules: scores are rates",
    "not_enough_data": "too few data: scores are rates",
}


@dataclass(frozen=True)
class Item:
    """One answer of the strip: what it is about, what is so, and whether that is good."""

    label: str
    text: Markup
    state: State

    @property
    def state_text(self) -> str:
        """The state in a word, so that it does not rest on a colour."""
        words = {"good": say("fine"), "warning": say("take care"), "unknown": say("not known")}
        return words[self.state]


def strip(source: Source) -> list[Item]:
    """The items from left to right."""
    return [_data(source), _scores(source), _model(source), _gate(source), _drift()]


def _data(source: Source) -> Item:
    rows, facts = source.tables.rows("freshness"), source.facts
    label = say("Data")
    if not rows:
        return Item(label, source.missing("freshness"), "unknown")
    silent = [row for row in rows if row["state"] == STALE]
    if silent:
        row = silent[0]
        text = sentence(
            "{table} has been silent since {until}: it says nothing later",
            table=row["table"],
            until=source.figure(row, "until", "day"),
        )
        return Item(label, text, "warning")
    known = [row for row in rows if row["until"]]
    if not known:
        return Item(label, sentence("no table has a row"), "warning")
    if facts.drawn_on is not None and days_between(facts.as_of, facts.drawn_on) > OLD_DATA_DAYS:
        text = sentence(
            "this page is of {n} days before it was drawn",
            n=days_between(facts.as_of, facts.drawn_on),
        )
        return Item(label, text, "warning")
    oldest = min(known, key=lambda row: row["until"])
    text = sentence(
        "all tables with dates are complete up to the beginning of {until}",
        until=source.figure(oldest, "until", "day"),
    )
    return Item(label, text, "good")


def _scores(source: Source) -> Item:
    facts, label = source.facts, say("Scores")
    if facts.scores_of is None:
        return Item(
            label,
            sentence(
                "there are none of this day: type lifecycle run (with a release, lifecycle score)"
            ),
            "warning",
        )
    return Item(label, sentence("as of {day}", day=day(facts.scores_of)), "good")


def _model(source: Source) -> Item:
    facts, label = source.facts, say("Model")
    if facts.release is None:
        return Item(label, sentence("no release"), "unknown")
    if facts.status is None:
        text = sentence("the release of the scores cannot be read: lifecycle run")
        return Item(label, text, "warning")
    status = term(_STATUS.get(facts.status, facts.status))
    if facts.status == "ok" and facts.recommended not in (None, OURS):
        rule = term(str(facts.recommended))
        status = say("of eligible customers it predicts no better than {rule}", rule=rule)
    if facts.trained_until is None or facts.model_age_days is None:
        return Item(label, Markup(escape(status)), "unknown")
    text = sentence(
        "{status}; it learned from dates up to {day}, {n} days before the day of this page",
        status=status,
        day=day(facts.trained_until),
        n=facts.model_age_days,
    )
    good = facts.status == "ok" and facts.model_age_days <= OLD_MODEL_DAYS
    good = good and facts.recommended in (None, OURS)
    return Item(label, text, "good" if good else "warning")


def _gate(source: Source) -> Item:
    gate, label = source.facts.gate, say("Release check")
    if gate is None:
        return Item(label, sentence("not judged"), "unknown")
    return Item(label, Markup(escape(term(gate))), "good" if gate == "passes" else "warning")


def days_between(first: str, last: str) -> int:
    """Whole days from one day to another (YYYY-MM-DD, or with a time that does not count)."""
    return (date.fromisoformat(last[:10]) - date.fromisoformat(first[:10])).days


def _drift() -> Item:
    return Item(say("Change since training"), sentence("not measured yet"), "unknown")
