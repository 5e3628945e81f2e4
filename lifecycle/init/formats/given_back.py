"""A status that says refunded, in an export without the column of the refunded amount."""

from __future__ import annotations

from dataclasses import dataclass

from lifecycle.init.formats.file_columns import FileColumns
from lifecycle.init.formats.statuses import is_word
from lifecycle.init.questions import Answer, Question
from lifecycle.init.settle import question_key

_WHOLE, _PART = "refunded", "partially refunded"


@dataclass(frozen=True)
class GivenBack:
    """as_orders: whether the rows are purchases, each with its refund. notes: for the user."""

    as_orders: bool
    notes: tuple[str, ...]


def ask_given_back(columns: FileColumns, status: str, word: str) -> GivenBack | None:
    """Ask what the refunded orders are; None where no row is one.

    word: SQL of the status. Orders that were given back in part are counted in a note.
    """
    rows, parts = columns.count(is_word(word, _WHOLE)), columns.count(is_word(word, _PART))
    notes = []
    if parts:
        notes.append(
            f"CHECK: {columns.name(status)} says of {parts:,} rows that a part was given back, and "
            "no column has that amount: they are purchases of their whole amount. Export the "
            "column Refunded Amount too."
        )
    if not rows:
        return GivenBack(False, tuple(notes)) if notes else None
    question = Question(
        question_key(columns.source, f"{columns.name(status)} refunds"),
        f"{columns.name(status)} of {columns.source.label} says of {rows:,} rows that they were "
        "given back, and no column has the amount.",
        (
            Answer("orders", f"{rows:,} purchases, each with its refund"),
            Answer("refunds", f"{rows:,} refunds of other purchases"),
        ),
    )
    answer = columns.answers.ask(question)
    notes.append(columns.answers.check_note(question))
    return GivenBack(answer == "orders", tuple(notes))
