"""The one currency of a file's amounts: several are never added up."""

from __future__ import annotations

from collections.abc import Mapping

from features.core.config_schema import MINOR_DIGITS
from features.core.errors import BadSetting
from features.tables.parsing import literal
from lifecycle.init.formats.file_columns import FileColumns
from lifecycle.init.formats.format import LeftOut
from lifecycle.init.questions import Answer, Answers, Question

KEY = "currency"


def choose_currency(
    columns: FileColumns, names: str, answers: Answers, *, only: str = "true"
) -> tuple[str, tuple[LeftOut, ...]]:
    """The currency of the rows that are `only` meant, and the rows in other currencies.

    ("", ()) where the file names none. BadSetting for several ones, until one is stated.
    """
    if columns.find(names) is None:
        return "", ()
    code = f"upper({columns.text(names)})"
    rows = dict(
        columns.source.query(
            f"SELECT {code} AS code, count(*) FROM {columns.source.whole} "
            f"WHERE {code} <> '' AND ({only}) GROUP BY code ORDER BY 2 DESC, 1"
        )
    )
    if len(rows) <= 1:
        return next(iter(rows), ""), ()
    where = f"{columns.source.path.name}, column {columns.name(names)}"
    chosen = ask_currency(rows, where, answers)
    return chosen, (LeftOut(f"in other currencies than {chosen}", f"{code} <> {literal(chosen)}"),)


def ask_currency(rows: Mapping[str, int], where: str, answers: Answers) -> str:
    """The stated one of several currencies (rows by code). BadSetting where none is stated."""
    counts = ", ".join(f"{code} ({count:,} rows)" for code, count in rows.items())
    total = sum(rows.values())
    question = Question(
        KEY,
        f"{where} has several currencies: {counts}. Which one is read?",
        tuple(
            Answer(code, f"{count:,} rows are read, {total - count:,} are left out")
            for code, count in rows.items()
        ),
    )
    chosen = answers.ask(question)
    if KEY not in answers.given:
        raise BadSetting(
            where=where,
            got=f"several currencies: {counts}",
            rule="Amounts are added up, so they are in one currency.",
            fix=f"Type: --answer {KEY}={chosen} to read the rows in {chosen} alone, "
            "or convert the amounts to one currency first.",
        )
    return chosen


def minor_digits(currency: str) -> int:
    """How many decimals an amount in the currency has: 2 for USD, 0 for JPY."""
    return MINOR_DIGITS.get(currency, 2)
