"""How the values of one column are written, and the SQL that reads them.

Each reader gets a column and returns a Cell, or None where the sampled values do not fit the type.
No value leaves this module, except for the words of a kind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from features.tables.parsing import DECIMAL, FLOATS, INSTANT, INTEGERS, ZONED, literal
from lifecycle.init.source import Source, squash
from lifecycle.init.words import DATE_FORMATS, KIND_WORDS

MIN_FIT = 0.95  # the share of the distinct values that must be written in one way
MAX_KINDS = 100
_FORMAT_SAMPLE = 50
_EVENT_COLUMNS = ("event", "eventtype", "eventname", "action")
_IS_FLAG = "lower(v) IN ('true', '1', 'yes', 't', 'y', 'false', '0', 'no', 'f', 'n')"
_HAS_CLOCK = "contains(v, ':') AND NOT regexp_matches(v, '[ T]00:00(:00([.]0+)?)?$')"
_THOUSANDS = "regexp_replace({x}, '[%s]([0-9]{{3}})', '\\1', 'g')"
# (pattern of the text, SQL that reads it, what to tell the user)
_NUMBER_STYLES = (
    (DECIMAL, "{x}", ""),
    (r"^[+-]?\d+(,\d{1,2})?$", "replace({x}, ',', '.')", "a decimal comma"),
    (r"^[+-]?(\d+|\d{1,3}(,\d{3})+)([.]\d*)?$", _THOUSANDS % ",", "commas between the thousands"),
    (
        r"^[+-]?(\d+|\d{1,3}([.]\d{3})+)(,\d{1,2})?$",
        f"replace({_THOUSANDS % '.'}, ',', '.')",
        "dots between the thousands and a decimal comma",
    ),
)


@dataclass(frozen=True)
class Cell:
    """A column that was read as some type.

    `sql` reads it. `clock` says how its times are written: "days", "naive", "offset", or "" where
    it holds no times. `notes` are sentences for the user. `by_ending`: the column was chosen by the
    last word of its name alone.
    """

    column: str
    sql: str
    clock: str = ""
    notes: tuple[str, ...] = ()
    by_ending: bool = False


class _TimeStyle(NamedTuple):
    """One way to write an instant.

    An SQL test of `v`, the SQL that reads it, and its strptime format if it has one.
    """

    test: str
    sql: str
    format: str = ""
    offset: bool = False


def read_cell(
    source: Source, column: str, shape: str, table: str, *, required: bool
) -> Cell | None:
    """Read the column as `shape`: id, text, flag, money, number, instant or kind."""
    type_ = source.types[column]
    if type_.startswith(("STRUCT", "MAP", "BLOB")) or type_.endswith("]"):
        return None
    if shape == "instant":
        return _read_instant(source, column, required=required)
    if shape == "kind":
        return _read_kind(source, column, table)
    return _READERS[shape](source, column)


def _read_text(source: Source, column: str) -> Cell:
    return Cell(column, source.sql(column))


def _read_id(source: Source, column: str) -> Cell | None:
    x, type_ = source.sql(column), source.types[column]
    count, whole = source.count_distinct(column, [r"regexp_matches(v, '^\d+[.]0$')"])
    if count == 0:
        return None
    if type_ in FLOATS:
        if whole != count:
            return None
        note = f"{column} holds whole numbers as floats; they become text without .0."
        return Cell(column, f"CAST(CAST({x} AS BIGINT) AS VARCHAR)", notes=(note,))
    if type_ == "VARCHAR" and whole == count:
        note = f"{column}: the .0 at the end of each id is removed."
        return Cell(column, f"regexp_replace({x}, '[.]0$', '')", notes=(note,))
    return Cell(column, x if type_ in (*INTEGERS, "VARCHAR", "UUID") else f"CAST({x} AS VARCHAR)")


def _read_flag(source: Source, column: str) -> Cell | None:
    count, flags = source.count_distinct(column, [_IS_FLAG])
    return Cell(column, source.sql(column)) if count and flags == count else None


def _read_number(source: Source, column: str) -> Cell | None:
    x, type_ = source.sql(column), source.types[column]
    if type_ == "VARCHAR":
        return _read_number_text(source, column)
    is_number = type_ in (*INTEGERS, *FLOATS) or type_.startswith("DECIMAL")
    return Cell(column, x) if is_number else None


def _read_number_text(source: Source, column: str) -> Cell | None:
    """The style that most values fit, with or without signs of money and spaces."""
    signs = source.signs(column)
    without_signs = f"translate(%s, {literal(signs)}, '')" if signs else "%s"
    styles = [
        (text, *style) for text in dict.fromkeys(("%s", without_signs)) for style in _NUMBER_STYLES
    ]
    tests = [f"regexp_matches({text % 'v'}, '{pattern}')" for text, pattern, _, _ in styles]
    count, *fits = source.count_distinct(column, tests)
    best = fits.index(max(fits))
    if count == 0 or fits[best] < MIN_FIT * count:
        return None
    text, _, template, style_name = styles[best]
    removed = [style_name, "signs or spaces" if "translate" in text else ""]
    listed = " and ".join(part for part in removed if part)
    notes = (f"{column} is written with {listed}; the SELECT converts it.",) if listed else ()
    return Cell(column, template.format(x=text % source.sql(column)), notes=notes)


_READERS: dict[str, Callable[[Source, str], Cell | None]] = {
    "id": _read_id,
    "text": _read_text,
    "flag": _read_flag,
    "money": _read_number,
    "number": _read_number,
}


def _read_kind(source: Source, column: str, table: str) -> Cell | None:
    """A column of kinds: known words become the contract's.

    Other words stay as they are, so that the contract can reject their rows and count them.
    """
    counts = _kind_counts(source, column)
    known = {
        squash(word): kind
        for kind, words in KIND_WORDS[table].items()
        for word in (kind, *words.split())
    }
    mapped = {value: known[squash(value)] for value in counts if squash(value) in known}
    unknown = sum(counts.values()) - sum(counts[value] for value in mapped)
    if not counts or len(counts) > MAX_KINDS:
        return None
    any_word = table == "interactions" and squash(column) in _EVENT_COLUMNS
    if unknown > sum(counts.values()) / 2 and not any_word:
        return None
    # Without a purchase the column may hold payment methods, not kinds.
    if table == "transactions" and "purchase" not in mapped.values():
        return None
    notes = [f"{column} gives the kind; known words become the contract's."]
    if unknown:
        notes.append(_unknown_kinds(column, table, len(counts) - len(mapped), unknown))
    return Cell(column, _kind_sql(source.sql(column), mapped), notes=tuple(notes))


def _kind_counts(source: Source, column: str) -> dict[str, int]:
    """Sampled rows by trimmed value; at most one value more than MAX_KINDS."""
    values = f"SELECT trim(CAST({source.sql(column)} AS VARCHAR)) AS v FROM {source.sample}"
    return dict(
        source.query(
            f"SELECT v, count(*) FROM ({values}) WHERE v <> '' GROUP BY v ORDER BY v "
            f"LIMIT {MAX_KINDS + 1}"
        )
    )


def _unknown_kinds(column: str, table: str, kinds: int, rows: int) -> str:
    fate = "they stay as they are" if table == "interactions" else "the contract rejects these rows"
    return f"CHECK: unknown kinds in {column}: {kinds}, on {rows:,} of the sampled rows; {fate}."


def _kind_sql(x: str, mapped: dict[str, str]) -> str:
    if all(value == kind for value, kind in mapped.items()):
        return x
    lowered = f"lower(trim({x}))"
    renamed = {value.lower(): kind for value, kind in mapped.items() if value.lower() != kind}
    whens = "".join(
        f" WHEN {literal(value)} THEN {literal(kind)}" for value, kind in sorted(renamed.items())
    )
    return f"CASE {lowered}{whens} ELSE {lowered} END" if whens else lowered


def _read_instant(source: Source, column: str, *, required: bool) -> Cell | None:
    x = source.sql(column)
    text = x if source.types[column] == "VARCHAR" else f"CAST({x} AS VARCHAR)"
    # Styles without a format come first: they are quick to test and never ambiguous.
    return _best_style(source, column, _plain_styles(x, text)) or _best_style(
        source, column, _format_styles(source, column, text, required=required)
    )


def _best_style(source: Source, column: str, styles: list[_TimeStyle]) -> Cell | None:
    """The style that most values fit, or None where too few values fit any."""
    tests = [f"regexp_matches(v, '{ZONED}')", _HAS_CLOCK, *(style.test for style in styles)]
    count, zoned, clocks, *fits = source.count_distinct(column, tests)
    if not count or max(fits, default=0) < MIN_FIT * count:
        return None
    style = styles[fits.index(max(fits))]
    clock = "offset" if style.offset or zoned == count else "naive" if clocks else "days"
    swapped = style.format.translate(str.maketrans("dm", "md"))
    rival = next(
        (fit for other, fit in zip(styles, fits, strict=True) if other.format == swapped), None
    )
    notes = (_format_note(column, style.format, max(fits), rival),) if style.format else ()
    return Cell(column, style.sql, clock, notes)


def _plain_styles(x: str, text: str) -> list[_TimeStyle]:
    """ISO 8601, "… UTC", and seconds or milliseconds since 1970."""
    iso = f"regexp_matches(v, '{INSTANT}') AND TRY_CAST(v AS TIMESTAMPTZ) IS NOT NULL"
    utc = r"regexp_matches(v, '^\d{4}-\d{2}-\d{2} [0-9:.]+ UTC$')"
    number = f"TRY_CAST({text} AS BIGINT)"
    return [
        _TimeStyle(iso, x),
        _TimeStyle(utc, f"replace({text}, ' UTC', 'Z')", offset=True),
        _TimeStyle(r"regexp_matches(v, '^[12]\d{9}$')", f"to_timestamp({number})", offset=True),
        _TimeStyle(
            r"regexp_matches(v, '^[12]\d{12}$')", f"to_timestamp({number} / 1000)", offset=True
        ),
    ]


def _format_styles(source: Source, column: str, text: str, *, required: bool) -> list[_TimeStyle]:
    """The formats that some value looks like; whether they fit is counted later over the sample."""
    values = [row[0] for row in source.query(source.distinct_values(column, _FORMAT_SAMPLE))]
    formats = [
        format_ for format_, look in DATE_FORMATS.items() if any(map(look.fullmatch, values))
    ]
    return [_format_style(text, format_, required=required) for format_ in formats]


def _format_style(text: str, format_: str, *, required: bool) -> _TimeStyle:
    parsed = f"try_strptime({text}, {literal(format_)})"
    # A required cell that does not parse is missing and its row is rejected. An optional one keeps
    # its text, so that the contract sees it and counts it.
    sql = parsed if required else f"coalesce(CAST({parsed} AS VARCHAR), {text})"
    test = f"year(try_strptime(v, {literal(format_)})) BETWEEN 1970 AND 2199"
    return _TimeStyle(test, sql, format_)


def _format_note(column: str, format_: str, fits: int, rival: int | None) -> str:
    if rival is None:
        return f"{column} has the format {format_}."
    if rival == fits:
        return (
            f"CHECK: {column} can be read day first or month first (no number is over 12); "
            f"it is read as {format_}."
        )
    return f"{column} has the format {format_}: values over 12 show which number is the day."
