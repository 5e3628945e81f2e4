"""The card of what a campaign decided for a customer."""

from __future__ import annotations

from datetime import datetime

from markupsafe import Markup

from features.core.instants import instant
from features.core.language import say
from serving.api.console.cards import Card, Subject, Text
from serving.drawing.html import sentence

TABLE = "decision"


def decision_card(subject: Subject) -> Card | None:
    """None where no campaign decided anything that still counts."""
    decision = subject.entry["decision"]
    if decision is None:
        return None
    title = say("What was decided?")
    at = instant(datetime.fromisoformat(decision["decided_at"]), zone="UTC")
    date = subject.write.date(at)
    campaign = decision["campaign"]
    if decision["hold_out"]:
        texts: list[Text] = [
            say("Campaign {name} of {date} holds this customer out.", name=campaign, date=date),
            say("Nobody contacts this customer, so that the effect can be measured."),
        ]
        return Card("decision", title, texts)
    facts: list[tuple[str, Text]] = [
        (say("Campaign"), campaign),
        (say("Decided on"), date),
        (say("Action"), decision["action"]),
        (say("By"), decision["channel"]),
    ]
    profit = Markup('<data value="{!r}" data-table="{}" data-row="0" data-column="{}">{}</data>')
    amount = decision["expected_profit"]
    written = profit.format(amount, TABLE, "expected_profit", subject.write.worth(amount))
    return Card(
        "decision", title, [sentence("Expected profit: {amount}.", amount=written)], facts=facts
    )
