"""The columns of one file by the names of its vendor, and the SQL that reads them.

Names are compared without case, spaces, signs and a tail in brackets: "Create Date (EDT)" is
`create_date`, and `subscriptions.id` is "Subscriptions Id".
"""

from __future__ import annotations

import re
from dataclasses import replace

from features.core.errors import ColumnMissing
from lifecycle.init.cells import Cell, read_cell
from lifecycle.init.formats.zone_names import OFFSETS, PLACES, ZONES
from lifecycle.init.questions import Answers
from lifecycle.init.settle import settle_cell
from lifecycle.init.source import Source, squash

_TAIL = re.compile(r"\s*\([^)]*\)\s*$")
_ZONE_WORD = r"^\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}(:\d{2})? [A-Z]{3,4}$"
_WITHOUT_SECONDS = r"^.{10}[ T]\d{2}:\d{2} [A-Z]"


class FileColumns:
    """The columns of a file: `find` names one of them, the others read it.

    Every method takes the names that the vendor gives a column, separated by "|"; the first one
    that the file has is used.
    """

    def __init__(self, source: Source, answers: Answers | None = None) -> None:
        self.source, self.answers = source, answers or Answers()
        self._names: dict[str, str] = {}
        for column in source.types:
            self._names.setdefault(squash(column), column)
        for column in source.types:
            self._names.setdefault(squash(_TAIL.sub("", column)), column)

    def find(self, names: str) -> str | None:
        """The column as the file calls it; None where the file has none of the names."""
        listed = (self._names.get(squash(name)) for name in names.split("|"))
        return next((column for column in listed if column is not None), None)

    def name(self, names: str) -> str:
        """The column as the file calls it. ColumnMissing where the file has none of the names."""
        column = self.find(names)
        if column is None:
            raise ColumnMissing(
                where=str(self.source.path),
                got=f"no column {names.replace('|', ' or ')}",
                rule="A known export has all columns that are read of it.",
                fix="Export the file again with this column.",
            )
        return column

    def text(self, names: str) -> str:
        """SQL for the trimmed text."""
        return self.text_of(self.name(names))

    def text_of(self, column: str) -> str:
        """SQL for the trimmed text of a column, by its name in the file."""
        x = self.source.sql(column)
        return f"trim({x if self.source.types[column] == 'VARCHAR' else f'CAST({x} AS VARCHAR)'})"

    def is_blank(self, names: str) -> str:
        """SQL that is true where the cell is empty."""
        return f"coalesce({self.text(names)}, '') = ''"

    def cell(self, names: str) -> Cell:
        """The column as it is; the contract trims it."""
        column = self.name(names)
        return Cell(column, self.source.sql(column))

    def optional(self, **names: str) -> dict[str, Cell]:
        """Text columns by contract column, of those that the file has."""
        return {role: self.cell(each) for role, each in names.items() if self.find(each)}

    def lower(self, names: str) -> str:
        """SQL for the text in lower case, such as an e-mail or a status."""
        return f"lower({self.text(names)})"

    def identifier(self, names: str) -> str:
        """SQL for an id, without the apostrophe that keeps a spreadsheet from rounding it."""
        text = self.text(names)
        quoted = self.source.query_count(
            f"SELECT count(*) FROM {self.source.sample} WHERE starts_with({text}, '''')"
        )
        return f"ltrim({text}, '''')" if quoted else text

    def is_true(self, names: str) -> str:
        """SQL that is true where the text is true, yes or 1."""
        return f"{self.lower(names)} IN ('true', 'yes', '1', 't', 'y')"

    def is_false(self, names: str) -> str:
        """SQL that is true where the text is false, no or 0."""
        return f"{self.lower(names)} IN ('false', 'no', '0', 'f', 'n')"

    def count(self, condition: str) -> int:
        """How many rows of the whole file fulfil the SQL condition."""
        return self.source.query_count(
            f"SELECT count(*) FROM {self.source.whole} WHERE {condition}"
        )

    def money(self, names: str, table: str = "transactions") -> Cell:
        """The column as money, however its numbers are written."""
        column = self.name(names)
        return self._read(column, "money", table=table) or Cell(column, self.source.sql(column))

    def _read(
        self, column: str, shape: str, *, required: bool = True, table: str = "transactions"
    ) -> Cell | None:
        """The column as files of no format are read too; None where its values do not fit."""
        cell = read_cell(self.source, column, shape, table, required=required)
        return settle_cell(self.source, cell, self.answers) if cell else None

    def minor_units(self, names: str, digits: int) -> Cell:
        """A whole number of cents (or yen, or fils) as money with `digits` decimals, exactly."""
        x = f"TRY_CAST({self.text(names)} AS DECIMAL(18, 0))"
        unit = "1" if digits == 0 else f"0.{'1'.zfill(digits)}"
        return Cell(self.name(names), f"{x} * {unit}")

    def instant(self, names: str, *, utc: bool = False, required: bool = True) -> Cell:
        """The column as an instant. utc: its times without an offset are UTC.

        Where no value is there yet, ISO 8601 is expected. Where the values cannot be read, they
        stay as they are, so that the contract rejects their rows and counts them.
        """
        column = self.name(names)
        cell = self._lettered_instant(column) or self._read(column, "instant", required=required)
        if cell is None:
            clock = "" if self.source.types[column] != "VARCHAR" else "naive"
            cell = Cell(column, self.source.sql(column), clock)
        return as_utc(cell) if utc else cell

    def _lettered_instant(self, column: str) -> Cell | None:
        """Text with the letters of a zone, which mean what the vendors use them for."""
        count, letters, short = self.source.count_distinct(
            column, [f"regexp_matches(v, '{each}')" for each in (_ZONE_WORD, _WITHOUT_SECONDS)]
        )
        if not count or letters < count:
            return None
        text = self.text_of(column)
        if short:  # the engine reads an offset only after seconds
            text = f"regexp_replace({text}, '^(.{{16}})( [A-Z]+)$', '\\1:00\\2')"
        word = f"regexp_extract({text}, ' ([A-Z]+)$', 1)"
        sql = f"regexp_extract({text}, '^(.*) ', 1) || {self._offset_sql(word)}"
        return Cell(column, sql, "offset")

    def day_and_clock(self, day: str, clock: str, zone: str) -> Cell:
        """One instant from a day, a time of day and the name of a zone, in three columns.

        Zone names that are not known leave the time without an offset.
        """
        column = self.name(day)
        cell = self._read(column, "instant")
        date_sql = cell.sql if cell else self.source.sql(column)
        notes = cell.notes if cell else ()
        styles = "['%H:%M:%S', '%H:%M', '%I:%M:%S %p', '%I:%M %p']"
        hours = f"try_strptime({self.text(clock)}, {styles})"
        local = f"TRY_CAST({date_sql} AS DATE) + CAST({hours} AS TIME)"
        words = self.text(zone)
        distinct = f"SELECT DISTINCT {words} FROM {self.source.whole}"
        zones = {row[0] for row in self.source.query(distinct) if row[0]}
        if zones and zones <= set(PLACES) | self._zones_of_the_engine():
            listed = sorted(zones & set(PLACES))
            cases = " ".join(f"WHEN '{word}' THEN '{PLACES[word]}'" for word in listed)
            place = f"CASE {words} {cases} ELSE {words} END" if cases else words
            return Cell(column, f"timezone({place}, {local})", "offset", notes)
        if zones and all(_is_known_offset(word) for word in zones):
            text = f"strftime({local}, '%Y-%m-%d %H:%M:%S')"
            return Cell(column, f"{text} || {self._offset_sql(words)}", "offset", notes)
        return Cell(column, local, "naive", notes)

    def _zones_of_the_engine(self) -> set[str]:
        """Names such as America/Los_Angeles, which the engine reads with their clock changes."""
        rows = self.source.query("SELECT name FROM pg_timezone_names() WHERE contains(name, '/')")
        return {row[0] for row in rows}

    def _offset_sql(self, word: str) -> str:
        """SQL for the offset that the letters of a zone stand for: '-08:00' for PST."""
        rows = self.source.query(f"SELECT DISTINCT {word} FROM {self.source.whole} ORDER BY 1")
        # Of a zone that was seen in winter the summer time too: it comes with later rows.
        seen = {name for row in rows for zone in ZONES if row[0] in zone for name in zone}
        cases = " ".join(f"WHEN '{n}' THEN '{OFFSETS[n]}'" for n in OFFSETS if n in seen)
        written = f"replace({word}, 'GMT', '')"  # GMT+02:00
        return f"CASE {word} {cases} ELSE {written} END" if cases else written


def as_utc(cell: Cell) -> Cell:
    """The cell whose times without an offset are UTC, because the name of its column says so.

    What is no time stays as it is, so that the contract rejects its row and counts it.
    """
    if cell.clock == "offset":
        return cell
    utc = f"timezone('UTC', TRY_CAST({cell.sql} AS TIMESTAMP))"
    sql = f"coalesce(CAST({utc} AS VARCHAR), CAST({cell.sql} AS VARCHAR))"
    return replace(cell, sql=sql, clock="offset" if cell.clock == "naive" else cell.clock)


def _is_known_offset(word: str) -> bool:
    return word in OFFSETS or re.fullmatch(r"GMT[+-]\d\d:\d\d", word) is not None
