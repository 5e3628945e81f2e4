"""Rows without the id of a customer: guests, whom an e-mail may name."""

from __future__ import annotations

from dataclasses import replace

from lifecycle.init.cells import Cell
from lifecycle.init.draft import Draft, leave_out
from lifecycle.init.money_sql import text_sql
from lifecycle.init.nobody import MOST_FILLED, email_of
from lifecycle.init.questions import Answer, Answers, Question
from lifecycle.init.settle import question_key
from lifecycle.init.source import Source

_FEWEST_SHARE = 0.005  # of the rows that must be without an id, or nothing is asked


def settle_guests(source: Source, cells: dict[str, Cell], draft: Draft, answers: Answers) -> None:
    """Ask whether the e-mail names the customer on the rows without an id, where it is filled."""
    person = cells["customer_id"]
    is_guest = f"coalesce(trim({text_sql(source, person.column)}), '') = ''"
    rows = source.query_count(f"SELECT count(*) FROM {source.sample} WHERE {is_guest}")
    if not rows or rows < _FEWEST_SHARE * source.sampled:
        return
    email = email_of(source, person, is_guest)
    if email is None:
        return
    there = f"CASE WHEN {is_guest} THEN {email.sql} ELSE CAST({person.sql} AS VARCHAR) END"
    question = Question(
        question_key(source, f"{person.column} empty"),
        f"{person.column} of {source.label} is empty on {rows:,} of {source.sampled:,} rows, "
        f"as for guests; {email.column} is filled there.",
        _answers(source, person, email, there, rows),
    )
    answer = answers.ask(question)
    draft.notes.append(answers.check_note(question))
    if answer == "leave_out":
        leave_out(source, draft, f"of guests ({person.column})", is_guest)
        return
    chosen = email if answer == "email" else replace(person, sql=there)
    cells["customer_id"] = chosen
    draft.selected["customer_id"] = chosen.sql
    draft.used.add(email.column)


def _answers(
    source: Source, person: Cell, email: Cell, there: str, rows: int
) -> tuple[Answer, ...]:
    def people(sql: str) -> str:
        count = source.query_count(f"SELECT count(DISTINCT {sql}) FROM {source.sample}")
        return f"{count:,} customers"

    filled = source.query_count(
        f"SELECT count(nullif(trim({source.sql(email.column)}), '')) FROM {source.sample}"
    )
    options = [Answer("email_there", f"it is the customer on these rows: {people(there)}")]
    if filled >= MOST_FILLED * source.sampled:
        options.append(Answer("email", f"it is the customer on all rows: {people(email.sql)}"))
    left = f"{people(person.sql)} on {source.sampled - rows:,} rows"
    options.append(Answer("leave_out", f"these rows are left out: {left}"))
    return tuple(options)
