"""Guests and placeholders: one value of the customer that stands for many people."""

from __future__ import annotations

from features.tables.parsing import literal
from lifecycle.init.cells import Cell, is_email, read_id
from lifecycle.init.draft import Draft, leave_out
from lifecycle.init.questions import Answer, Answers, Question
from lifecycle.init.settle import question_key
from lifecycle.init.source import Source, squash
from lifecycle.init.value_words import PLACEHOLDER_WORDS

EVENTS = ("transactions", "interactions", "feedback", "contracts")
_FEWEST_CUSTOMERS = 20
# A known word for nobody counts from this share of the rows on, another value from the second on
# if it has so many times the rows of the median customer.
_KNOWN_SHARE, _OTHER_SHARE, _TIMES_MEDIAN = 0.005, 0.1, 25
MOST_FILLED = 0.95


def settle_placeholders(
    source: Source, table: str, cells: dict[str, Cell], draft: Draft, answers: Answers
) -> None:
    """Ask what the rows of a placeholder are: people by their e-mail, nobody, or one customer."""
    if table not in EVENTS:
        return
    person = cells["customer_id"]
    values = _placeholders(source, person)
    if not values:
        return
    listed = ", ".join(literal(value) for value, _ in values)
    rows = sum(count for _, count in values)
    is_nobody = f"trim(CAST({person.sql} AS VARCHAR)) IN ({listed})"
    email = email_of(source, person, is_nobody)
    shown = ", ".join(repr(value) for value, _ in values[:3])
    question = Question(
        question_key(source, person.column),
        f"{person.column} of {source.label} is {shown} on {rows:,} of {source.sampled:,} rows, "
        "as for guests.",
        _answers(source, person, email, is_nobody, rows, is_known=_is_known(values)),
    )
    answer = answers.ask(question)
    draft.notes.append(answers.check_note(question))
    if answer == "email" and email is not None:
        draft.selected["customer_id"] = email.sql
        cells["customer_id"] = email
        draft.used.add(email.column)
    elif answer == "leave_out":
        leave_out(source, draft, f"of nobody ({person.column})", is_nobody)


def _placeholders(source: Source, person: Cell) -> list[tuple[str, int]]:
    """(value, rows) of the values of the customer that are nobody."""
    known = ", ".join(
        literal(word)
        for spelling in PLACEHOLDER_WORDS.split()
        for word in {spelling, spelling.replace("_", " "), spelling.replace("_", "-")}
    )
    query = f"""
        WITH counts AS (
            SELECT trim(CAST({person.sql} AS VARCHAR)) AS v, count(*) AS n
            FROM {source.sample} GROUP BY 1 HAVING v <> ''
        ), overall AS (SELECT sum(n) AS total, median(n) AS usual, count(*) AS people FROM counts)
        SELECT v, n FROM counts, overall WHERE people >= {_FEWEST_CUSTOMERS} AND (
            (lower(v) IN ({known}) AND n >= {_KNOWN_SHARE} * total AND n > 3 * usual)
            OR (n >= {_OTHER_SHARE} * total AND n >= {_TIMES_MEDIAN} * usual)
        ) ORDER BY n DESC, v LIMIT 5"""
    return source.query(query)


def email_of(source: Source, person: Cell, is_nobody: str) -> Cell | None:
    """The column of e-mails that is filled on nearly all rows where the SQL `is_nobody` is true."""
    for column in source.types:
        if column == person.column or not is_email(source, column):
            continue
        cell = read_id(source, column)
        filled, rows = source.query(
            f"SELECT count(nullif(trim({source.sql(column)}), '')), count(*) "
            f"FROM {source.sample} WHERE {is_nobody}"
        )[0]
        if cell is not None and filled >= MOST_FILLED * rows and "staff" not in squash(column):
            return cell
    return None


def _is_known(values: list[tuple[str, int]]) -> bool:
    """Whether a value is a word for nobody, and not only frequent."""
    known = {squash(word) for word in PLACEHOLDER_WORDS.split()}
    return any(squash(value) in known or value == "-1" for value, _ in values)


def _answers(
    source: Source, person: Cell, email: Cell | None, is_nobody: str, rows: int, *, is_known: bool
) -> tuple[Answer, ...]:
    def people(sql: str, where: str = "true") -> str:
        count = source.query_count(
            f"SELECT count(DISTINCT {sql}) FROM {source.sample} WHERE {where}"
        )
        return f"{count:,} customers"

    options = [
        Answer(
            "leave_out",
            f"these rows are left out: {people(person.sql, f'NOT ({is_nobody})')} on "
            f"{source.sampled - rows:,} rows",
        ),
        Answer("keep", f"they are one customer: {people(person.sql)}"),
    ]
    if not is_known:
        options.reverse()
    if email is not None:
        meaning = f"{email.column} is the customer on all rows: {people(email.sql)}"
        options.insert(0, Answer("email", meaning))
    return tuple(options)
