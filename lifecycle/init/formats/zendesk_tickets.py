"""Zendesk tickets: complaints, and their satisfaction as csat."""

from __future__ import annotations

from lifecycle.init.cells import Cell
from lifecycle.init.formats.file_columns import FileColumns
from lifecycle.init.formats.format import Format, FormatTable, LeftOut, PersonColumn
from lifecycle.init.formats.person_columns import people_columns
from lifecycle.init.formats.tickets import complaint_table
from lifecycle.init.questions import Answers

_SCORE = "Satisfaction Score"
_CREATED, _SOLVED, _UPDATED = "Created at", "Solved at", "Updated at"


def _read(columns: FileColumns, answers: Answers) -> tuple[FormatTable, ...]:
    people = people_columns(
        columns,
        ("Requester external id", "external id"),
        ("Requester email", "e-mail"),
        ("Requester id", "Zendesk's own id"),
    )
    gone = (LeftOut("of deleted tickets", f"{columns.lower('Status')} = 'deleted'"),)
    complaints = complaint_table(
        columns, people, created=_CREATED, solved=_SOLVED, topic="Ticket type", left_out=gone
    )
    if columns.find(_SCORE) is None:
        return (complaints,)
    return complaints, _ratings(columns, people, gone)


def _ratings(
    columns: FileColumns, people: tuple[PersonColumn, ...], gone: tuple[LeftOut, ...]
) -> FormatTable:
    """Good and bad as 5 and 1. When it was rated no column says: by the last update it was."""
    word = columns.lower(_SCORE)
    good, bad = f"starts_with({word}, 'good')", f"starts_with({word}, 'bad')"
    sent, updated = columns.instant(_SOLVED, required=False), columns.instant(_UPDATED)
    offered_at = f"coalesce(nullif(trim(CAST({sent.sql} AS VARCHAR)), ''), "
    offered_at += f"CAST({columns.instant(_CREATED).sql} AS VARCHAR))"
    return FormatTable(
        table="feedback",
        people=people,
        columns={
            "occurred_at": Cell(sent.column, offered_at, sent.clock),
            "kind": Cell("", "'csat'"),
            "score": Cell(columns.name(_SCORE), f"CASE WHEN {good} THEN 5 WHEN {bad} THEN 1 END"),
            "answered_at": Cell(
                updated.column, f"CASE WHEN {good} OR {bad} THEN {updated.sql} END", updated.clock
            ),
        },
        left_out=gone,
        only=f"{good} OR {bad} OR {word} = 'offered'",
        notes=(
            f"{columns.name(_SCORE)} is csat: good 5, bad 1, offered without an answer; sent at "
            f"{columns.name(_SOLVED)}, known from {columns.name(_UPDATED)} on, as no column has "
            "the time of the answer.",
        ),
    )


FORMAT = Format(
    name="Zendesk tickets",
    source="the CSV export of tickets in public repositories (header from Requester to Requester "
    "wait time in minutes); seen 2026-11",
    headers=frozenset(
        {"Requester id", "Requester email|Requester external id", _CREATED, _UPDATED, _SOLVED}
    ),
    read=_read,
    reads="One complaint a ticket, resolved when it was solved; its satisfaction as csat.",
    leaves="Deleted tickets; first reply times (feedback has no column for them), subjects, "
    "agents, tags.",
    export="Admin Center → Reports → Export → CSV, all tickets.",
)
