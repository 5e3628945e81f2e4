"""The contract's strict reading of one column: an SQL value and an SQL test for cells that break the rule.

Text is read by pattern, never by sniffing: `00123` stays `00123`, `10.75` is exactly 1,075 cents, `infinity` and
`epoch` are not instants. A naive local time that a clock change skipped reads with the offset before the change (02:30 as
03:30), one that it repeated as the later of the two: nothing is known too early. `features.tables.clock_changes` counts both.
"""

from __future__ import annotations

from dataclasses import dataclass

from features.core.contract import EARLIEST_US, LATEST_US, MONEY_LIMIT, NUMBER_LIMIT, Column
from features.core.errors import NaiveTime, WrongType

INSTANT = r"^\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2}([.]\d{1,9})?)?)?(Z|[+-]\d{2}(:?\d{2})?)?$"
ZONED = r"\d{2}:\d{2}.*(Z|[+-]\d{2}(:?\d{2})?)$"
NUMBER = r"^[+-]?(\d+([.]\d*)?|[.]\d+)([eE][+-]?\d+)?$"
DECIMAL = r"^[+-]?(\d+([.]\d*)?|[.]\d+)$"
INTEGERS = (
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "HUGEINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "UBIGINT",
)
FLOATS = ("FLOAT", "DOUBLE")
SQL_TYPES = {
    "id": "VARCHAR",
    "text": "VARCHAR",
    "instant": "BIGINT",
    "money": "BIGINT",
    "number": "DOUBLE",
    "flag": "BOOLEAN",
}


@dataclass(frozen=True)
class Reading:
    """`value`: SQL for the parsed cell, null where empty or unreadable. `broken`: (reason, SQL test) pairs.

    `local`: for instants that may come without an offset, SQL for the local TIMESTAMP of those that do.
    """

    value: str
    broken: tuple[tuple[str, str], ...]
    local: str = ""


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def local_day(zone: str) -> str:
    """SQL for the day number (since 1970-01-01) that `occurred_at` has on the calendar of `zone`."""
    local = f"timezone({literal(zone)}, make_timestamptz(occurred_at))"
    return f"CAST(date_diff('day', DATE '1970-01-01', CAST({local} AS DATE)) AS INTEGER)"


def local_hour(zone: str) -> str:
    """SQL for the hour (0–23) that the clock of `zone` shows at `occurred_at`."""
    return f"CAST(extract('hour' FROM timezone({literal(zone)}, make_timestamptz(occurred_at))) AS INTEGER)"


def reading(
    column: Column, *, raw: str, raw_type: str, table: str, zone: str | None, digits: int
) -> Reading:
    """How to read `column` from the SQL expression `raw` of DuckDB type `raw_type`; WrongType or NaiveTime if never."""
    readers = {
        "id": _id,
        "instant": _instant,
        "money": _money,
        "number": _number,
        "text": _text,
        "flag": _flag,
    }
    where = f"{table}.{column.name}"
    read = readers[column.type](raw, raw_type.upper(), where, zone, digits)
    rules = list(read.broken)
    if column.kinds:
        allowed = ", ".join(literal(kind) for kind in column.kinds)
        rules.append((f"{column.name}_unknown", f"({read.value}) NOT IN ({allowed})"))
    if column.required:
        rules.append((f"{column.name}_missing", f"({read.value}) IS NULL"))
    return Reading(read.value, tuple(rules), read.local)


def _refuse(where: str, raw_type: str, wanted: str, fix: str) -> WrongType:
    return WrongType(where=where, got=f"type {raw_type}", rule=f"This column is {wanted}.", fix=fix)


def _blank(raw: str) -> str:
    return f"nullif(trim({raw}), '')"


def _id(raw: str, raw_type: str, where: str, zone: str | None, digits: int) -> Reading:
    if raw_type in INTEGERS:
        return Reading(f"CAST({raw} AS VARCHAR)", ())
    if raw_type == "UUID":
        return Reading(f"CAST({raw} AS VARCHAR)", ())
    if raw_type != "VARCHAR":
        raise _refuse(
            where, raw_type, "an id: text or whole numbers", "Cast it to VARCHAR in the SELECT."
        )
    return Reading(_blank(raw), ())


def _text(raw: str, raw_type: str, where: str, zone: str | None, digits: int) -> Reading:
    if raw_type.startswith(("STRUCT", "MAP", "BLOB")) or raw_type.endswith("]"):
        raise _refuse(where, raw_type, "text", "Select one plain value.")
    return Reading(_blank(f"CAST({raw} AS VARCHAR)"), ())


def _flag(raw: str, raw_type: str, where: str, zone: str | None, digits: int) -> Reading:
    if raw_type == "BOOLEAN":
        return Reading(raw, ())
    if raw_type != "VARCHAR" and raw_type not in INTEGERS:
        raise _refuse(where, raw_type, "a flag: true or false", "Write a condition in the SELECT.")
    text = _blank(f"CAST({raw} AS VARCHAR)")
    value = f"CASE WHEN lower({text}) IN ('true','1','yes','t','y') THEN true WHEN lower({text}) IN ('false','0','no','f','n') THEN false END"
    return Reading(
        value, ((f"{where.split('.')[1]}_not_a_flag", f"{text} IS NOT NULL AND ({value}) IS NULL"),)
    )


def _number(raw: str, raw_type: str, where: str, zone: str | None, digits: int) -> Reading:
    name = where.split(".")[1]
    if raw_type in INTEGERS or raw_type.startswith("DECIMAL"):
        return _bounded(name, f"CAST({raw} AS DOUBLE)", ())
    if raw_type in FLOATS:
        return _bounded(
            name,
            f"CASE WHEN isfinite({raw}) THEN CAST({raw} AS DOUBLE) END",
            ((f"{name}_not_finite", f"{raw} IS NOT NULL AND NOT isfinite({raw})"),),
        )
    if raw_type != "VARCHAR":
        raise _refuse(where, raw_type, "a number", "Cast it to DOUBLE in the SELECT.")
    text = _blank(raw)
    cast = f"CASE WHEN regexp_matches({text}, '{NUMBER}') THEN TRY_CAST({text} AS DOUBLE) END"
    value = f"CASE WHEN isfinite({cast}) THEN {cast} END"
    return _bounded(
        name, value, ((f"{name}_not_a_number", f"{text} IS NOT NULL AND ({value}) IS NULL"),)
    )


def _bounded(name: str, value: str, broken: tuple[tuple[str, str], ...]) -> Reading:
    return Reading(value, (*broken, (f"{name}_out_of_range", f"abs({value}) > {NUMBER_LIMIT}")))


def _money(raw: str, raw_type: str, where: str, zone: str | None, digits: int) -> Reading:
    name, scale = where.split(".")[1], 10**digits
    if raw_type in FLOATS:
        minor = f"({raw} * {scale})"
        readable = f"(isfinite({raw}) AND abs({minor}) <= {MONEY_LIMIT})"
        # A float is exact money only if it lies within its own noise of a whole minor unit.
        whole = f"abs({minor} - round({minor})) <= greatest(1e-6, abs({minor}) * 1e-12)"
        value = f"CASE WHEN {readable} AND {whole} THEN CAST(round({minor}) AS BIGINT) END"
        return Reading(
            value,
            (
                (f"{name}_not_finite", f"{raw} IS NOT NULL AND NOT isfinite({raw})"),
                (f"{name}_out_of_range", f"isfinite({raw}) AND abs({minor}) > {MONEY_LIMIT}"),
                (f"{name}_finer_than_minor_units", f"{readable} AND NOT ({whole})"),
            ),
        )
    if raw_type in INTEGERS or raw_type.startswith("DECIMAL"):
        text, amount = f"CAST({raw} AS VARCHAR)", f"CAST({raw} AS VARCHAR)"
    elif raw_type == "VARCHAR":
        text = _blank(raw)
        amount = f"CASE WHEN regexp_matches({text}, '{DECIMAL}') THEN {text} END"
    else:
        raise _refuse(
            where, raw_type, "money: a decimal number", "Cast it to DECIMAL in the SELECT."
        )
    minor = f"(TRY_CAST({amount} AS DECIMAL(38, 12)) * {scale})"
    value = f"CASE WHEN abs({minor}) <= {MONEY_LIMIT} AND {minor} = trunc({minor}) THEN CAST({minor} AS BIGINT) END"
    return Reading(
        value,
        (
            (f"{name}_not_money", f"{text} IS NOT NULL AND {amount} IS NULL"),
            (
                f"{name}_out_of_range",
                f"{amount} IS NOT NULL AND coalesce(abs({minor}) > {MONEY_LIMIT}, true)",
            ),
            (f"{name}_finer_than_minor_units", f"{minor} <> trunc({minor})"),
        ),
    )


def _instant(raw: str, raw_type: str, where: str, zone: str | None, digits: int) -> Reading:
    name = where.split(".")[1]
    if raw_type == "TIMESTAMP WITH TIME ZONE":
        cast, text, naive, wall = raw, raw, None, ""
    elif raw_type == "DATE" or raw_type.startswith("TIMESTAMP"):
        wall = f"CAST({raw} AS TIMESTAMP)"
        cast, text, naive = f"timezone({literal(zone or 'UTC')}, {wall})", raw, raw
    elif raw_type == "VARCHAR":
        text = _blank(raw)
        zoned = f"regexp_matches({text}, '{ZONED}')"
        local = f"timezone({literal(zone or 'UTC')}, TRY_CAST({text} AS TIMESTAMP))"
        cast = f"CASE WHEN regexp_matches({text}, '{INSTANT}') THEN CASE WHEN {zoned} THEN TRY_CAST({text} AS TIMESTAMPTZ) ELSE {local} END END"
        naive = f"CASE WHEN NOT {zoned} THEN {text} END"
        wall = f"CASE WHEN regexp_matches({text}, '{INSTANT}') AND NOT {zoned} THEN TRY_CAST({text} AS TIMESTAMP) END"
    else:
        raise _refuse(
            where, raw_type, "an instant", "Use make_timestamp(…) or strptime(…) in the SELECT."
        )
    micros = f"CASE WHEN isfinite({cast}) THEN epoch_us({cast}) END"
    inside = f"{micros} >= {EARLIEST_US} AND {micros} < {LATEST_US}"
    rules = [
        (f"{name}_not_an_instant", f"{text} IS NOT NULL AND ({micros}) IS NULL"),
        (f"{name}_outside_1970_2200", f"NOT ({inside})"),
    ]
    if zone is None and naive is not None:
        rules.append(("naive", f"({naive}) IS NOT NULL"))
    return Reading(f"CASE WHEN {inside} THEN {micros} END", tuple(rules), wall)


def naive_time(where: str, count: int) -> NaiveTime:
    return NaiveTime(
        where=where,
        got=f"{count:,} times without a zone",
        rule="A naive time needs a stated zone.",
        fix='Set [business] zone = "Europe/London" (yours), or write the offset into the data.',
    )
