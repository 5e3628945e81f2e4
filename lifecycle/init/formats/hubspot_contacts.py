"""HubSpot contacts: one customer a contact."""

from __future__ import annotations

from lifecycle.init.formats.file_columns import FileColumns
from lifecycle.init.formats.format import Format, FormatTable
from lifecycle.init.formats.person_columns import people_columns
from lifecycle.init.questions import Answers

_STATES = ("Lifecycle Stage", "Lead Status", "Last Activity Date", "Marketing contact status")


def _read(columns: FileColumns, answers: Answers) -> tuple[FormatTable, ...]:
    people = people_columns(columns, ("Email", "e-mail"), ("Record ID", "HubSpot's own id"))
    states = [column for name in _STATES if (column := columns.find(name))]
    note = f"{', '.join(states)} are left out: they are overwritten, so they know what came later."
    return (
        FormatTable(
            table="customers",
            people=people,
            columns={
                "acquired_at": columns.instant("Create Date", required=False),
                **columns.optional(
                    region="Country/Region|Country",
                    channel="Original Source|Original Traffic Source",
                ),
            },
            notes=(note,) if states else (),
        ),
    )


FORMAT = Format(
    name="HubSpot contacts",
    source="contact exports in public repositories (Record ID, First Name, Last Name, Email, Lead "
    "Status, Create Date, Lifecycle Stage); seen 2026-11",
    headers=frozenset(
        {
            "Record ID",
            "Email",
            "First Name",
            "Create Date",
            "Lead Status|Lifecycle Stage|Contact owner|Marketing contact status",
        }
    ),
    read=_read,
    reads="One customer a contact, acquired at Create Date, with country and original source.",
    leaves="Lifecycle stage, lead status, last activity and the like (overwritten), names, owners.",
    export="CRM → Contacts → Export, all properties.",
)
