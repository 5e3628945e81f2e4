"""Delighted: surveys that were sent, with the answers of those who gave one; and API responses."""

from __future__ import annotations

from lifecycle.init.cells import Cell
from lifecycle.init.formats.file_columns import FileColumns
from lifecycle.init.formats.format import Format, FormatTable
from lifecycle.init.formats.person_columns import people_columns
from lifecycle.init.questions import Answers


def _read_export(columns: FileColumns, answers: Answers) -> tuple[FormatTable, ...]:
    people = people_columns(
        columns, ("Person Email|Email", "e-mail"), ("Person ID", "Delighted's own id")
    )
    answered = columns.count(f"NOT ({columns.is_blank('Score')})")
    return (
        FormatTable(
            table="feedback",
            people=people,
            columns={
                "occurred_at": columns.instant("Sent At"),
                "kind": Cell("", "'nps'"),
                "score": columns.cell("Score"),
                "answered_at": columns.instant("Response At", required=False),
            },
            notes=(
                f"surveys: {columns.source.rows:,} sent, {answered:,} answered; scores are nps, "
                "0 to 10.",
            ),
        ),
    )


def _read_responses(columns: FileColumns, answers: Answers) -> tuple[FormatTable, ...]:
    type_ = columns.lower("survey_type")
    at = columns.instant("created_at", utc=True)
    people = people_columns(columns, ("person_email|email", "e-mail"), ("person", "person"))
    return (
        FormatTable(
            table="feedback",
            people=people,
            columns={
                "occurred_at": at,
                "kind": Cell(columns.name("survey_type"), type_),
                "score": columns.cell("score"),
                "answered_at": at,
            },
            notes=("when a survey was sent is not in a response: it counts from its answer on.",),
        ),
    )


EXPORT = Format(
    name="Delighted surveys",
    source="the header of an export (no page of the vendor lists its columns); seen 2026-11",
    headers=frozenset({"Person ID", "Person Email", "Sent At", "Response At", "Score"}),
    read=_read_export,
    reads="Surveys from their sending on, with score and time of the answer.",
    leaves="Comments, segments, tags.",
    export="Surveys → Export, sent and answered.",
)
RESPONSES = Format(
    name="Delighted responses (API)",
    source="delightedapp.com/docs/api, Listing survey responses; seen 2026-11",
    headers=frozenset({"id", "person", "survey_type", "score", "created_at", "permalink"}),
    read=_read_responses,
    reads="Answers: nps and csat by survey_type.",
    leaves="When a survey was sent (not in a response), comments, notes, tags.",
    export="GET /v1/survey_responses.json?expand[]=person, all pages.",
)
