"""How the times of one column are written, and the SQL that reads them.

The reading is chosen from a part of the distinct values and then counted over the whole column: a
column that mixes day first and month first is refused with both counts, and one that fits both
everywhere is asked about.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace

from features.core.errors import WrongType
from features.tables.parsing import FLOATS, INSTANT, INTEGERS, ZONED, literal
from lifecycle.init.cell import MIN_FIT, Cell, Choice, Option
from lifecycle.init.date_text import DateText
from lifecycle.init.dates import (
    ABBREVIATIONS,
    BRACKETS,
    CLOCK,
    FAMILIES,
    LOOKS,
    OFFSET,
    SEASONS,
    ZONE_NAME,
)
from lifecycle.init.odd_cells import keep_odd_cells
from lifecycle.init.source import Source, split_words
from lifecycle.init.swapped_dates import find_swapped_dates
from lifecycle.init.time_styles import TimeStyle, epoch_styles

_SHAPES = 300  # distinct values whose shapes are looked at
_MOST_MIXED = 0.001  # share of cells that may fit only the other order: typing errors
_MIDNIGHT = r"[ T]0?0:00(:00([.]0+)?)?( ?[AaPp][Mm])?"
_EXCEL_LOW, _EXCEL_HIGH = 20_000, 80_000  # 1954 and 2119 as days since 1900


def read_times(source: Source, column: str, *, required: bool) -> Cell | None:
    """The column as instants; None where too few of its values are times."""
    text, type_ = source.sql(column), source.types[column]
    if type_ == "BOOLEAN":
        return None
    if type_ != "VARCHAR":
        text = f"CAST({text} AS VARCHAR)"
    plain = _plain_styles(source.sql(column), text, is_number=type_ in (*INTEGERS, *FLOATS))
    cell = _best_cell(source, column, plain)
    if cell is None:
        cell = _best_cell(source, column, _format_styles(source, column, text, required=required))
    return cell and keep_odd_cells(source, cell, text)


def time_tests(source: Source, column: str) -> list[str]:
    """SQL tests of `v`, one for each way to write a time that a text column may have."""
    x = source.sql(column)
    styles = _plain_styles(x, x, is_number=False)
    styles += _format_styles(source, column, x, required=True)
    return [style.test for style in styles]


def _plain_styles(x: str, text: str, *, is_number: bool) -> list[TimeStyle]:
    # A cast that fails is slow, so only texts of the right shape are cast.
    iso = (
        f"CASE WHEN regexp_matches(v, '{INSTANT}') THEN isfinite(TRY_CAST(v AS TIMESTAMP)) AND "
        f"(NOT regexp_matches(v, '{ZONED}') OR "
        f"CASE WHEN regexp_matches(v, '{ZONED}') THEN TRY_CAST(v AS TIMESTAMPTZ) IS NOT NULL END) "
        "END"
    )
    # With a space before the offset, and UTC or GMT written out.
    spaced = (
        r"regexp_matches(v, '^\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}(:\d{2}([.]\d{1,9})?)?"
        r" ?(UTC|GMT|Z|[+-]\d{2}:?\d{2})$')"
    )
    joined = (
        f"regexp_replace(regexp_replace({text}, ' ?(UTC|GMT|Z)$', 'Z'), "
        r"' ([+-]\d{2}:?\d{2})$', '\1')"
    )
    # The engine reads an offset only behind seconds.
    joined = rf"regexp_replace({joined}, '([ T]\d\d:\d\d)(Z|[+-]\d\d:?\d\d)$', '\1:00\2')"
    number = x if is_number else f"TRY_CAST({x} AS BIGINT)"
    decimal = x if is_number else f"TRY_CAST({x} AS DOUBLE)"
    return [
        TimeStyle(iso, x),
        TimeStyle(spaced, joined, "a space or a name before the offset"),
        *epoch_styles(number, decimal),
        TimeStyle(
            r"regexp_matches(v, '^\d{5}([.]\d+)?$') AND TRY_CAST(v AS DOUBLE) "
            f"BETWEEN {_EXCEL_LOW} AND {_EXCEL_HIGH}",
            excel_sql(decimal, 1900),
            "Excel",
        ),
    ]


def excel_sql(days: str, system: int) -> str:
    """SQL for the instant of a spreadsheet's number of days, whole seconds."""
    origin = "1899-12-30" if system == 1900 else "1904-01-01"
    return f"TIMESTAMP '{origin}' + to_seconds(CAST(round({days} * 86400) AS BIGINT))"


def _best_cell(source: Source, column: str, styles: list[TimeStyle]) -> Cell | None:
    """The style that most values fit, or None where too few values fit any."""
    if not styles:
        return None
    count, *fits = source.count_distinct(column, [style.test for style in styles])
    style = styles[fits.index(max(fits))]
    if not count or max(fits) < MIN_FIT * count:
        if count and (refusal := find_swapped_dates(source, column)):
            return Cell(column, style.sql, "days", refusal=refusal)
        return _mixed_cell(source, column, styles, style)
    clock = "offset" if style.is_instant else _clock(source, column)
    cell = Cell(column, style.sql, clock)
    if style.note == "Excel":
        return _ask_excel(source, cell)
    if style.unknown_zones:
        return replace(cell, refusal=_unknown_zone(source, column, style.unknown_zones[0]))
    if turned := _year_first(source, styles, style):
        return replace(cell, sql=turned.sql, notes=(_year_note(source, column, turned, style),))
    if style.day:
        rival = next((other for other in styles if other.day == _swap(style.day)), None)
        return _settle_order(source, cell, style, rival)
    if style.note:
        cell = replace(cell, notes=(f"{column} is written in {style.note}; the SELECT reads it.",))
    return cell


def _unknown_zone(source: Source, column: str, zone: str) -> WrongType:
    return WrongType(
        where=f"{source.label}, column {column}",
        got=f"times with {zone}, which is no zone or stands for several",
        rule="The letters of a zone mean one offset wherever they are written.",
        fix="Export the times with an offset, as in 2024-03-01 10:00:00+08:00, or without letters "
        "(then write their zone under [business] zone).",
    )


def _year_first(source: Source, styles: list[TimeStyle], style: TimeStyle) -> TimeStyle | None:
    """The style with a year of two digits first, where it gives a far shorter span; else None.

    24/01/05 can be the fifth of January 2024, or the 24th of January 2005.
    """
    rivals = [each for each in styles if each.day.startswith("%y") and each.day != style.day]
    if "%y" not in style.day or not rivals:
        return None
    spans = {each.day: _span_days(source, each) for each in (style, *rivals)}
    best = min(rivals, key=lambda each: spans[each.day])
    return best if spans[best.day] < spans[style.day] / 3 else None


def _span_days(source: Source, style: TimeStyle) -> float:
    """The days between the first and the last value; infinite where few can be read so."""
    [(rows, fit, days)] = source.query(
        "SELECT count(x), count(t), date_diff('day', min(t), max(t)) FROM "
        f"(SELECT {style.sql} AS x, TRY_CAST(CAST({style.sql} AS VARCHAR) AS TIMESTAMP) AS t "
        f"FROM {source.sample})"
    )
    return float(days) if rows and fit >= MIN_FIT * rows else math.inf


def _year_note(source: Source, column: str, style: TimeStyle, other: TimeStyle) -> str:
    return (
        f"CHECK: {column} is read as {style.note} ({_range(source, style)}), because as "
        f"{other.note} it would reach from {_range(source, other).replace(' … ', ' to ')}."
    )


def _mixed_cell(
    source: Source, column: str, styles: list[TimeStyle], style: TimeStyle
) -> Cell | None:
    """A column of dates in two orders, to be refused; None where the values are no dates at all."""
    rival = next((other for other in styles if style.day and other.day == _swap(style.day)), None)
    if rival is None or rival.day == style.day:
        return None
    either = f"coalesce({style.test}, false) OR coalesce({rival.test}, false)"
    count, fit = source.count_distinct(column, [either], limit=None)
    if fit < MIN_FIT * count:
        return None
    only, other = _count_orders(source, column, style, rival)
    refusal = _mixed_order(source, column, style, only, other)
    return Cell(column, style.sql, "days", refusal=refusal)


def _clock(source: Source, column: str) -> str:
    """How the times say their zone: "days" (no clock), "naive" or "offset"; by all values."""
    bare = f"regexp_replace(v, '{BRACKETS}', '')"
    zoned = f"regexp_matches(v, '{ZONED}') OR regexp_matches({bare}, '{CLOCK}{OFFSET}') OR "
    zoned += f"regexp_matches(v, '{CLOCK}{ZONE_NAME}') AND NOT regexp_matches(v, '[AP]M$')"
    clock = (
        r"regexp_matches(v, '\d{1,2}:\d{2}|\d时|T\d{4}|^\d{12,14}$|\d\d[.]\d\d$') "
        f"AND NOT regexp_matches(v, '{_MIDNIGHT}$')"
    )
    if source.types[column] == "DATE":
        return "days"
    days_only = r"regexp_matches(v, '^\d{1,4}[.]\d{1,2}[.]\d{1,4}$')"
    _, zones, clocks = source.count_shapes(column, [zoned, f"({clock}) AND NOT {days_only}"])
    # Where a few have no offset, the others still lie on a day that the zone decides.
    if zones:
        return "offset"
    return "naive" if clocks else "days"


def _swap(format_: str) -> str:
    return format_.translate(str.maketrans("dm", "md"))


def _settle_order(source: Source, cell: Cell, style: TimeStyle, rival: TimeStyle | None) -> Cell:
    """Day first or month first, by the counts of the whole column."""
    name = cell.column
    if rival is None or not {"m", "d"} <= set(re.findall("%([md])", style.day)):
        return replace(cell, notes=(f"{name} has the format {style.note}.",))
    only, other = _count_orders(source, name, style, rival)
    if other > _MOST_MIXED * (only + other) and only:
        return replace(cell, refusal=_mixed_order(source, name, style, only, other))
    notes = [f"{name} has the format {style.note}: values over 12 show which number is the day."]
    if other:
        notes.append(f"CHECK: {other:,} cells of {name} fit only {rival.note}; they are rejected.")
    if only:
        return replace(cell, notes=tuple(notes), day_order=_day_order(style))
    return _ask_order(source, cell, style, rival)


def _count_orders(source: Source, column: str, style: TimeStyle, rival: TimeStyle) -> list[int]:
    """How many cells fit only the style, and how many only its rival."""
    return list(
        source.query(
            f"SELECT count(*) FILTER (a AND NOT b), count(*) FILTER (b AND NOT a) FROM (SELECT "
            f"coalesce({style.test}, false) AS a, coalesce({rival.test}, false) AS b "
            f"FROM ({source.values(column)}))"
        )[0]
    )


def _mixed_order(source: Source, column: str, style: TimeStyle, only: int, other: int) -> WrongType:
    first = "day" if style.day.index("%d") < style.day.index("%m") else "month"
    second = "month" if first == "day" else "day"
    return WrongType(
        where=f"{source.label}, column {column}",
        got=f"dates in two orders: {only:,} cells can only be {first} first, {other:,} cells can "
        f"only be {second} first",
        rule="All dates of a column have one order, or those that fit both would be read wrongly.",
        fix="Export the file again with dates as YYYY-MM-DD, or split it where the order changes.",
    )


def _day_order(style: TimeStyle) -> str:
    return "day_first" if style.day.index("%d") < style.day.index("%m") else "month_first"


def prefer_order(cell: Cell, order: str) -> Cell:
    """The cell with `order` as the default, where it is a question whether day or month is first.

    order: what other dates of the same files show.
    """
    if cell.choice is None or order not in [option.value for option in cell.choice.options]:
        return cell
    options = sorted(cell.choice.options, key=lambda option: option.value != order)
    text = f"{cell.choice.text}; other dates of your files are {order.replace('_', ' ')}"
    return replace(cell, choice=Choice(text, tuple(options)))


def _ask_order(source: Source, cell: Cell, style: TimeStyle, rival: TimeStyle) -> Cell:
    options = []
    for one in sorted((style, rival), key=lambda each: each.day.index("%m")):
        value = _day_order(one)
        note = f"{cell.column} is read as {one.note}."
        meaning = f"{one.note}, {_range(source, one)}"
        options.append(Option(value, meaning, replace(cell, sql=one.sql, notes=(note,))))
    options.sort(key=lambda option: option.value)  # the day first is the default
    text = (
        f"{cell.column} can be read day first or month first (no number is over 12 in "
        f"{source.label})"
    )
    return replace(cell, choice=Choice(text, tuple(options)))


def _ask_excel(source: Source, cell: Cell) -> Cell:
    number = f"TRY_CAST({source.sql(cell.column)} AS DOUBLE)"
    options = []
    for system in (1900, 1904):
        style = TimeStyle("", excel_sql(number, system))
        note = f"{cell.column} holds a spreadsheet's days since {system}; the SELECT reads them."
        options.append(
            Option(
                str(system),
                f"days since {system}, {_range(source, style)}",
                replace(cell, sql=style.sql, notes=(note,), clock=_excel_clock(source, cell)),
            )
        )
    text = (
        f"{cell.column} of {source.label} holds days as numbers of a spreadsheet; nearly all "
        "count from 1900, old ones of a Mac from 1904"
    )
    return replace(cell, choice=Choice(text, tuple(options)))


def _excel_clock(source: Source, cell: Cell) -> str:
    count, whole = source.count_shapes(cell.column, ["NOT contains(v, '.')"])
    return "days" if whole == count else "naive"


def _range(source: Source, style: TimeStyle) -> str:
    """The first and the last day of a reading."""
    first, last = source.query(
        f"SELECT CAST(CAST(min(t) AS DATE) AS VARCHAR), CAST(CAST(max(t) AS DATE) AS VARCHAR) "
        f"FROM (SELECT TRY_CAST(CAST({style.sql} AS VARCHAR) AS TIMESTAMP) AS t "
        f"FROM {source.sample})"
    )[0]
    return f"{first} … {last}"


# --- formats of strptime ---


def _format_styles(source: Source, column: str, text: str, *, required: bool) -> list[TimeStyle]:
    """The day formats that some value looks like, each with the clocks that occur."""
    values = [row[0] for row in source.query(source.distinct_values(column, _SHAPES))]
    clean = DateText(values)
    # Which digits there are does not matter, and without them few shapes remain.
    shapes = {re.sub(r"\d", "1", clean.apply(value)) for value in values}
    formats = {
        format_ for shape in shapes for format_, look in LOOKS.items() if look.fullmatch(shape)
    }
    styles = []
    for day, family in FAMILIES.items():
        used = [format_ for format_ in family if format_ in formats]
        if used:
            styles.append(_format_style(day, used, text, clean, required=required))
    return styles


def _format_style(
    day: str, formats: list[str], text: str, clean: DateText, *, required: bool
) -> TimeStyle:
    listed = (
        literal(formats[0])
        if len(formats) == 1
        else f"[{', '.join(literal(format_) for format_ in formats)}]"
    )
    parsed = f"try_strptime({clean.body_sql(text)}, {listed})"
    tested = f"try_strptime({clean.body_sql('v')}, {listed})"
    test = f"year({tested}) BETWEEN 1970 AND 2199"
    note = " or ".join(formats)
    if clean.offset:
        zone = f"regexp_extract({clean.frame_sql(text)}, {literal(OFFSET)})"
        zone = rf"regexp_replace({zone}, '^ ?(UTC|GMT|Z)?([+-]\d\d:?\d\d)?$', '\2')"
        # An offset that was written as a name is UTC itself.
        named = rf"regexp_matches({clean.frame_sql(text)}, ' ?(UTC|GMT|Z)$')"
        offset = f"CASE WHEN {named} THEN 'Z' ELSE {zone} END"
        sql = f"strftime({parsed}, '%Y-%m-%dT%H:%M:%S.%f') || {offset}"
        return TimeStyle(test, _or_text(sql, text, required=required), note, day=day)
    if clean.zones:
        sql = _zones_sql(parsed, clean.frame_sql(text), clean.zones)
        unknown = tuple(z for z in clean.zones if z not in ABBREVIATIONS and "/" not in z)
        sql = _or_text(sql, text, required=required)
        return TimeStyle(test, sql, note, day=day, unknown_zones=unknown)
    return TimeStyle(test, _or_text(parsed, text, required=required), note, day=day)


def _or_text(sql: str, text: str, *, required: bool) -> str:
    """A required cell that does not parse is missing, and its row is rejected; an optional one
    keeps its text, so that the contract sees it and counts it."""
    return sql if required else f"coalesce(CAST({sql} AS VARCHAR), {text})"


def _zones_sql(parsed: str, text: str, zones: list[str]) -> str:
    # Of a zone that was seen in winter the summer time too: it comes with later rows.
    seen = {*zones, *(name for zone in SEASONS if set(zone) & set(zones) for name in zone)}
    whens = "".join(
        f" WHEN {literal(zone)} THEN "
        + (
            f"CAST(strftime({parsed}, '%Y-%m-%dT%H:%M:%S') || '{ABBREVIATIONS[zone]}' "
            "AS TIMESTAMPTZ)"
            if zone in ABBREVIATIONS
            else f"timezone({literal(zone)}, {parsed})"
        )
        for zone in sorted(seen)
        if zone in ABBREVIATIONS or "/" in zone
    )
    if not whens:  # the column is refused
        return "CAST(NULL AS TIMESTAMPTZ)"
    return f"CASE regexp_extract({text}, {literal(ZONE_NAME)}, 1){whens} END"


def zone_in_name(column: str) -> str:
    """The zone that the name of a column says: "UTC" of `Created (UTC)`, or ''."""
    words = {word.upper() for word in split_words(column)}
    known = [word for word in ("UTC", "GMT", *ABBREVIATIONS) if word in words]
    return known[0] if known else ""
