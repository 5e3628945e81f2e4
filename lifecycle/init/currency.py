"""The one currency of a file's amounts: several are never added up."""

from __future__ import annotations

from collections.abc import Mapping

from features.core.errors import BadSetting
from features.tables.parsing import literal
from lifecycle.init.cells import Cell
from lifecycle.init.draft import Draft, leave_out
from lifecycle.init.money import currency_codes, currency_in_name
from lifecycle.init.questions import Answer, Answers, Question
from lifecycle.init.source import Source
from lifecycle.init.value_words import CURRENCY_SIGNS, CURRENCY_WORDS


def choose_currency(source: Source, cells: dict[str, Cell], draft: Draft, answers: Answers) -> str:
    """The one currency of the amounts, or ''; rows in others are left out once one is stated.

    BadSetting where there are several and nobody has said which one is read.
    """
    if "currency" not in cells:
        column = (cells.get("amount") or cells["price"]).column
        codes = currency_codes(source, column) or currency_in_name(column)
        if len(codes) > 1:
            return _choose_sign(source, column, codes, draft, answers)
        return next(iter(codes), "")
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
    chosen = ask_currency(rows, f"{source.label}, column {column}", answers)
    blank = source.query_count(
        f"SELECT count(*) FROM {source.sample} WHERE coalesce({code}, '') = ''"
    )
    if blank:
        draft.notes.append(f"CHECK: {blank:,} rows have no {column}; they are read as {chosen}.")
    leave_out(source, draft, f"in other currencies than {chosen}", f"{code} <> {literal(chosen)}")
    return chosen


def _choose_sign(
    source: Source, column: str, codes: set[str], draft: Draft, answers: Answers
) -> str:
    """The one currency of amounts whose cells have several signs; other rows are left out."""
    cell = f"CAST({source.sql(column)} AS VARCHAR)"
    words = CURRENCY_WORDS | CURRENCY_SIGNS
    has = {
        code: " OR ".join(_contains(cell, sign, words) for sign in words if words[sign] == code)
        for code in sorted(codes)
    }
    rows = {
        code: source.query_count(f"SELECT count(*) FROM {source.sample} WHERE {condition}")
        for code, condition in has.items()
    }
    chosen = ask_currency(rows, f"{source.label}, column {column}", answers)
    others = " OR ".join(condition for code, condition in has.items() if code != chosen)
    leave_out(source, draft, f"in other currencies than {chosen}", others)
    return chosen


def _contains(cell: str, sign: str, words: Mapping[str, str]) -> str:
    """SQL that is true where the sign stands in the cell, and is no part of a longer one: R$."""
    longer = [other for other in words if sign in other and other != sign]
    tests = [f"contains({cell}, {literal(sign)})"]
    tests += [f"NOT contains({cell}, {literal(other)})" for other in longer]
    return f"({' AND '.join(tests)})"


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
