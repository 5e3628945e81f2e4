"""The timeline of a customer: rows of every table as events, the newest first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from features.core.contract import OPEN_END_US
from features.core.language import mark, say, term
from serving.api.console.writing import Writer

NEWEST = 200
Details = list[tuple[str, str]]

_TRANSACTIONS = {
    "purchase": mark("Purchase"),
    "refund": mark("Refund"),
    "payment_failed": mark("Payment failed"),
}
_FEEDBACK = {
    "csat": mark("CSAT survey"),
    "nps": mark("NPS survey"),
    "review": mark("Review"),
    "complaint": mark("Complaint"),
}


@dataclass(frozen=True)
class Event:
    """Something that happened at an instant (µs UTC): what, and details as (label, text)."""

    at: int
    what: str
    details: Details


@dataclass(frozen=True)
class Timeline:
    """The newest events, and how many there are in all."""

    events: list[Event]
    total: int


def build_timeline(rows: Mapping[str, pa.Table], as_of: int, write: Writer) -> Timeline:
    """The newest events before `as_of` (µs UTC) of a customer's rows by table.

    The rows of a table come newest first. Nothing at or after as_of is an event.
    """
    events: list[Event] = []
    hidden = 0
    for name, make_events in _TABLES.items():
        table = rows.get(name)
        if table is None:
            continue
        if name in _ONE_EVENT_A_ROW:
            hidden += max(table.num_rows - NEWEST, 0)
            table = table.slice(0, NEWEST)
        for row in table.to_pylist():
            events += [event for event in make_events(row, write) if event.at < as_of]
    events.sort(key=lambda event: -event.at)
    return Timeline(events[:NEWEST], len(events) + hidden)


def _transaction(row: Mapping[str, Any], write: Writer) -> Iterator[Event]:
    discount = row["discount"]
    yield Event(
        row["occurred_at"],
        say(_TRANSACTIONS.get(row["kind"], row["kind"])),
        _details(
            (say("amount"), write.money(row["amount"])),
            (say("pieces"), write.amount(row["quantity"])),
            (say("category"), row["category"]),
            (say("discount"), write.money(discount) if discount else None),
            (say("channel"), row["channel"]),
            (say("method"), row["method"]),
            (say("number"), row["transaction_id"]),
        ),
    )


def _interaction(row: Mapping[str, Any], write: Writer) -> Iterator[Event]:
    yield Event(
        row["occurred_at"],
        term(row["kind"]),
        _details(
            (say("channel"), row["channel"]),
            (say("minutes or pages"), write.amount(row["quantity"])),
        ),
    )


def _feedback(row: Mapping[str, Any], write: Writer) -> Iterator[Event]:
    kind = say(_FEEDBACK.get(row["kind"], row["kind"]))
    about = _details((say("topic"), row["topic"]), (say("item"), row["item"]))
    is_complaint = row["kind"] == "complaint"
    what = kind if is_complaint else say("{survey} sent", survey=kind)
    answered, resolved = row["answered_at"], row["resolved_at"]
    score = _details((say("score"), write.amount(row["score"])))
    if answered == row["occurred_at"]:
        yield Event(answered, kind, score + about)
    else:
        yield Event(row["occurred_at"], what, about)
        if answered is not None:
            yield Event(answered, say("{survey} answered", survey=kind), score + about)
    if resolved is not None:
        yield Event(resolved, say("Complaint resolved"), about)


def _contract(row: Mapping[str, Any], write: Writer) -> Iterator[Event]:
    start, end, agreed = row["starts_at"], row["ends_at"], row["recorded_at"]
    ends = say("open") if end is None or end >= OPEN_END_US else write.date(end)
    terms = _details(
        (say("plan"), row["plan"]),
        (say("price"), None if row["price"] is None else write.money(row["price"])),
        (say("from"), write.date(start)),
        (say("to"), ends),
    )
    if agreed is not None and agreed < start:
        yield Event(agreed, say("Contract agreed"), terms)
    yield Event(start, say("Contract begins"), terms)
    if row["cancelled_at"] is not None:
        yield Event(row["cancelled_at"], say("Contract cancelled"), terms)
    if end is not None:
        yield Event(end, say("Contract ends"), terms)


def _attributes(row: Mapping[str, Any], write: Writer) -> Iterator[Event]:
    if row["acquired_at"] is not None:
        channel = _details((say("channel"), row["channel"]))
        yield Event(row["acquired_at"], say("Acquired as a customer"), channel)
    if row["valid_from"] is not None:
        state = _details(
            (say("segment"), row["segment"]),
            (say("region"), row["region"]),
            (say("consent"), write.flag(row["consent"])),
        )
        yield Event(row["valid_from"], say("Customer details changed"), state)


_TABLES = {
    "transactions": _transaction,
    "interactions": _interaction,
    "feedback": _feedback,
    "contracts": _contract,
    "customers": _attributes,
}
_ONE_EVENT_A_ROW = ("transactions", "interactions")


@dataclass(frozen=True)
class Complaint:
    """A complaint: when it came and was resolved (µs UTC; None: it is open), and about what."""

    at: int
    resolved_at: int | None
    topic: str | None
    item: str | None


def list_complaints(feedback: pa.Table) -> list[Complaint]:
    """The complaints of a customer's feedback, the open ones first, then the newest first."""
    complaints = [
        Complaint(row["occurred_at"], row["resolved_at"], row["topic"], row["item"])
        for row in feedback.to_pylist()
        if row["kind"] == "complaint"
    ]
    return sorted(complaints, key=lambda each: (each.resolved_at is not None, -each.at))


def _details(*pairs: tuple[str, str | None]) -> Details:
    return [(label, text) for label, text in pairs if text]
