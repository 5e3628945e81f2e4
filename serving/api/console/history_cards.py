"""The cards of a customer's history: activity, details, complaints and the timeline."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from features.core.instants import DAY_US
from features.core.language import number, say
from serving.api.console.cards import Card, Subject, TableView, Text
from serving.api.console.events import NEWEST, Complaint, build_timeline, list_complaints
from serving.api.history_rows import has_values, read_state
from serving.api.schemas import rfc3339
from serving.drawing.html import isolated


def history_cards(subject: Subject) -> list[Card]:
    """The cards before the timeline that have something to say."""
    cards = (_activity_card(subject), _complaints_card(subject), _details_card(subject))
    return [card for card in cards if card is not None]


def _activity_card(subject: Subject) -> Card:
    title, state = say("Activity"), read_state(subject.run, subject.customer)
    if not state:
        return Card("activity", title, [say("No activity yet.")])
    write = subject.write
    facts: list[tuple[str, Text]] = [(say("days with activity"), number(state["n"]))]
    if state["last_at"] is not None:
        silent = (subject.run.as_of - state["last_at"]) // DAY_US
        facts += [
            (say("first"), write.date(state["first_at"])),
            (say("last"), write.date(state["last_at"])),
            (say("silent for"), say("{n} days", n=number(silent))),
        ]
    if state["overdue_state"] is not None:
        gaps = say("{n} usual gaps", n=number(state["overdue_state"], 1))
        facts.append((say("that is"), gaps))
    return Card("activity", title, facts=facts)


def _complaints_card(subject: Subject) -> Card | None:
    feedback = subject.rows.get("feedback")
    if feedback is None:
        return None
    title, complaints = say("Complaints"), list_complaints(feedback)
    if not complaints:
        return Card("complaints", title, [say("None is known.")])
    is_open = sum(each.resolved_at is None for each in complaints)
    text = say(
        "{open} open, {resolved} resolved.",
        open=number(is_open),
        resolved=number(len(complaints) - is_open),
    )
    head = [say("date"), say("topic"), say("item"), say("state")]
    rows = [_complaint_row(subject, each) for each in complaints[:NEWEST]]
    texts = [text]
    if len(complaints) > NEWEST:
        texts.append(say("The first {n} of them are listed, open ones before.", n=number(NEWEST)))
    return Card("complaints", title, texts, table=TableView(head, rows))


def _complaint_row(subject: Subject, complaint: Complaint) -> Sequence[Text]:
    if complaint.resolved_at is None:
        days = number((subject.run.as_of - complaint.at) // DAY_US)
        state = say("open for {n} days", n=days)
    else:
        state = say("resolved on {day}", day=subject.write.date(complaint.resolved_at))
    texts = [isolated(text) if text else "–" for text in (complaint.topic, complaint.item)]
    return [_time(subject, complaint.at), *texts, state]


def _details_card(subject: Subject) -> Card | None:
    """The current row of `customers`; consent where anybody's is known."""
    customers = subject.rows.get("customers")
    if customers is None:
        return None
    versions = customers.to_pylist()
    facts: list[tuple[str, Text]] = []
    current = max(versions, key=lambda row: row["valid_from"] or -1) if versions else None
    acquired = None if current is None else current["acquired_at"]
    if current is not None:
        names = (say("channel"), "channel"), (say("segment"), "segment"), (say("region"), "region")
        facts = [(label, isolated(current[name])) for label, name in names if current[name]]
    if acquired is not None and acquired < subject.run.as_of:
        facts.insert(0, (say("customer since"), subject.write.date(acquired)))
    if has_values(subject.run, "customers", "consent"):
        flag = None if current is None else subject.write.flag(current["consent"])
        facts.append((say("consent"), flag or say("not known")))
    return Card("details", say("Details"), facts=facts) if facts else None


def timeline_card(subject: Subject) -> Card:
    """The newest events of all tables."""
    title = say("Timeline")
    timeline = build_timeline(subject.rows, subject.run.as_of, subject.write)
    if not timeline.events:
        return Card("timeline", title, [say("Nothing is known.")], is_wide=True)
    text = say(
        "The newest {n} of {total} events, as known before {moment} ({zone}).",
        n=number(len(timeline.events)),
        total=number(timeline.total),
        moment=subject.write.moment(subject.run.as_of),
        zone=subject.write.zone,
    )
    moments = [_time(subject, event.at) for event in timeline.events]
    events = list(zip(moments, timeline.events, strict=True))
    return Card("timeline", title, [text], events=events, is_wide=True)


def _time(subject: Subject, at: int) -> Markup:
    # Both are ours: digits and names of months.
    return Markup(f'<time datetime="{rfc3339(at)}">{subject.write.moment(at)}</time>')
