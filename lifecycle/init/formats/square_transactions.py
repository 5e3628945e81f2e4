"""Square transactions: one row a payment or refund, its time in three columns."""

from __future__ import annotations

from lifecycle.init.cells import Cell
from lifecycle.init.formats.file_columns import FileColumns
from lifecycle.init.formats.format import Format, FormatTable
from lifecycle.init.formats.person_columns import people_columns
from lifecycle.init.formats.statuses import Statuses, kind_sql, status_word, unknown_notes
from lifecycle.init.questions import Answers

_EVENT = "Event Type"
_EVENTS = Statuses(purchase="payment", refund="refund")
_PEOPLE = (("Customer ID", "customer id"), ("Customer Reference ID", "reference id"))


def _read(columns: FileColumns, answers: Answers) -> tuple[FormatTable, ...]:
    people = people_columns(columns, *_PEOPLE)
    event = status_word(columns, _EVENT)
    anonymous = columns.count(f"coalesce({people[0].sql}, '') = ''")
    notes = [
        f"amount is {columns.name('Total Collected')}: with tax and tip.",
        f"{anonymous:,} rows name no customer; the contract rejects and counts them.",
    ]
    return (
        FormatTable(
            table="transactions",
            people=people,
            columns={
                "transaction_id": columns.cell("Payment ID|Transaction ID"),
                "occurred_at": columns.day_and_clock("Date", "Time", "Time Zone"),
                "kind": Cell(columns.name(_EVENT), kind_sql(event, _EVENTS)),
                "amount": columns.money("Total Collected"),
                **columns.optional(channel="Source", method="Card Entry Methods"),
            },
            notes=(*notes[: 1 + bool(anonymous)], *unknown_notes(columns, event, _EVENTS)),
        ),
    )


FORMAT = Format(
    name="Square transactions",
    source="the transactions export in public repositories (headers of 36 to 55 columns); "
    "seen 2026-11",
    headers=frozenset(
        {"Date", "Time", "Time Zone", "Total Collected", "Transaction ID", _EVENT, "Customer ID"}
    ),
    read=_read,
    reads="One transaction a payment or refund, with tax and tip, at the time of its zone.",
    leaves="Rows without a customer are rejected and counted; fees, deposits, staff, items.",
    export="Transactions → Export → Transactions CSV.",
)
