"""How a number can be written: its points and commas, and what stands around its digits."""

from __future__ import annotations

from dataclasses import dataclass

from features.tables.parsing import DECIMAL, SCIENTIFIC, literal
from lifecycle.init.cell import Cell
from lifecycle.init.source import Source
from lifecycle.init.value_words import CURRENCY_SIGNS, CURRENCY_WORDS

_MINUS = "\u2212\u2013\u2012\ufe63\uff0d"
_SPACES = " \u00a0\u202f\u2009'\u2019"


@dataclass(frozen=True)
class NumberStyle:
    """How points and commas are used: the pattern of a cell, SQL that reads it, what to say."""

    pattern: str
    sql: str
    note: str
    strict: bool = False


PLAIN = NumberStyle(f"({DECIMAL})|({SCIENTIFIC})", "{x}", "")
COMMA = NumberStyle(r"^[+-]?\d+(,\d*)?$", "replace({x}, ',', '.')", "a decimal comma")
COMMA_THOUSANDS = NumberStyle(
    r"^[+-]?(\d+|\d{1,3}(,\d{3})+)([.]\d*)?$",
    "replace({x}, ',', '')",
    "commas between the thousands",
    strict=True,
)
LAKH = NumberStyle(
    r"^[+-]?(\d+|\d{1,2}(,\d{2})*,\d{3})([.]\d*)?$",
    "replace({x}, ',', '')",
    "commas between the lakhs",
    strict=True,
)
DOT_THOUSANDS = NumberStyle(
    r"^[+-]?(\d+|\d{1,3}([.]\d{3})+)(,\d*)?$",
    "replace(replace({x}, '.', ''), ',', '.')",
    "dots between the thousands and a decimal comma",
    strict=True,
)
STYLES = (PLAIN, COMMA, COMMA_THOUSANDS, LAKH, DOT_THOUSANDS)


def styled_cell(source: Source, column: str, style: NumberStyle, frame: NumberFrame) -> Cell:
    x = frame.strip(source.sql(column))
    sql = style.sql.format(x=x)
    if style.strict:
        # A cell that does not fit must not become another number: the contract rejects the text.
        raw = source.sql(column)
        sql = (
            f"CASE WHEN regexp_matches({x}, '{style.pattern}') THEN {sql} "
            f"WHEN trim({raw}) <> '' THEN 'not read: ' || {raw} END"
        )
    listed = " and ".join(part for part in (style.note, frame.words) if part)
    notes = (f"{column} is written with {listed}; the SELECT converts it.",) if listed else ()
    return Cell(column, sql, notes=notes)


@dataclass(frozen=True)
class NumberFrame:
    """What stands around the digits of a column: signs, codes of currencies, minus and brackets."""

    removed: str
    minus: str
    codes: tuple[str, ...]
    has_brackets: bool
    has_trailing_minus: bool

    def strip(self, x: str) -> str:
        """SQL for the text without it, with a plain minus in front."""
        for code in self.codes:
            x = f"replace({x}, {literal(code)}, '')"
        if self.minus or self.removed:
            signs = literal(self.minus + self.removed)
            x = f"translate({x}, {signs}, {literal('-' * len(self.minus))})"
        if self.has_brackets:
            x = rf"regexp_replace({x}, '^-?[(](.*)[)]$', '-\1')"
        if self.has_trailing_minus:
            x = rf"regexp_replace({x}, '^(.*)-$', '-\1')"
        return x

    @property
    def words(self) -> str:
        """What the SELECT handles, for the user."""
        listed = (
            "signs or spaces" if self.removed or self.codes else "",
            "brackets for negative amounts" if self.has_brackets else "",
            "a minus behind" if self.has_trailing_minus else "",
            "a long minus" if self.minus else "",
        )
        return " and ".join(part for part in listed if part)


def read_frame(source: Source, column: str) -> NumberFrame:
    symbols = [*dict.fromkeys("".join(CURRENCY_SIGNS) + _SPACES + _MINUS)]
    codes = sorted(CURRENCY_WORDS, key=len, reverse=True)
    dashes = "-" + _MINUS
    tests = [f"contains(v, {literal(text)})" for text in (*symbols, *codes)]
    tests += [
        r"regexp_matches(v, '^\D*[(].*[)]\D*$')",
        rf"regexp_matches(v, '[\d.,] *[{dashes}][^\d]*$')",
    ]
    _, *counts = source.count_shapes(column, tests)
    brackets, trailing = counts[-2:]
    present = [text for text, count in zip((*symbols, *codes), counts, strict=False) if count]
    signs = [text for text in present if text in symbols]
    return NumberFrame(
        removed="".join(sign for sign in signs if sign not in _MINUS),
        minus="".join(sign for sign in signs if sign in _MINUS),
        codes=tuple(text for text in present if text in codes),
        has_brackets=bool(brackets),
        has_trailing_minus=bool(trailing),
    )
