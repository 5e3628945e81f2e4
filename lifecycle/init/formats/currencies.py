"""The one currency of a file's amounts: several are never added up."""

from __future__ import annotations

from features.core.config_schema import MINOR_DIGITS
from features.tables.parsing import literal
from lifecycle.init.currency import ask_currency
from lifecycle.init.formats.file_columns import FileColumns
from lifecycle.init.formats.format import LeftOut
from lifecycle.init.questions import Answers


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
    where = f"{columns.source.label}, column {columns.name(names)}"
    chosen = ask_currency(rows, where, answers)
    return chosen, (LeftOut(f"in other currencies than {chosen}", f"{code} <> {literal(chosen)}"),)


def minor_digits(currency: str) -> int:
    """How many decimals an amount in the currency has: 2 for USD, 0 for JPY."""
    return MINOR_DIGITS.get(currency, 2)
