"""The shape of one known export: how it is recognised, and which contract tables it holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from lifecycle.init.cells import Cell
from lifecycle.init.formats.file_columns import FileColumns
from lifecycle.init.questions import Answers


@dataclass(frozen=True)
class PersonColumn:
    """One way in which a file says who a row is about.

    column: as in the file. sql: reads it as text, such as lower(trim("Email")); null where it names
    nobody. what: for people, such as "e-mail"; equal in all tables of one file.
    """

    column: str
    sql: str
    what: str


@dataclass(frozen=True)
class LeftOut:
    """Rows that are no rows of the table: a phrase for the user, and the SQL condition."""

    what: str
    condition: str


@dataclass(frozen=True)
class FormatTable:
    """One contract table that a file of a known format holds.

    people: the best first; which one is used is decided over all files, by the values they share.
    columns: cells by contract column, without customer_id. left_out: conditions of rows that are
    left out; each is counted for the user. only: SQL of the rows that are meant, such as those with
    a refund; the others are not counted. notes: sentences for the user. currency: of the amounts.
    """

    table: str
    people: tuple[PersonColumn, ...]
    columns: Mapping[str, Cell]
    left_out: tuple[LeftOut, ...] = ()
    only: str = ""
    notes: tuple[str, ...] = ()
    currency: str = ""


@dataclass(frozen=True)
class Format:
    """A known export.

    name: for people, such as "Shopify orders". source: the vendor's page or the stored export that
    it was written from, with its date. headers: columns that a file must have, in any order and
    case, to be recognised; "a|b" is one of the two. without: columns that it must not have. read:
    the contract tables of a file; it asks what it cannot know. reads, leaves, export: one sentence
    each for docs/formats.md (what is read, what is not, what to export). is_snapshot: one row a
    subscription that is overwritten as it changes; `read` is not asked then, `people` is. payments:
    whether its transactions are payments, which may be for the orders of another file.
    """

    name: str
    source: str
    headers: frozenset[str]
    reads: str
    leaves: str
    export: str
    read: Callable[[FileColumns, Answers], tuple[FormatTable, ...]] | None = None
    people: Callable[[FileColumns], tuple[PersonColumn, ...]] | None = None
    without: frozenset[str] = field(default=frozenset())
    payments: bool = False

    @property
    def is_snapshot(self) -> bool:
        """Whether a row is overwritten as its subscription changes, so that no table is read."""
        return self.read is None

    def fits(self, columns: FileColumns) -> bool:
        """Whether the file has all columns of the format, and none that it must not have."""
        present = all(columns.find(header) is not None for header in self.headers)
        return present and not any(columns.find(header) for header in self.without)
