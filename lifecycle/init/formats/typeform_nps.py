"""Typeform responses with one question from 0 to 10: nps."""

from __future__ import annotations

from lifecycle.init.cells import Cell
from lifecycle.init.formats.file_columns import FileColumns
from lifecycle.init.formats.format import Format, FormatTable, LeftOut, PersonColumn
from lifecycle.init.questions import Answer, Answers, Question
from lifecycle.init.source import squash

_SUBMITTED, _STARTED = "Submit Date (UTC)", "Start Date (UTC)"
_IS_SCORE = r"regexp_matches(v, '^(10|[0-9])([.]0)?$')"
_IS_EMAIL = r"regexp_matches(v, '^[^@ ]+@[^@ ]+[.][^@ ]+$')"
_META = ("responsetype", "startdateutc", "stagedateutc", "submitdateutc", "networkid", "tags")


def _read(columns: FileColumns, answers: Answers) -> tuple[FormatTable, ...]:
    questions = [name for name in columns.source.types if squash(name) not in _META]
    people = _people(columns, questions)
    scores = [name for name in questions if _all_fit(columns, name, _IS_SCORE)]
    if not scores or not people:
        return ()
    notes: tuple[str, ...] = ()
    score = scores[0]
    if len(scores) > 1:
        question = Question(
            f"{columns.source.name}.score",
            f"{len(scores)} questions have answers from 0 to 10. Which one is the nps?",
            tuple(Answer(name, "this question") for name in _likely_first(scores)),
        )
        score, notes = answers.ask(question), (answers.check_note(question),)
    value = f"nullif({columns.text_of(score)}, '')"
    at = columns.instant(_SUBMITTED, utc=True)
    return (
        FormatTable(
            table="feedback",
            people=people,
            columns={
                "occurred_at": columns.instant(_STARTED, utc=True),
                "kind": Cell("", "'nps'"),
                "score": Cell(score, value),
                "answered_at": at,
            },
            left_out=(
                LeftOut("of forms that were not submitted", columns.is_blank(_SUBMITTED)),
                LeftOut("without a score", f"{value} IS NULL"),
            ),
            notes=(*notes, "a survey counts from its start on: who saw it and left is not here."),
        ),
    )


def _people(columns: FileColumns, questions: list[str]) -> tuple[PersonColumn, ...]:
    """Columns of e-mails; further columns with names of customer ids are offered by the caller."""
    return tuple(
        PersonColumn(name, f"lower({columns.text_of(name)})", "e-mail")
        for name in questions
        if _all_fit(columns, name, _IS_EMAIL)
    )[:1]


def _all_fit(columns: FileColumns, name: str, test: str) -> bool:
    count, fits = columns.source.count_distinct(name, [test])
    return count > 0 and fits == count


def _likely_first(scores: list[str]) -> list[str]:
    """Questions that speak of recommending come first."""
    return sorted(scores, key=lambda name: "recommend" not in name.lower())


FORMAT = Format(
    name="Typeform responses",
    source="response downloads in public repositories (#, questions, Response Type, Start Date "
    "(UTC), Submit Date (UTC), Network ID, Tags); seen 2026-11",
    headers=frozenset({_STARTED, _SUBMITTED, "Network ID"}),
    read=_read,
    reads="The one question from 0 to 10 as nps, by the e-mail that the form asks for.",
    leaves="Forms that were not submitted, other questions; whom the form was sent to.",
    export="Results → Responses → Download, CSV, all responses.",
)
