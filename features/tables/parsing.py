"""How the contract reads one column: SQL for the value, and SQL tests for cells that break a rule.

Text is read by pattern and types are never guessed: `00123` stays `00123`, `10.75` is exactly 1,075
cents, `infinity` and `epoch` are not instants. A local time without an offset that a clock change
skipped is read with the offset before the change (02:30 as 03:30); one that occurred twice is read
as the later of the two. So no row is known too early. `features.tables.clock_changes` counts both.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from features.core.contract import (
    EARLIEST_US,
    LATEST_US,
    MONEY_LIMIT,
    NUMBER_LIMIT,
    OPEN_END_US,
    OPEN_FROM_US,
    TRIMMED,
    Column,
)
from features.core.errors import NaiveTime, WrongType
from features.tables.zone_shifts import local_shift

INSTANT = r"^\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2}([.]\d{1,9})?)?)?(Z|[+-]\d{2}(:?\d{2})?)?$"
MONTH = r"^\d{4}-\d{2}$"
# What most exports write, in years that no zone moves beyond a limit. It is tried first, because
# the rules below cost ten times as much.
_YEARS = r"(197[1-9]|19[89]\d|20[0-8]\d|209[0-8])"
PLAIN_LOCAL = _YEARS + r"-\d\d-\d\d([ T]\d\d:\d\d(:\d\d([.]\d{1,6})?)?)?"
PLAIN_ZONED = _YEARS + r"-\d\d-\d\d[ T]\d\d:\d\d:\d\d([.]\d{1,6})?(Z|[+-]\d\d(:\d\d)?)"
# Text with nothing to trim: a trim of these signs costs ten times as much as this pattern.
TRIMMED_ALREADY = f"(?s)[^{TRIMMED}](.*[^{TRIMMED}])?"
ZONED = r"\d{2}:\d{2}.*(Z|[+-]\d{2}(:?\d{2})?)$"
PLAIN_NUMBER = r"-?\d{1,15}([.]\d{1,15})?"
NUMBER = r"^[+-]?(\d+([.]\d*)?|[.]\d+)([eE][+-]?\d+)?$"
DECIMAL = r"^[+-]?(\d+([.]\d*)?|[.]\d+)$"
# A spreadsheet's 1.05E+03, as far as its value has at most 12 decimals.
SCIENTIFIC = r"^[+-]?\d([.]\d{0,6})?[eE]([+]?\d{1,2}|-0?[1-6])$"
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
    "month": "BIGINT",
    "money": "BIGINT",
    "number": "DOUBLE",
    "flag": "BOOLEAN",
}


@dataclass(frozen=True)
class ColumnSql:
    """SQL for one column.

    value: SQL for the parsed cell; null where it is empty or unreadable. broken: (reason, SQL test)
    pairs; a row for which a test is true is rejected with that reason. local: for instants that may
    come without an offset, SQL for the local TIMESTAMP of those; else ''. limits: SQL tests of the
    parsed column `{}`; a cell that is parsed and passes them breaks no rule.
    """

    value: str
    violations: tuple[tuple[str, str], ...]
    local: str = ""
    limits: tuple[str, ...] = ()


def quote_identifier(name: str) -> str:
    """The name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """The text as an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def local_day(zone: str, *, of: str = "occurred_at") -> str:
    """SQL for the local day of the instant `of` in `zone`, as days since 1970-01-01."""
    local = f"timezone({literal(zone)}, make_timestamptz({of}))"
    return f"CAST(date_diff('day', DATE '1970-01-01', CAST({local} AS DATE)) AS INTEGER)"


def local_hour(zone: str) -> str:
    """SQL for the hour (0–23) that the clock of `zone` shows at `occurred_at`."""
    local = f"timezone({literal(zone)}, make_timestamptz(occurred_at))"
    return f"CAST(extract('hour' FROM {local}) AS INTEGER)"


def column_sql(
    column: Column,
    *,
    raw: str,
    raw_type: str,
    table: str,
    zone: str | None,
    digits: int,
    many_rows: bool = False,
) -> ColumnSql:
    """SQL that reads `column` from the SQL expression `raw` of DuckDB type `raw_type`.

    digits: decimal digits of the currency. zone: time zone of instants without an offset; where it
    is None, such instants break the rule "naive". many_rows: SQL that takes longer to plan and less
    to run, with the same values. Raises WrongType where no value of `raw_type` can be read as the
    column's type.
    """
    where = f"{table}.{column.name}"
    if column.open_end:
        read = _instant(raw, raw_type.upper(), where, zone, digits, open_end=True)
    else:
        read = _READERS[column.type](raw, raw_type.upper(), where, zone, digits)
    rules, limits = list(read.violations), list(read.limits)
    if column.kinds:
        allowed = ", ".join(literal(kind) for kind in column.kinds)
        rules.append((f"{column.name}_unknown", f"({read.value}) NOT IN ({allowed})"))
        limits.append(f"{{}} IN ({allowed})")
    if column.required:
        rules.append((f"{column.name}_missing", f"({read.value}) IS NULL"))
    value = read.value
    if column.type == "instant" and raw_type.upper() == "VARCHAR":
        value = _plain_instant(raw, zone or "UTC", value, many_rows=many_rows)
    return ColumnSql(value, tuple(rules), read.local, tuple(limits))


def _wrong_type(where: str, raw_type: str, wanted: str, fix: str) -> WrongType:
    return WrongType(where=where, got=f"type {raw_type}", rule=f"This column is {wanted}.", fix=fix)


def _non_blank(raw: str) -> str:
    """SQL for the trimmed text; null where nothing is left."""
    return f"nullif(trim({raw}, '{TRIMMED}'), '')"


def _trimmed(raw: str) -> str:
    """SQL for the same as `_non_blank`, for values that most rows have trimmed."""
    return (
        f"CASE WHEN regexp_full_match({raw}, '{TRIMMED_ALREADY}') THEN {raw} "
        f"ELSE {_non_blank(raw)} END"
    )


def _id(raw: str, raw_type: str, where: str, zone: str | None, digits: int) -> ColumnSql:
    if raw_type in INTEGERS:
        return ColumnSql(f"CAST({raw} AS VARCHAR)", ())
    if raw_type == "UUID":
        return ColumnSql(f"CAST({raw} AS VARCHAR)", ())
    if raw_type != "VARCHAR":
        raise _wrong_type(
            where, raw_type, "an id: text or whole numbers", "Cast it to VARCHAR in the SELECT."
        )
    return ColumnSql(_trimmed(raw), ())


def _text(raw: str, raw_type: str, where: str, zone: str | None, digits: int) -> ColumnSql:
    if raw_type.startswith(("STRUCT", "MAP", "BLOB")) or raw_type.endswith("]"):
        raise _wrong_type(where, raw_type, "text", "Select one plain value.")
    return ColumnSql(_trimmed(f"CAST({raw} AS VARCHAR)"), ())


def _flag(raw: str, raw_type: str, where: str, zone: str | None, digits: int) -> ColumnSql:
    if raw_type == "BOOLEAN":
        return ColumnSql(raw, ())
    if raw_type != "VARCHAR" and raw_type not in INTEGERS:
        raise _wrong_type(
            where, raw_type, "a flag: true or false", "Write a condition in the SELECT."
        )
    text = _non_blank(f"CAST({raw} AS VARCHAR)")
    value = (
        f"CASE WHEN lower({text}) IN ('true','1','yes','t','y') THEN true "
        f"WHEN lower({text}) IN ('false','0','no','f','n') THEN false END"
    )
    return ColumnSql(
        value, ((f"{where.split('.')[1]}_not_a_flag", f"{text} IS NOT NULL AND ({value}) IS NULL"),)
    )


def _number(raw: str, raw_type: str, where: str, zone: str | None, digits: int) -> ColumnSql:
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
        raise _wrong_type(where, raw_type, "a number", "Cast it to DOUBLE in the SELECT.")
    text = _non_blank(raw)
    cast = f"CASE WHEN regexp_matches({text}, '{NUMBER}') THEN TRY_CAST({text} AS DOUBLE) END"
    value = f"CASE WHEN isfinite({cast}) THEN {cast} END"
    read = _bounded(
        name, value, ((f"{name}_not_a_number", f"{text} IS NOT NULL AND ({value}) IS NULL"),)
    )
    plain = f"regexp_full_match({raw}, '{PLAIN_NUMBER}')"
    return replace(read, value=f"CASE WHEN {plain} THEN TRY_CAST({raw} AS DOUBLE) ELSE {value} END")


def _bounded(name: str, value: str, broken: tuple[tuple[str, str], ...]) -> ColumnSql:
    rules = (*broken, (f"{name}_out_of_range", f"abs({value}) > {NUMBER_LIMIT}"))
    return ColumnSql(value, rules, limits=(f"abs({{}}) <= {NUMBER_LIMIT}",))


def _money(raw: str, raw_type: str, where: str, zone: str | None, digits: int) -> ColumnSql:
    name, scale = where.split(".")[1], 10**digits
    if raw_type == "FLOAT":
        # The shortest text of the 9.9 of 32 bits is 9.9; as a double it would be 9.8999996.
        raw = f"CAST(CAST({raw} AS VARCHAR) AS DOUBLE)"
    if raw_type in FLOATS:
        return _money_from_float(name, raw, scale)
    if raw_type in INTEGERS or raw_type.startswith("DECIMAL"):
        text, amount = f"CAST({raw} AS VARCHAR)", f"CAST({raw} AS VARCHAR)"
    elif raw_type == "VARCHAR":
        text = _non_blank(raw)
        exact = f"CAST(TRY_CAST({text} AS DECIMAL(38, 12)) AS VARCHAR)"
        amount = (
            f"CASE WHEN regexp_matches({text}, '{DECIMAL}') THEN {text} "
            f"WHEN regexp_matches({text}, '{SCIENTIFIC}') THEN {exact} END"
        )
    else:
        raise _wrong_type(
            where, raw_type, "money: a decimal number", "Cast it to DECIMAL in the SELECT."
        )
    read = _money_from_decimal(name, text, amount, scale)
    return (
        replace(read, value=_plain_money(raw, digits, read.value))
        if raw_type == "VARCHAR"
        else read
    )


def _plain_money(raw: str, digits: int, otherwise: str) -> str:
    """SQL for the minor units of an amount without anything unusual; else of `otherwise`."""
    pattern = r"-?\d{1,12}" + (rf"([.]\d{{1,{digits}}})?" if digits else "")
    minor = f"CAST(TRY_CAST({raw} AS DECIMAL(18, {digits})) * {10**digits} AS BIGINT)"
    return f"CASE WHEN regexp_full_match({raw}, '{pattern}') THEN {minor} ELSE {otherwise} END"


def _money_from_float(name: str, raw: str, scale: int) -> ColumnSql:
    minor = f"({raw} * {scale})"
    readable = f"(isfinite({raw}) AND abs({minor}) <= {MONEY_LIMIT})"
    # A float is exact money only if it lies within its own rounding error of a whole minor unit.
    whole = f"abs({minor} - round({minor})) <= greatest(1e-6, abs({minor}) * 1e-12)"
    value = f"CASE WHEN {readable} AND {whole} THEN CAST(round({minor}) AS BIGINT) END"
    return ColumnSql(
        value,
        (
            (f"{name}_not_finite", f"{raw} IS NOT NULL AND NOT isfinite({raw})"),
            (f"{name}_out_of_range", f"isfinite({raw}) AND abs({minor}) > {MONEY_LIMIT}"),
            (f"{name}_finer_than_minor_units", f"{readable} AND NOT ({whole})"),
        ),
    )


def _money_from_decimal(name: str, text: str, amount: str, scale: int) -> ColumnSql:
    minor = f"(TRY_CAST({amount} AS DECIMAL(38, 12)) * {scale})"
    fits = f"abs({minor}) <= {MONEY_LIMIT} AND {minor} = trunc({minor})"
    return ColumnSql(
        f"CASE WHEN {fits} THEN CAST({minor} AS BIGINT) END",
        (
            (f"{name}_not_money", f"{text} IS NOT NULL AND {amount} IS NULL"),
            (
                f"{name}_out_of_range",
                f"{amount} IS NOT NULL AND coalesce(abs({minor}) > {MONEY_LIMIT}, true)",
            ),
            (f"{name}_finer_than_minor_units", f"{minor} <> trunc({minor})"),
        ),
    )


def _instant(
    raw: str,
    raw_type: str,
    where: str,
    zone: str | None,
    digits: int,
    *,
    open_end: bool = False,
) -> ColumnSql:
    """open_end: an instant in 2099 or later means that there is no end."""
    name = where.split(".")[1]
    if raw_type == "TIMESTAMP WITH TIME ZONE":
        cast, text, naive, local = raw, raw, None, ""
    elif raw_type == "DATE" or raw_type.startswith("TIMESTAMP"):
        local = f"CAST({raw} AS TIMESTAMP)"
        cast, text, naive = f"timezone({literal(zone or 'UTC')}, {local})", raw, raw
    elif raw_type == "VARCHAR":
        cast, text, naive, local = _instant_from_text(raw, zone or "UTC")
    else:
        raise _wrong_type(
            where, raw_type, "an instant", "Use make_timestamp(…) or strptime(…) in the SELECT."
        )
    micros = f"CASE WHEN isfinite({cast}) THEN epoch_us({cast}) END"
    inside = f"{micros} >= {EARLIEST_US} AND {micros} < {LATEST_US}"
    outside = "outside_1970_2200"
    if open_end:
        micros = f"CASE WHEN ({micros}) >= {OPEN_FROM_US} THEN {OPEN_END_US} ELSE {micros} END"
        inside, outside = f"({micros}) >= {EARLIEST_US}", "before_1970"
    rules = [
        (f"{name}_not_an_instant", f"{text} IS NOT NULL AND ({micros}) IS NULL"),
        (f"{name}_{outside}", f"NOT ({inside})"),
    ]
    if zone is None and naive is not None:
        rules.append(("naive", f"({naive}) IS NOT NULL"))
    return ColumnSql(f"CASE WHEN {inside} THEN {micros} END", tuple(rules), local)


def _plain_instant(raw: str, zone: str, otherwise: str, *, many_rows: bool) -> str:
    """SQL for the µs of an instant without anything unusual; else of `otherwise`."""
    local = f"epoch_us(timezone({literal(zone)}, TRY_CAST({raw} AS TIMESTAMP)))"
    if many_rows:
        shift = local_shift(raw, zone)
        local = f"coalesce(epoch_us(TRY_CAST({raw} AS TIMESTAMP)) - {shift}, {local})"
    return (
        f"CASE WHEN regexp_full_match({raw}, '{PLAIN_LOCAL}') THEN {local} "
        f"WHEN regexp_full_match({raw}, '{PLAIN_ZONED}') THEN "
        f"epoch_us(TRY_CAST({raw} AS TIMESTAMPTZ)) ELSE {otherwise} END"
    )


def _instant_from_text(raw: str, zone: str) -> tuple[str, str, str, str]:
    """SQL for the instant, the trimmed text, the text without an offset, its local TIMESTAMP."""
    text = _non_blank(raw)
    matches = f"regexp_matches({text}, '{INSTANT}')"
    zoned = f"regexp_matches({text}, '{ZONED}')"
    in_zone = f"timezone({literal(zone)}, TRY_CAST({text} AS TIMESTAMP))"
    cast = (
        f"CASE WHEN {matches} THEN "
        f"CASE WHEN {zoned} THEN TRY_CAST({text} AS TIMESTAMPTZ) ELSE {in_zone} END END"
    )
    naive = f"CASE WHEN NOT {zoned} THEN {text} END"
    local = f"CASE WHEN {matches} AND NOT {zoned} THEN TRY_CAST({text} AS TIMESTAMP) END"
    return cast, text, naive, local


def _month(raw: str, raw_type: str, where: str, zone: str | None, digits: int) -> ColumnSql:
    """The local beginning of a month, from YYYY-MM or from any instant of it."""
    if raw_type == "VARCHAR":
        text = _non_blank(raw)
        raw = f"CASE WHEN regexp_matches({text}, '{MONTH}') THEN {text} || '-01' ELSE {text} END"
    read = _instant(raw, raw_type, where, zone, digits)
    own_zone = literal(zone or "UTC")
    local = f"timezone({own_zone}, make_timestamptz({read.value}))"
    start = f"epoch_us(timezone({own_zone}, date_trunc('month', {local})))"
    # A month is not a time of day: one without an offset needs no zone.
    rules = tuple(rule for rule in read.violations if rule[0] != "naive")
    return ColumnSql(start, rules)


_READERS = {
    "id": _id,
    "instant": _instant,
    "month": _month,
    "money": _money,
    "number": _number,
    "text": _text,
    "flag": _flag,
}


def naive_time_error(where: str, count: int) -> NaiveTime:
    return NaiveTime(
        where=where,
        got=f"{count:,} times without a zone",
        rule="A time without an offset needs a time zone.",
        fix='Set your zone under [business], for example zone = "Europe/London", '
        "or write the offset into the data.",
    )
