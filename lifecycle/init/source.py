"""One file of the user: its sample of rows, its columns, and questions about their values.

Names of columns and files are compared without case, spaces and underscores, so `CustomerID` and
`customer_id` are equal.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from features.tables.parsing import literal, quote_identifier
from features.tables.reading.locate import table_stem
from lifecycle.init.value_words import BLANK_WORDS, KIND_WORDS

_MAX_DISTINCT = 5_000
# Rows that are looked at to choose a reading, which all rows then confirm; rows of groups.
PART_ROWS, SHARE_ROWS = 100_000, 500_000


@dataclass(frozen=True)
class Source:
    """One file in the engine.

    `label` names the file for people: its name, with its folder where two files have that name.
    `whole` is the view of all rows and `sample` the table of the rows whose values are looked at;
    `rows` and `sampled` count them. `types` maps each column to its SQL type. `cache` holds answers
    that would otherwise be computed once for each table the file might be.
    """

    connection: duckdb.DuckDBPyConnection
    name: str
    path: Path
    rows: int
    sampled: int
    types: dict[str, str]
    keywords: frozenset[str]
    cache: dict[Hashable, Any] = field(default_factory=dict, compare=False)
    label: str = ""

    @property
    def whole(self) -> str:
        """The SQL name of the view of all rows."""
        return quote_identifier(self.name)

    @property
    def sample(self) -> str:
        """The SQL name of the table of sampled rows."""
        return quote_identifier(sample_name(self.name))

    def query(self, sql: str) -> list[tuple]:
        """All rows of a query."""
        return self.connection.execute(sql).fetchall()

    def query_count(self, sql: str) -> int:
        """The first cell of a query that counts something."""
        return int(self.query(sql)[0][0])

    def sql(self, column: str) -> str:
        """The column in SQL, quoted where needed; a word such as NULL becomes an empty cell."""
        plain = (
            re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", column) and column.lower() not in self.keywords
        )
        name = column if plain else quote_identifier(column)
        for word in self._blank_words(column):
            name = f"nullif({name}, {literal(word)})"
        return name

    def _blank_words(self, column: str) -> list[str]:
        key = ("blank", column)
        if key not in self.cache and self.types[column] == "VARCHAR":
            words = ", ".join(literal(word) for word in BLANK_WORDS)
            cell = quote_identifier(column)
            rows = self.query(
                f"SELECT DISTINCT {cell} FROM {self.sample} WHERE lower({cell}) IN ({words}) "
                "ORDER BY 1"
            )
            self.cache[key] = [row[0] for row in rows]
        return self.cache.get(key, [])

    def count_distinct(
        self, column: str, tests: list[str], *, limit: int | None = _MAX_DISTINCT
    ) -> list[int]:
        """The number of distinct values, then how many pass each SQL test of `v` (trimmed).

        limit: at most so many values of a part of the rows are looked at; None: those of all rows.
        """
        counts = "".join(f", count(*) FILTER (WHERE {test})" for test in tests)
        values = self.distinct_values(column, limit)
        return list(self.query(f"SELECT count(*){counts} FROM ({values})")[0])

    def count_shapes(self, column: str, tests: list[str]) -> list[int]:
        """The rows with a value, then those whose shape passes each SQL test of `v`.

        The shape of a value has the digit 1 for each digit but 0, so a column of millions of
        amounts has few shapes. The tests must not tell the digits 1 to 9 apart.
        """
        key = ("shapes", column)
        if key not in self.cache:
            name = quote_identifier(f"shapes of {self.name}, {column}")
            self.connection.execute(
                f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT translate(v, '23456789', "
                f"'11111111') AS v, count(*) AS n FROM ({self.values(column)}) GROUP BY 1"
            )
            self.cache[key] = name
        counts = "".join(f", coalesce(sum(n) FILTER (WHERE {test}), 0)" for test in tests)
        row = self.query(f"SELECT coalesce(sum(n), 0){counts} FROM {self.cache[key]}")[0]
        return [int(count) for count in row]

    def is_empty(self, column: str) -> bool:
        """Whether no row has a value in the column."""
        key = ("empty", column)
        if key not in self.cache:
            self.cache[key] = not self.query_count(f"SELECT count(*) FROM ({self.values(column)})")
        return bool(self.cache[key])

    def distinct_values(self, column: str, limit: int | None) -> str:
        """SQL for at most `limit` distinct values `v` of the column.

        The order is that of a hash: in the order of the file all values could be days of one month.
        """
        if limit is None:
            return f"SELECT DISTINCT v FROM ({self.values(column)})"
        values = self.values(column, of=self.part)
        return f"SELECT v FROM (SELECT DISTINCT v FROM ({values})) ORDER BY hash(v) LIMIT {limit}"

    def values(self, column: str, *, of: str = "") -> str:
        """SQL for the trimmed texts `v` of the column, one for each row that has one.

        of: the rows that are looked at; '' = all of `sample`.
        """
        text = f"trim(CAST({self.sql(column)} AS VARCHAR))"
        return f"SELECT {text} AS v FROM {of or self.sample} WHERE {text} <> ''"

    @property
    def part(self) -> str:
        """SQL for at most about PART_ROWS rows that are spread over the sample."""
        if self.sampled <= PART_ROWS:
            return self.sample
        return f"(SELECT * FROM {self.sample} WHERE rowid % {self.sampled // PART_ROWS} = 0)"

    def share_by(self, key: str) -> str:
        """An SQL condition that is true for the rows of a share of the values of `key`.

        All rows of one value are taken or none; 'true' where the file is small.
        """
        share = self.sampled // SHARE_ROWS
        return "true" if share < 2 else f"hash(CAST({key} AS VARCHAR)) % {share} = 0"


def sample_name(name: str) -> str:
    """The name of the table that holds the sample of the view `name`."""
    return f"sample of {name}"


@functools.cache
def split_words(name: str) -> tuple[str, ...]:
    """`InvoiceDate`, `invoice_date` and `Invoice Date` are all ("invoice", "date").

    Letters lose their accents: `Größe` is ("grosse",).
    """
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", unicodedata.normalize("NFKC", name))
    plain = unicodedata.normalize("NFKD", spaced.casefold())
    letters = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return tuple(re.findall(r"[^\W_]+", unicodedata.normalize("NFC", letters)))


@functools.cache
def squash(name: str) -> str:
    """The words of a name as one word, without a tail in brackets.

    `Customer ID` is "customerid", `Amount (EUR)` is "amount".
    """
    bare = re.sub(r"\s*[(\[（].*[)\]）]\s*$", "", name)
    return "".join(split_words(bare if bare.strip() else name))


def stem_words(source: Source) -> set[str]:
    """The words of the file's name, and the name as one word."""
    stem = table_stem(source.path)
    return {*split_words(stem), squash(stem)}


def constant_kind(source: Source, table: str) -> str | None:
    """The kind of every row by the file's name, or None: `tickets.csv` holds complaints."""
    stem = stem_words(source)
    for kind, words in KIND_WORDS.get(table, {}).items():
        if stem & {squash(word) for word in (kind, *words.split())}:
            return kind
    return None
