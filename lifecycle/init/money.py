"""How the numbers and the money of one column are written, and the SQL that reads them.

The whole column decides what a point and a comma are. Where every cell fits two readings, such as
`1.500` in every row, the user is asked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from features.tables.parsing import DECIMAL, FLOATS, INTEGERS, literal
from lifecycle.init.cell import MIN_FIT, Cell, Choice, Option
from lifecycle.init.source import Source, split_words
from lifecycle.init.value_words import CURRENCY_SIGNS, CURRENCY_WORDS

_MINUS = "\u2212\u2013\u2012\ufe63\uff0d"
_SPACES = " \u00a0\u202f\u2009'\u2019"
_FEW = 20  # cells with three digits after the point, of which nothing can be learned below
_CENT_WORDS = {"cents", "cent", "minor", "pence", "centimes", "centavos"}


@dataclass(frozen=True)
class _Style:
    """How points and commas are used: the pattern of a cell, SQL that reads it, what to say."""

    pattern: str
    sql: str
    note: str
    strict: bool = False


_PLAIN = _Style(DECIMAL, "{x}", "")
_COMMA = _Style(r"^[+-]?\d+(,\d*)?$", "replace({x}, ',', '.')", "a decimal comma")
_COMMA_THOUSANDS = _Style(
    r"^[+-]?(\d+|\d{1,3}(,\d{3})+)([.]\d*)?$",
    "replace({x}, ',', '')",
    "commas between the thousands",
    strict=True,
)
_LAKH = _Style(
    r"^[+-]?(\d+|\d{1,2}(,\d{2})*,\d{3})([.]\d*)?$",
    "replace({x}, ',', '')",
    "commas between the lakhs",
    strict=True,
)
_DOT_THOUSANDS = _Style(
    r"^[+-]?(\d+|\d{1,3}([.]\d{3})+)(,\d*)?$",
    "replace(replace({x}, '.', ''), ',', '.')",
    "dots between the thousands and a decimal comma",
    strict=True,
)
_STYLES = (_PLAIN, _COMMA, _COMMA_THOUSANDS, _LAKH, _DOT_THOUSANDS)


def read_number(source: Source, column: str) -> Cell | None:
    """The column as numbers or money; None where too few of its values are numbers."""
    x, type_ = source.sql(column), source.types[column]
    if type_ != "VARCHAR":
        is_number = type_ in (*INTEGERS, *FLOATS) or type_.startswith("DECIMAL")
        return Cell(column, x) if is_number else None
    frame = _read_frame(source, column)
    bare = frame.strip("v")
    tests = [f"regexp_matches({bare}, '{style.pattern}')" for style in _STYLES]
    count, *fits = source.count_shapes(column, tests)
    if not count or max(fits) < MIN_FIT * count:
        return None
    style = _STYLES[fits.index(max(fits))]
    cell = _styled(source, column, style, frame)
    return _point_or_thousands(source, cell, frame, style)


def _styled(source: Source, column: str, style: _Style, frame: _Frame) -> Cell:
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
class _Frame:
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


def _read_frame(source: Source, column: str) -> _Frame:
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
    return _Frame(
        removed="".join(sign for sign in signs if sign not in _MINUS),
        minus="".join(sign for sign in signs if sign in _MINUS),
        codes=tuple(text for text in present if text in codes),
        has_brackets=bool(brackets),
        has_trailing_minus=bool(trailing),
    )


def _point_or_thousands(source: Source, cell: Cell, frame: _Frame, style: _Style) -> Cell:
    """Whether `1.500` is fifteen hundred: by the other cells, else asked."""
    bare = frame.strip("v")
    point = "," if style in (_COMMA, _COMMA_THOUSANDS, _LAKH) else "[.]"
    if style not in (_PLAIN, _COMMA, _COMMA_THOUSANDS, _DOT_THOUSANDS):
        return cell
    three = rf"regexp_matches({bare}, '^[+-]?[1-9]\d{{0,2}}{point}\d{{3}}$')"
    whole_large = rf"regexp_matches({bare}, '^[+-]?\d{{4,}}$')"
    whole_small = rf"regexp_matches({bare}, '^[+-]?\d{{1,3}}$')"
    several = rf"regexp_matches({bare}, '^[+-]?\d{{1,3}}({point}\d{{3}}){{2,}}$')"
    separators = rf"regexp_matches({bare}, '[.,]')"
    _, n_three, n_large, n_small, n_several, n_any = source.count_shapes(
        cell.column, [three, whole_large, whole_small, several, separators]
    )
    if not n_three or n_three + n_several < n_any:
        return cell  # no such cell, or others show what the point is
    thousands = _DOT_THOUSANDS if point == "[.]" else _COMMA_THOUSANDS
    decimals = _PLAIN if point == "[.]" else _COMMA
    as_thousands = _styled(source, cell.column, thousands, frame)
    as_decimals = _styled(source, cell.column, decimals, frame)
    if n_several:
        return as_thousands
    if n_large:
        return as_decimals  # thousands without a point: it is none between them
    if n_three >= _FEW and n_small and n_small * 50 >= n_three:
        return as_thousands
    mark, example = ("point", "1.500") if point == "[.]" else ("comma", "1,500")
    text = (
        f"{cell.column} of {source.path.name}: all {n_three:,} values with a {mark} have three "
        "digits after it"
    )
    thousands_sum, decimals_sum = _sum(source, as_thousands), _sum(source, as_decimals)
    options = (
        Option("thousands", f"{example} is 1500, sum {thousands_sum}", as_thousands),
        Option("decimals", f"{example} is 1.5, sum {decimals_sum}", as_decimals),
    )
    return replace(as_thousands, choice=Choice(text, options))


def _sum(source: Source, cell: Cell) -> str:
    query = f"SELECT sum(TRY_CAST({cell.sql} AS DECIMAL(38, 6))) FROM {source.sample}"
    total = source.query(query)[0][0]
    return f"{float(total or 0):,.2f}"


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
    units = Option("units", f"sum {_sum(source, cell)}", cell)
    divided = Option("cents", f"sum {_sum(source, cents)}", cents)
    # A currency with two digits whose amounts have no decimals at all is counted in cents.
    has_cents = code not in ("", "JPY", "KRW", "VND", "CLP", "HUF", "IDR", "TWD", "COP")
    options = (divided, units) if has_cents else (units, divided)
    text = f"{cell.column} of {source.path.name} has whole numbers only, as amounts in cents have"
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
