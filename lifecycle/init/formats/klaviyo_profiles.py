"""Klaviyo profiles: one customer a profile."""

from __future__ import annotations

from lifecycle.init.cells import Cell
from lifecycle.init.formats.file_columns import FileColumns
from lifecycle.init.formats.format import Format, FormatTable
from lifecycle.init.formats.person_columns import people_columns
from lifecycle.init.questions import Answers

_CONSENT = "Email Marketing Consent"
_CREATED = "Profile Created On|Date Added"


def _read(columns: FileColumns, answers: Answers) -> tuple[FormatTable, ...]:
    people = people_columns(columns, ("Email", "e-mail"), ("Klaviyo ID", "Klaviyo's own id"))
    cells = {
        "acquired_at": columns.instant(_CREATED, required=False),
        **columns.optional(region="Country"),
    }
    if column := columns.find(_CONSENT):
        # SUBSCRIBED, NEVER_SUBSCRIBED, UNSUBSCRIBED; anything else is unknown.
        word = columns.lower(_CONSENT)
        yes = f"{word} IN ('subscribed', 'true', 'yes')"
        no = f"{word} IN ('unsubscribed', 'never_subscribed', 'false', 'no')"
        cells["consent"] = Cell(column, f"CASE WHEN {yes} THEN true WHEN {no} THEN false END")
    return (
        FormatTable(
            table="customers",
            people=people,
            columns=cells,
            notes=(
                "Last Active, Last Open, Last Click, order counts, lifetime values and predictions "
                "are left out: they are of the day of the export.",
            ),
        ),
    )


FORMAT = Format(
    name="Klaviyo profiles",
    source="headers of list exports in public repositories (Email, Klaviyo ID, … Profile Created "
    "On, Date Added); seen 2026-11",
    headers=frozenset({"Email", "Klaviyo ID", _CREATED}),
    read=_read,
    reads="One customer a profile, acquired when it was created, with country and consent.",
    leaves="Whatever is of the day of the export (last active, lifetime value, predictions).",
    export="A segment of all profiles → Manage segment → Export to CSV.",
)
