"""The one currency of a file's amounts: several are never added up."""

from __future__ import annotations

from collections.abc import Mapping

from features.core.errors import BadSetting
from features.tables.parsing import literal
from lifecycle.init.cells import Cell
from lifecycle.init.draft import Draft, leave_out
from lifecycle.init.money import currency_codes
from lifecycle.init.questions import Answer, Answers, Question
from lifecycle.init.source import Source


def choose_currency(source: Source, cells: dict[str, Cell], draft: Draft, answers: Answers) -> str:
    """The one currency of the amounts, or ''; rows in others are left out once one is stated.

    BadSetting where there are several and nobody has said which one is read.
    """
    if "currency" not in cells:
        codes = currency_codes(source, (cells.get("amount") or cells["price"]).column)
        return next(iter(codes)) if len(codes) == 1 else ""
    column = cells["currency"].column
    code = f"upper(trim({cells['currency'].sql}))"
    rows = dict(
        source.query(
            f"SELECT {code}, count(*) FROM {source.sample} WHERE {code} <> '' "
            "GROUP BY 1 ORDER BY 2 DESC, 1"
        )
    )
    draft.used.add(column)
    if len(rows) < 2:
        return next(iter(rows), "")
    chosen = ask_currency(rows, f"{source.path.name}, column {column}", answers)
    leave_out(source, draft, f"in other currencies than {chosen}", f"{code} <> {literal(chosen)}")
    return chosen


def ask_currency(rows: Mapping[str, int], where: str, answers: Answers) -> str:
    """The stated one of several currencies (rows by code). BadSetting where none is stated."""
    counts = ", ".join(f"{code} ({count:,} rows)" for code, count in rows.items())
    total = sum(rows.values())
    question = Question(
        "currency",
        f"{where} has several currencies: {counts}. Which one is read?",
        tuple(
            Answer(code, f"{count:,} rows are read, {total - count:,} are left out")
            for code, count in rows.items()
        ),
        needs_answer=True,
    )
    chosen = answers.ask(question)
    if "currency" not in answers.given:
        raise BadSetting(
            where=where,
            got=f"several currencies: {counts}",
            rule="Amounts are added up, so they are in one currency.",
            fix=f"Type: --answer currency={chosen} to read the rows in {chosen} alone, "
            "or convert the amounts to one currency first.",
        )
    return chosen
