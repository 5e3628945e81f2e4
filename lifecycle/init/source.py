"""One file of the user: its sample of rows, its columns, and questions about their values.

Names of columns and files are compared without case, spaces and underscores, so `CustomerID` and
`customer_id` are equal.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from features.tables.parsing import literal, quote_identifier
from features.tables.reading.locate import table_stem
from lifecycle.init.words import BLANK_WORDS, CURRENCY_SIGNS, KIND_WORDS

_MAX_DISTINCT = 5_000
# Spaces count as signs of money because many exports use them between thousands.
_SIGNS = "".join(CURRENCY_SIGNS) + " \u00a0\u202f"


@dataclass(frozen=True)
class Source:
    """One file in the engine.

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

    def count_distinct(self, column: str, tests: list[str]) -> list[int]:
        """The number of distinct values, then how many pass each SQL test of `v` (trimmed)."""
        counts = ", ".join(f"count(*) FILTER (WHERE {test})" for test in tests)
        values = self.distinct_values(column, _MAX_DISTINCT)
        return list(self.query(f"SELECT count(*), {counts} FROM ({values})")[0])

    def distinct_values(self, column: str, limit: int) -> str:
        """SQL for at most `limit` distinct values `v` of the sample.

        The order is that of a hash: in the order of the file all values could be days of one month.
        """
        every = f"SELECT DISTINCT trim(CAST({self.sql(column)} AS VARCHAR)) AS v FROM {self.sample}"
        return f"SELECT v FROM ({every}) WHERE v <> '' ORDER BY hash(v) LIMIT {limit}"

    def signs(self, column: str) -> str:
        """The signs of money, and the spaces, that occur in the column."""
        _, *counts = self.count_distinct(
            column, [f"contains(v, {literal(sign)})" for sign in _SIGNS]
        )
        return "".join(sign for sign, count in zip(_SIGNS, counts, strict=True) if count)


def sample_name(name: str) -> str:
    """The name of the table that holds the sample of the view `name`."""
    return f"sample of {name}"


def split_words(name: str) -> list[str]:
    """`InvoiceDate`, `invoice_date` and `Invoice Date` are all ["invoice", "date"]."""
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", unicodedata.normalize("NFKC", name))
    return [word.casefold() for word in re.findall(r"[^\W_]+", spaced)]


def squash(name: str) -> str:
    """The words of a name as one word: `Customer ID` is "customerid"."""
    return "".join(split_words(name))


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
