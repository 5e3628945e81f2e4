"""What every row of feedback and interactions needs: its kind, and when a score was given."""

from __future__ import annotations

import re

from features.tables.parsing import literal
from lifecycle.init.cells import Cell
from lifecycle.init.draft import Draft, RowsLeftOut
from lifecycle.init.events import add_follow_ups
from lifecycle.init.source import Source, constant_kind, split_words, squash


def complete_feedback(source: Source, table: str, cells: dict[str, Cell], draft: Draft) -> None:
    """Complete `draft` for feedback and interactions."""
    selected = draft.selected
    are_tickets = table == "feedback" and _are_tickets(source, cells)
    if are_tickets:
        _split_satisfaction(source, cells, draft)
    if "kind" not in selected:
        named = constant_kind(source, table)
        scored = None
        if table == "feedback" and not are_tickets:
            scored = _score_kind(source, cells)
        if scored == "nps":  # a survey whose scores go to ten
            named = "nps"
        kind = named or scored or ("complaint" if table == "feedback" else source.name)
        selected["kind"] = literal(kind)
        by_name = named or table == "interactions"
        reason = "by the file's name" if by_name else "a guess from the columns"
        if scored == "nps":
            reason = "by its scores from 0 to 10"
        draft.notes.append(
            f"{'' if named else 'CHECK: '}no column gives the kind; "
            f"every row is read as '{kind}', {reason}."
        )
    if table == "interactions":
        add_follow_ups(source, draft)
    if "score" in selected and "answered_at" not in selected:
        selected["answered_at"] = selected["occurred_at"]
        draft.notes.append("no column gives the time of the answer; occurred_at is used.")
    if "score" in selected and "answered_at" in cells:
        sent, answered = source.query(
            f"SELECT count(*), count(nullif(trim(CAST({cells['answered_at'].sql} AS VARCHAR)), ''))"
            f" FROM {source.sample}"
        )[0]
        draft.notes.append(f"{sent:,} surveys were sent, {answered:,} answered.")


def _are_tickets(source: Source, cells: dict[str, Cell]) -> bool:
    """Whether the rows are complaints: by the file's name, else since each is opened and solved."""
    named = constant_kind(source, "feedback")
    return named == "complaint" or (
        named is None and "resolved_at" in cells and "kind" not in cells
    )


# What a help desk's customers answer, on the scale of csat.
_WORDS_OF_SCORES = {
    "good": 5, "goodwithcomment": 5, "great": 5, "satisfied": 5, "happy": 5, "positive": 5,
    "okay": 3, "ok": 3, "neutral": 3, "bad": 1, "badwithcomment": 1, "dissatisfied": 1,
    "unhappy": 1, "negative": 1, "gut": 5, "schlecht": 1, "bon": 5, "mauvais": 1, "bueno": 5,
    "malo": 1, "bom": 5, "ruim": 1, "满意": 5, "不满意": 1,
}  # fmt: skip
_SATISFACTION = (
    "satisfactionscore", "satisfaction", "satisfactionrating", "csat", "csatscore", "rating",
    "surveyresult", "surveyrating", "zufriedenheit", "satisfaccion", "satisfacao", "满意度",
)  # fmt: skip


def _split_satisfaction(source: Source, cells: dict[str, Cell], draft: Draft) -> None:
    """Of tickets, the answer how satisfied the customer was is a survey of its own."""
    score_role, time = cells.get("score"), cells.get("answered_at", cells.get("resolved_at"))
    for role in {"score", "answered_at"} & set(draft.selected):
        del draft.selected[role]
        draft.used.discard(cells[role].column)
    names = [column for column in source.types if squash(column) in _SATISFACTION]
    names += [score_role.column] if score_role and score_role.column not in names else []
    if not names or time is None:
        return
    score = _score_sql(source, names[0])
    if not score:
        return
    answered = f"nullif(trim(CAST({time.sql} AS VARCHAR)), '') IS NOT NULL"
    given = f"({score}) IS NOT NULL AND {answered}"
    rows, lost = source.query(
        f"SELECT count(*) FILTER ({given}), count({score}) FILTER (NOT ({answered})) "
        f"FROM {source.sample}"
    )[0]
    if not rows:
        return
    draft.used |= {names[0], time.column}
    further = {
        "customer_id": draft.selected["customer_id"],
        "occurred_at": time.sql,
        "kind": "'csat'",
        "score": score,
        "answered_at": time.sql,
    }
    no_answer = RowsLeftOut("without an answer", f"NOT ({given})")
    draft.further.append(Draft(further, left_out=[*draft.left_out, no_answer]))
    solved = "when the ticket was solved, because no column has the time of the answer"
    when = f"at {time.column}" if "answered_at" in cells else solved
    draft.notes.append(
        f"{names[0]} has {rows:,} answers: they are surveys of kind csat, answered {when}."
    )
    if lost:
        draft.notes.append(f"{lost:,} more are left out, because {time.column} is empty.")


def _score_sql(source: Source, column: str) -> str:
    """SQL for the answers as numbers; '' where they are neither known words nor numbers."""
    x = source.sql(column)
    words = [row[0] for row in source.query(source.distinct_values(column, 50))]
    mapped = {
        word: _WORDS_OF_SCORES[squash(word)] for word in words if squash(word) in _WORDS_OF_SCORES
    }
    numbers = [word for word in words if re.fullmatch(r"\d+([.]\d+)?", word)]
    if not words or (not mapped and len(numbers) < len(words)):
        return ""
    if not mapped:
        return x
    whens = "".join(f" WHEN {literal(word)} THEN '{n}'" for word, n in sorted(mapped.items()))
    return f"CASE trim({x}){whens} END"


def _score_kind(source: Source, cells: dict[str, Cell]) -> str | None:
    """The kind of survey by its score: by its name, else by its scale; None without a score."""
    if "score" not in cells:
        return None
    column = cells["score"].column
    words = set(split_words(column))
    if "nps" in words or re.search(r"\b0\s*[-–to]+\s*10\b", column):
        return "nps"
    if {"review", "rating", "stars"} & words:
        return "review"
    if "csat" in words or constant_kind(source, "feedback") in ("csat", "review", "nps"):
        return "csat" if "csat" in words else constant_kind(source, "feedback")
    number = f"TRY_CAST(CAST({cells['score'].sql} AS VARCHAR) AS DOUBLE)"
    low, high, whole, count = source.query(
        f"SELECT min(n), max(n), count(*) FILTER (n = trunc(n)), count(n) "
        f"FROM (SELECT {number} AS n FROM {source.sample})"
    )[0]
    is_nps = count and low >= 0 and 5 < high <= 10 and whole == count
    return "nps" if is_nps else "csat"
