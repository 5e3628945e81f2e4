"""What help desks have in common: a ticket is a complaint, its rating is an answer of its own."""

from __future__ import annotations

from lifecycle.init.cells import Cell
from lifecycle.init.formats.file_columns import FileColumns
from lifecycle.init.formats.format import FormatTable, LeftOut, PersonColumn


def complaint_table(
    columns: FileColumns,
    people: tuple[PersonColumn, ...],
    *,
    created: str,
    solved: str,
    topic: str,
    left_out: tuple[LeftOut, ...] = (),
) -> FormatTable:
    """One complaint a ticket, resolved when the ticket was solved."""
    return FormatTable(
        table="feedback",
        people=people,
        columns={
            "occurred_at": columns.instant(created),
            "kind": Cell("", "'complaint'"),
            "resolved_at": columns.instant(solved, required=False),
            **columns.optional(topic=topic),
        },
        left_out=left_out,
    )
