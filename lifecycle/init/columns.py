"""What a column is, from its name and its values: the shapes that cells come in, and SQL that reads them.

A name is compared without case, spaces and underscores (`CustomerID` = `customer_id`), best synonym first; only then
does the last word of a name count, and the reason says so. A name alone is not believed: the values looked at must
fit the type. No value leaves this module, but for the words of a kind.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import duckdb

from features.core.contract import CONTRACT
from features.tables.parsing import DECIMAL, FLOATS, INSTANT, INTEGERS, ZONED, literal, quoted
from lifecycle.init.words import (
    BLANK_WORDS,
    CURRENCY_SIGNS,
    DATE_FORMATS,
    ENDINGS,
    KIND_WORDS,
    NOT_BY_ENDING,
    SYNONYMS,
)

FITS = 0.95
DISTINCT_LOOKED_AT = 5_000
KINDS_AT_MOST = 100
_FLAGS = "lower(v) IN ('true', '1', 'yes', 't', 'y', 'false', '0', 'no', 'f', 'n')"
_CLOCK = "contains(v, ':') AND NOT regexp_matches(v, '[ T]00:00(:00([.]0+)?)?$')"
_SIGNS = "".join(CURRENCY_SIGNS) + " \u00a0\u202f"
_THOUSANDS = "regexp_replace({x}, '[%s]([0-9]{{3}})', '\\1', 'g')"
_NUMBERS = (
    (DECIMAL, "{x}", ""),
    (r"^[+-]?\d+(,\d{1,2})?$", "replace({x}, ',', '.')", "a comma for the decimals"),
    (r"^[+-]?(\d+|\d{1,3}(,\d{3})+)([.]\d*)?$", _THOUSANDS % ",", "commas between the thousands"),
    (
        r"^[+-]?(\d+|\d{1,3}([.]\d{3})+)(,\d{1,2})?$",
        f"replace({_THOUSANDS % '.'}, ',', '.')",
        "dots between the thousands and a comma for the decimals",
    ),
)


@dataclass(frozen=True)
class Source:
    """One file: the view `whole`, the table `look` of the rows whose values are looked at, its columns and types."""

    connection: duckdb.DuckDBPyConnection
    name: str
    path: Path
    rows: int
    looked: int
    types: dict[str, str]
    keywords: frozenset[str]
    remembered: dict = field(default_factory=dict, compare=False)

    @property
    def whole(self) -> str:
        return quoted(self.name)

    @property
    def look(self) -> str:
        return quoted(f"look at {self.name}")

    def ask(self, query: str) -> list[tuple]:
        return self.connection.execute(query).fetchall()

    def sql(self, column: str) -> str:
        """The column in SQL: quoted if it must be, and empty where a word such as NULL stands for nothing."""
        plain = (
            re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", column) and column.lower() not in self.keywords
        )
        name = column if plain else quoted(column)
        for word in self._blank_words(column):
            name = f"nullif({name}, {literal(word)})"
        return name

    def _blank_words(self, column: str) -> list[str]:
        if ("blank", column) not in self.remembered and self.types[column] == "VARCHAR":
            listed = ", ".join(literal(word) for word in BLANK_WORDS)
            found = self.ask(
                f"SELECT DISTINCT {quoted(column)} FROM {self.look} WHERE lower({quoted(column)}) IN ({listed}) ORDER BY 1"
            )
            self.remembered["blank", column] = [row[0] for row in found]
        return self.remembered.get(("blank", column), [])

    def count(self, column: str, tests: list[str]) -> list[int]:
        """How many distinct values there are, and how many pass each SQL test of `v`, the trimmed text."""
        counted = ", ".join(f"count(*) FILTER (WHERE {test})" for test in tests)
        return list(
            self.ask(
                f"SELECT count(*), {counted} FROM ({self.values(column, DISTINCT_LOOKED_AT)})"
            )[0]
        )

    def values(self, column: str, most: int) -> str:
        """SQL for distinct values `v`, in the order of a hash: any other would show one month's days first."""
        every = f"SELECT DISTINCT trim(CAST({self.sql(column)} AS VARCHAR)) AS v FROM {self.look}"
        return f"SELECT v FROM ({every}) WHERE v <> '' ORDER BY hash(v) LIMIT {most}"

    def signs(self, column: str) -> str:
        """The signs of money, and the spaces, that stand in the column."""
        _, *seen = self.count(column, [f"contains(v, {literal(sign)})" for sign in _SIGNS])
        return "".join(sign for sign, times in zip(_SIGNS, seen, strict=True) if times)


@dataclass(frozen=True)
class Cell:
    """A column read as something: SQL for it, how its times are written (days, naive, offset), what to say."""

    column: str
    sql: str
    clock: str = ""
    notes: tuple[str, ...] = ()


class _Way(NamedTuple):
    """One way to write an instant: an SQL test of `v`, the SQL that reads it, its strptime format if it has one."""

    test: str
    sql: str
    format: str = ""
    offset: bool = False


def words(name: str) -> list[str]:
    """`InvoiceDate`, `invoice_date` and `Invoice Date` are all ["invoice", "date"]."""
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", unicodedata.normalize("NFKC", name))
    return [word.casefold() for word in re.findall(r"[^\W_]+", spaced)]


def squashed(name: str) -> str:
    return "".join(words(name))


def stem_words(source: Source) -> set[str]:
    """The words of the file's name, and the name as one word."""
    stem = source.path.name.split(".")[0]
    return {*words(stem), squashed(stem)}


def constant_kind(source: Source, table: str) -> str | None:
    """The kind of every row by the file's name: tickets.csv holds complaints."""
    kinds = KIND_WORDS.get(table, {}).items()
    return next(
        (
            kind
            for kind, said in kinds
            if stem_words(source) & set(map(squashed, (kind, *said.split())))
        ),
        None,
    )


def understand(source: Source, table: str) -> dict[str, Cell]:
    """Which column plays which role, if the file were this contract table; each column plays one."""
    found: dict[str, Cell] = {}
    for role, names in SYNONYMS[table].items():
        taken = {cell.column for cell in found.values()}
        for column, by_ending in _candidates(source, role, names):
            cell = None if column in taken else _remembered(source, column, table, role)
            if cell is not None:
                said = (
                    (f"CHECK: {column} was taken for {role} by the end of its name alone.",)
                    if by_ending
                    else ()
                )
                found[role] = Cell(cell.column, cell.sql, cell.clock, said + cell.notes)
                break
    return found


def _candidates(source: Source, role: str, names: str) -> list[tuple[str, bool]]:
    """Columns that may play the role, best first: whole names in the synonyms' order, then endings in the file's."""
    order = [squashed(name) for name in names.split()]
    exact = [column for column in source.types if squashed(column) in order]
    exact.sort(key=lambda column: order.index(squashed(column)))
    ends = ENDINGS.get(role, "").split()
    rest = [
        column
        for column in source.types
        if column not in exact and not set(NOT_BY_ENDING.split()) & set(words(column))
    ]
    rest = [column for column in rest if len(words(column)) > 1 and words(column)[-1] in ends]
    return [(column, False) for column in exact] + [(column, True) for column in rest]


def _remembered(source: Source, column: str, table: str, role: str) -> Cell | None:
    known = {c.name: c for c in CONTRACT[table].columns}.get(role)
    required = known is not None and known.required
    shape = (
        "kind"
        if role == "kind"
        else known.type
        if known
        else "money"
        if role == "price"
        else "text"
    )
    key = (shape, column, required, table if role == "kind" else "")
    if key not in source.remembered:
        source.remembered[key] = _read(source, column, shape, table, required)
    return source.remembered[key]


def _read(source: Source, column: str, shape: str, table: str, required: bool) -> Cell | None:
    if source.types[column].startswith(("STRUCT", "MAP", "BLOB")) or source.types[column].endswith(
        "]"
    ):
        return None
    if shape == "instant":
        return _instant(source, column, required)
    if shape == "kind":
        return _kind(source, column, table)
    return {"id": _id, "text": _text, "flag": _flag, "money": _number, "number": _number}[shape](
        source, column
    )


def _text(source: Source, column: str) -> Cell:
    return Cell(column, source.sql(column))


def _id(source: Source, column: str) -> Cell | None:
    x, type_ = source.sql(column), source.types[column]
    count, whole = source.count(column, [r"regexp_matches(v, '^\d+[.]0$')"])
    if count == 0:
        return None
    if type_ in FLOATS:
        said = f"{column} holds whole numbers as floats; they become text without .0."
        return (
            Cell(column, f"CAST(CAST({x} AS BIGINT) AS VARCHAR)", notes=(said,))
            if whole == count
            else None
        )
    if type_ == "VARCHAR" and whole == count:
        return Cell(
            column,
            f"regexp_replace({x}, '[.]0$', '')",
            notes=(f"{column}: a float's .0 is taken off its ids.",),
        )
    return Cell(column, x if type_ in (*INTEGERS, "VARCHAR", "UUID") else f"CAST({x} AS VARCHAR)")


def _flag(source: Source, column: str) -> Cell | None:
    count, flags = source.count(column, [_FLAGS])
    return Cell(column, source.sql(column)) if count and flags == count else None


def _number(source: Source, column: str) -> Cell | None:
    x, type_ = source.sql(column), source.types[column]
    if type_ != "VARCHAR":
        return (
            Cell(column, x)
            if type_ in (*INTEGERS, *FLOATS) or type_.startswith("DECIMAL")
            else None
        )
    signs = source.signs(column)
    bare = f"translate(%s, {literal(signs)}, '')" if signs else "%s"
    ways = [(given, *number) for given in dict.fromkeys(("%s", bare)) for number in _NUMBERS]
    tests = [f"regexp_matches({given % 'v'}, '{pattern}')" for given, pattern, _, _ in ways]
    count, *fits = source.count(column, tests)
    best = fits.index(max(fits))
    if count == 0 or fits[best] < FITS * count:
        return None
    given, _, template, said = ways[best]
    told = " and ".join(
        part for part in (said, "signs or spaces" if "translate" in given else "") if part
    )
    notes = (f"{column} is written with {told}, which the SELECT takes out.",) if told else ()
    return Cell(column, template.format(x=given % x), notes=notes)


def _kind(source: Source, column: str, table: str) -> Cell | None:
    """A column of kinds: known words become the contract's; the others stay, for the contract to refuse by count."""
    values = f"SELECT trim(CAST({source.sql(column)} AS VARCHAR)) AS v FROM {source.look}"
    seen = dict(
        source.ask(
            f"SELECT v, count(*) FROM ({values}) WHERE v <> '' GROUP BY v ORDER BY v LIMIT {KINDS_AT_MOST + 1}"
        )
    )
    known = {
        squashed(word): kind
        for kind, listed in KIND_WORDS[table].items()
        for word in (kind, *listed.split())
    }
    mapped = {value: known[squashed(value)] for value in seen if squashed(value) in known}
    unknown = sum(seen.values()) - sum(seen[value] for value in mapped)
    any_word = table == "interactions" and squashed(column) in (
        "event",
        "eventtype",
        "eventname",
        "action",
    )
    if not seen or len(seen) > KINDS_AT_MOST or (unknown > sum(seen.values()) / 2 and not any_word):
        return None
    if table == "transactions" and "purchase" not in mapped.values():
        return None
    kept = "stay as they are" if table == "interactions" else "are for the contract to refuse"
    said = f"{column} says the kind; words known here become the contract's."
    told = f"CHECK: kinds not known here in {column}: {len(seen) - len(mapped)}, on {unknown:,} of the rows looked at; they {kept}."
    return Cell(
        column, _kind_sql(source.sql(column), mapped), notes=(said, told) if unknown else (said,)
    )


def _kind_sql(x: str, mapped: dict[str, str]) -> str:
    if all(value == kind for value, kind in mapped.items()):
        return x
    renamed = {value.lower(): kind for value, kind in mapped.items() if value.lower() != kind}
    whens = "".join(
        f" WHEN {literal(value)} THEN {literal(kind)}" for value, kind in sorted(renamed.items())
    )
    return (
        f"CASE lower(trim({x})){whens} ELSE lower(trim({x})) END" if whens else f"lower(trim({x}))"
    )


def _instant(source: Source, column: str, required: bool) -> Cell | None:
    x = source.sql(column)
    text = x if source.types[column] == "VARCHAR" else f"CAST({x} AS VARCHAR)"
    # What needs no format comes first: it is quick to see, and never ambiguous.
    for ways in (_plain_ways(x, text), _formatted_ways(source, column, text, required)):
        tests = [f"regexp_matches(v, '{ZONED}')", _CLOCK, *(way.test for way in ways)]
        count, zoned, clocks, *fits = source.count(column, tests)
        if count and max(fits, default=0) >= FITS * count:
            way = ways[fits.index(max(fits))]
            clock = "offset" if way.offset or zoned == count else "naive" if clocks else "days"
            swapped = way.format.translate(str.maketrans("dm", "md"))
            rival = next(
                (fit for other, fit in zip(ways, fits, strict=True) if other.format == swapped),
                None,
            )
            said = (_said(column, way.format, max(fits), rival),) if way.format else ()
            return Cell(column, way.sql, clock, said)
    return None


def _plain_ways(x: str, text: str) -> list[_Way]:
    return [
        _Way(f"regexp_matches(v, '{INSTANT}') AND TRY_CAST(v AS TIMESTAMPTZ) IS NOT NULL", x),
        _Way(
            r"regexp_matches(v, '^\d{4}-\d{2}-\d{2} [0-9:.]+ UTC$')",
            f"replace({text}, ' UTC', 'Z')",
            offset=True,
        ),
        _Way(
            r"regexp_matches(v, '^[12]\d{9}$')",
            f"to_timestamp(TRY_CAST({text} AS BIGINT))",
            offset=True,
        ),
        _Way(
            r"regexp_matches(v, '^[12]\d{12}$')",
            f"to_timestamp(TRY_CAST({text} AS BIGINT) / 1000)",
            offset=True,
        ),
    ]


def _formatted_ways(source: Source, column: str, text: str, required: bool) -> list[_Way]:
    """The formats that some value has the look of; whether they fit is then counted over all looked at."""
    some = [row[0] for row in source.ask(source.values(column, 50))]
    ways = []
    for format_ in (
        known for known, shape in DATE_FORMATS.items() if any(map(shape.fullmatch, some))
    ):
        parsed = f"try_strptime({text}, {literal(format_)})"
        # A required cell that does not parse is missing, and its row refused; an optional one must not just vanish.
        sql = parsed if required else f"coalesce(CAST({parsed} AS VARCHAR), {text})"
        ways.append(
            _Way(f"year(try_strptime(v, {literal(format_)})) BETWEEN 1970 AND 2199", sql, format_)
        )
    return ways


def _said(column: str, format_: str, fits: int, rival: int | None) -> str:
    if rival is None:
        return f"{column} is written {format_}, as its values show."
    if rival == fits:
        return f"CHECK: {column} reads as well day first as month first (nothing over 12); taken as {format_}."
    return f"{column} is written {format_}: values over 12 show which number is the day."
