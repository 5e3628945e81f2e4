"""Freshdesk tickets: one complaint a ticket."""

from __future__ import annotations

from lifecycle.init.formats.file_columns import FileColumns
from lifecycle.init.formats.format import Format, FormatTable
from lifecycle.init.formats.person_columns import people_columns
from lifecycle.init.formats.tickets import complaint_table
from lifecycle.init.questions import Answers


def _read(columns: FileColumns, answers: Answers) -> tuple[FormatTable, ...]:
    people = people_columns(
        columns,
        ("Unique external ID", "external id"),
        ("Email|Requester Email|Contact Email", "e-mail"),
        ("Contact ID", "Freshdesk's own id"),
    )
    solved = "Resolved time|Closed time"
    return (complaint_table(columns, people, created="Created time", solved=solved, topic="Type"),)


FORMAT = Format(
    name="Freshdesk tickets",
    source="the ticket export in public repositories (header from Ticket ID to Contact ID); "
    "seen 2026-11",
    headers=frozenset(
        {
            "Ticket ID",
            "Created time",
            "Resolved time",
            "Contact ID|Email|Requester Email|Contact Email",
            "Resolution status|First response status|Customer interactions",
        }
    ),
    read=_read,
    reads="One complaint a ticket, resolved at its resolved time; its type as the topic.",
    leaves="Survey results (no page lists their words), response times, agents.",
    export="Tickets → Export, all fields, with the contact's e-mail or id.",
)
