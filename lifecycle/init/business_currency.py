"""The currency of the business: from the files where they say it, else asked."""

from __future__ import annotations

import re

from features.core.errors import BadSetting
from lifecycle.init.money import currency_codes, currency_in_name
from lifecycle.init.parts import Part
from lifecycle.init.questions import Answer, Answers, Question
from lifecycle.init.toml_page import Guess, toml_string

Parts = dict[str, list[Part]]

# Signs that several currencies have.
_SHARED_SIGNS = {"USD": "$", "JPY": "¥", "SEK": "kr"}
_NO_CURRENCIES = ("XXX", "XTS")  # in ISO 4217: none, and for tests
_CODES = ("EUR", "USD", "GBP", "CNY")


def guess_currency(parts: Parts, answers: Answers) -> Guess:
    """The currency that the files name; asked where none does, or where a sign has several."""
    contracts = [part for part in parts.get("contracts", []) if "price" in part.cells]
    files = [*parts.get("transactions", []), *contracts]
    codes = sorted({code for part in files for code in _codes(part)})
    if "currency" in answers.given and codes != [answers.given["currency"]]:
        code = answers.given["currency"]
        _check_currency(code)
        return Guess("business.currency", toml_string(code), (f"--answer currency={code}.",))
    if not files:
        return Guess("business.currency", '"EUR"', ("no file holds amounts.",))
    by_column = any("currency" in part.cells for part in files)
    if len(codes) == 1 and (by_column or codes[0] not in _SHARED_SIGNS):
        where = "column" if by_column else "signs on the amounts"
        reason = f"by the currency {where}." if by_column else f"by the {where}."
        return Guess("business.currency", toml_string(codes[0]), (reason,))
    if len(codes) > 1:
        raise BadSetting(
            where=", ".join(part.source.label for part in files),
            got=f"amounts in several currencies: {', '.join(codes)}",
            rule="Amounts are added up, so they are in one currency.",
            fix="Give init the files of one currency, or convert the amounts first.",
        )
    first = codes[0] if codes else "EUR"
    sign = f" but the sign {_SHARED_SIGNS[first]}" if codes else ""
    question = Question(
        "currency",
        f"Nothing in the files names the currency of the amounts{sign}.",
        tuple(Answer(code, f"amounts are in {code}") for code in dict.fromkeys((first, *_CODES))),
        is_open=True,
    )
    code = answers.ask(question).upper()
    _check_currency(code)
    return Guess("business.currency", toml_string(code), (answers.check_note(question),))


def _check_currency(code: str) -> None:
    if not re.fullmatch("[A-Z]{3}", code) or code in _NO_CURRENCIES:
        raise BadSetting(
            where="--answer currency",
            got="a text that is no code of a currency",
            rule="A currency is three capital letters (ISO 4217).",
            fix="Type a code such as: --answer currency=EUR",
            values=[code],
        )


def _codes(part: Part) -> set[str]:
    """The codes in a currency column, or those that the signs on the amounts stand for."""
    source = part.source
    if "currency" in part.cells:
        code = f"upper(trim(CAST({part.cells['currency'].sql} AS VARCHAR)))"
        rows = source.query(f"SELECT DISTINCT {code} FROM {source.sample} WHERE {code} <> ''")
        codes = {row[0] for row in rows if re.fullmatch("[A-Z]{3}", row[0])}
        return codes if len(codes) < 2 or not part.currency else {part.currency}
    cell = part.cells.get("amount") or part.cells.get("price")
    if cell is None:
        return set()
    return currency_codes(source, cell.column) or currency_in_name(cell.column)
