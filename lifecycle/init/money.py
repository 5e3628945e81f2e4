"""How the numbers and the money of one column are written, and the SQL that reads them.

The whole column decides what a point and a comma are. Where every cell fits two readings, such as
`1.500` in every row, the user is asked.
"""

from __future__ import annotations

import re
from dataclasses import replace

from features.core.config_schema import MINOR_DIGITS
from features.tables.parsing import FLOATS, INTEGERS, literal
from lifecycle.init.cell import MIN_FIT, Cell, Choice, Option
from lifecycle.init.number_styles import STYLES, NumberFrame, read_frame, styled_cell
from lifecycle.init.source import Source, split_words
from lifecycle.init.thousands import settle_thousands, sum_text
from lifecycle.init.value_words import CURRENCY_SIGNS, CURRENCY_WORDS

_FEW = 20  # amounts, of which nothing can be learned below
_CENT_WORDS = {"cents", "cent", "minor", "pence", "centimes", "centavos"}


def read_number(source: Source, column: str, *, has_three_decimals: bool = False) -> Cell | None:
    """The column as numbers or money; None where too few of its values are numbers.

    has_three_decimals: they are amounts in a currency with three.
    """
    x, type_ = source.sql(column), source.types[column]
    if type_ != "VARCHAR":
        is_number = type_ in (*INTEGERS, *FLOATS) or type_.startswith("DECIMAL")
        return Cell(column, x) if is_number else None
    frame = read_frame(source, column)
    count, *fits = source.count_shapes(column, _tests(frame))
    if not count or max(fits) < MIN_FIT * count:
        return None
    style = STYLES[fits.index(max(fits))]
    cell = styled_cell(source, column, style, frame)
    return settle_thousands(source, cell, frame, style, has_three_decimals=has_three_decimals)


def number_tests(source: Source, column: str) -> list[str]:
    """SQL tests of `v`, one for each way to write a number."""
    return _tests(read_frame(source, column))


def _tests(frame: NumberFrame) -> list[str]:
    bare = frame.strip("v")
    return [f"regexp_matches({bare}, '{style.pattern}')" for style in STYLES]


def read_in_currency(source: Source, cell: Cell, code: str) -> Cell:
    """The amounts again, where the currency has three decimals: `1.250` is an amount in dinars.

    code: the currency of the amounts, or ''.
    """
    if MINOR_DIGITS.get(code) != 3 or source.types[cell.column] != "VARCHAR":
        return cell
    fresh = read_number(source, cell.column, has_three_decimals=True)
    if fresh is None:
        return cell
    checks = tuple(note for note in cell.notes if note.startswith("CHECK"))
    return replace(fresh, by_ending=cell.by_ending, notes=(*checks, *fresh.notes))


def ask_cents(source: Source, cell: Cell, code: str) -> Cell:
    """The amounts as they are, or as cents: by the name, else asked where they look like cents.

    code: the currency that the file names, or ''.
    """
    cents = replace(
        cell,
        sql=f"TRY_CAST({cell.sql} AS DECIMAL(18, 2)) * 0.01",
        notes=(*cell.notes, f"{cell.column} is in cents; the SELECT divides by 100."),
    )
    if _CENT_WORDS & set(split_words(cell.column)):
        return cents
    is_plain = cell.sql == source.sql(cell.column)
    if cell.choice or not is_plain or not _looks_like_cents(source, cell):
        return cell
    units = Option("units", f"sum {sum_text(source, cell)}", cell)
    divided = Option("cents", f"sum {sum_text(source, cents)}", cents)
    # A currency with two digits whose amounts have no decimals at all is counted in cents.
    has_cents = code not in ("", "JPY", "KRW", "VND", "CLP", "HUF", "IDR", "TWD", "COP")
    options = (divided, units) if has_cents else (units, divided)
    text = f"{cell.column} of {source.label} has whole numbers only, as amounts in cents have"
    return replace(options[0].cell, choice=Choice(text, options))


def _looks_like_cents(source: Source, cell: Cell) -> bool:
    number = f"TRY_CAST({cell.sql} AS DECIMAL(38, 6))"
    count, whole, large, round_, distinct = source.query(
        f"SELECT count(n), count(*) FILTER (n = trunc(n)), count(*) FILTER (abs(n) >= 100), "
        f"count(*) FILTER (n % 100 = 0), count(DISTINCT n % 100) "
        f"FROM (SELECT {number} AS n FROM {source.sample}) WHERE n <> 0"
    )[0]
    return bool(
        count >= _FEW
        and whole == count
        and large >= 0.9 * count
        and round_ < 0.5 * count
        and distinct >= min(10, count // 3)
    )


def currency_in_name(column: str) -> set[str]:
    """The codes of currencies in the name of a column.

    >>> currency_in_name("Invoice Amount (INR)")
    {'INR'}
    """
    known = {*CURRENCY_WORDS.values(), *CURRENCY_SIGNS.values()}
    return known & set(re.findall(r"(?<![A-Za-z])[A-Z]{3}(?![A-Za-z])", column))


def currency_codes(source: Source, column: str) -> set[str]:
    """The codes of the currencies that stand around the amounts of a text column."""
    if source.types[column] != "VARCHAR":
        return set()
    words = CURRENCY_WORDS | CURRENCY_SIGNS
    names = sorted(words, key=len, reverse=True)
    tests = [f"contains(v, {literal(name)})" for name in names]
    _, *counts = source.count_shapes(column, tests)
    present = [name for name, count in zip(names, counts, strict=True) if count]
    # The $ of R$ is no sign of its own.
    alone = [
        name for name in present if not any(name != other and name in other for other in present)
    ]
    return {words[name] for name in alone}


def currency_of(source: Source, column: str) -> str:
    """The one currency in the amounts or in the name of their column; '' where there is not one."""
    codes = currency_codes(source, column) or currency_in_name(column)
    return next(iter(codes)) if len(codes) == 1 else ""
