"""How the values of one column are written, and the SQL that reads them.

Each reader gets a column and returns a Cell, or None where the values do not fit the type. No value
leaves this module, except for the words of a kind.
"""

from __future__ import annotations

from collections.abc import Callable

from features.tables.parsing import FLOATS, INTEGERS, literal
from lifecycle.init.cell import MIN_FIT, Cell
from lifecycle.init.kinds import read_kind
from lifecycle.init.money import read_number
from lifecycle.init.source import Source
from lifecycle.init.times import read_times
from lifecycle.init.value_words import FLAG_WORDS

__all__ = ["Cell", "read_cell"]

_EMAIL = r"regexp_matches(v, '^[^@ ]+@[^@ ]+[.][^@ ]+$')"
_CONTRACT_FLAGS = ("true", "1", "yes", "t", "y", "false", "0", "no", "f", "n")


def read_cell(
    source: Source, column: str, shape: str, table: str, *, required: bool
) -> Cell | None:
    """Read the column as `shape`: id, text, flag, money, number, instant or kind."""
    type_ = source.types[column]
    if type_.startswith(("STRUCT", "MAP", "BLOB")) or type_.endswith("]"):
        return None
    if shape == "instant":
        return read_times(source, column, required=required)
    if shape == "kind":
        return read_kind(source, column, table)
    return _READERS[shape](source, column)


def _read_text(source: Source, column: str) -> Cell:
    return Cell(column, source.sql(column))


def read_id(source: Source, column: str) -> Cell | None:
    """The column as ids: without `.0` and a leading apostrophe, e-mails in small letters."""
    x, type_ = source.sql(column), source.types[column]
    tests = [r"regexp_matches(v, '^\d+[.]0$')", "v LIKE '''%'", _EMAIL, "v <> lower(v)"]
    tests.append("v LIKE '{%' OR v LIKE '[%'")
    count, whole, apostrophes, emails, capitals, nested = source.count_shapes(column, tests)
    if count == 0:
        return None
    if nested:
        return _read_nested_id(source, column, count)
    if type_ in FLOATS:
        if whole != count:
            return None
        note = f"{column} holds whole numbers as floats; they become text without .0."
        return Cell(column, f"CAST(CAST({x} AS BIGINT) AS VARCHAR)", notes=(note,))
    if type_ != "VARCHAR":
        return Cell(column, x if type_ in (*INTEGERS, "UUID") else f"CAST({x} AS VARCHAR)")
    notes = []
    if apostrophes:
        x = f"ltrim({x}, '''')"
        notes.append(f"{column}: the apostrophe before each id is removed.")
    if whole >= MIN_FIT * count:
        x = f"regexp_replace({x}, '[.]0$', '')"
        notes.append(f"{column}: the .0 at the end of each id is removed.")
    if emails >= MIN_FIT * count:
        x = f"lower(trim({x}))"
        if capitals:
            notes.append(f"{column}: e-mails are compared in small letters.")
    return Cell(column, x, notes=tuple(notes))


def _read_nested_id(source: Source, column: str, count: int) -> Cell | None:
    """The id, or else the e-mail, of objects such as {"id": 7, "orders": 2}; None without one."""
    x = source.sql(column)
    for name in ("id", "customer_id", "email"):
        inner = f"json_extract_string(TRY_CAST({x} AS JSON), '$.{name}')"
        plain = f"CASE WHEN ltrim({x})[1] NOT IN ('{{', '[') THEN {x} ELSE {inner} END"
        sql = f"lower(trim({plain}))" if name == "email" else plain
        filled = source.query_count(
            f"SELECT count(nullif(trim({sql}), '')) FROM {source.sample} WHERE trim({x}) <> ''"
        )
        if filled >= MIN_FIT * count:
            note = f"{column} holds objects: {column}.{name} is read."
            return Cell(column, sql, notes=(note,))
    return None


def is_email(source: Source, column: str) -> bool:
    """Whether nearly all values of the column are e-mail addresses."""
    if source.types[column] != "VARCHAR":
        return False
    count, emails = source.count_distinct(column, [_EMAIL])
    return bool(count) and emails >= MIN_FIT * count


def _read_flag(source: Source, column: str) -> Cell | None:
    words = {word: value for value, listed in FLAG_WORDS.items() for word in listed.split()}
    texts = ", ".join(literal(word) for word in words)
    plain = ", ".join(literal(word) for word in _CONTRACT_FLAGS)
    x, tests = source.sql(column), [f"lower(v) IN ({texts})", f"lower(v) IN ({plain})"]
    some, some_flags, _ = source.count_distinct(column, tests)
    if not some or some_flags < some:
        return None
    count, flags, contract = source.count_distinct(column, tests, limit=None)
    if flags < count:
        return None
    if contract == count:
        return Cell(column, x)
    used = source.query(f"SELECT DISTINCT lower(v) FROM ({source.values(column)}) ORDER BY 1")
    whens = "".join(f" WHEN {literal(row[0])} THEN '{words[row[0]]}'" for row in used)
    return Cell(column, f"CASE lower(trim({x})){whens} END")


_READERS: dict[str, Callable[[Source, str], Cell | None]] = {
    "id": read_id,
    "text": _read_text,
    "flag": _read_flag,
    "money": read_number,
    "number": read_number,
}
