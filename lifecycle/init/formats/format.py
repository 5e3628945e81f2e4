"""The shape of one known export: how it is recognised, and which contract tables it holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lifecycle.init.questions import Answers
from lifecycle.init.source import Source


@dataclass(frozen=True)
class PersonColumn:
    """One way in which a file says who a row is about.

    column: as in the file. sql: reads it as text, such as lower(trim("Email")). what: for people,
    such as "e-mail".
    """

    column: str
    sql: str
    what: str


@dataclass(frozen=True)
class LeftOut:
    """Rows that are no rows of the table: a sentence for the user, and the SQL condition."""

    what: str
    condition: str


@dataclass(frozen=True)
class FormatTable:
    """One contract table that a file of a known format holds.

    people: the best first; which one is used is decided over all files, by the values they share.
    columns: SQL by contract column, without customer_id. left_out: conditions of rows that are left
    out; each is counted for the user. group_by: SQL expressions where several rows become one.
    """

    table: str
    people: tuple[PersonColumn, ...]
    columns: Mapping[str, str]
    left_out: tuple[LeftOut, ...] = ()
    group_by: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Format:
    """A known export.

    name: for people, such as "Shopify orders". source: the vendor's page or the stored export that
    it was written from, with its date. headers: columns that a file must have, in any order and
    case, to be recognised; without: columns that it must not have. read: the contract tables of a
    file; it asks what it cannot know. reads, leaves, export: one sentence each for docs/formats.md
    (what is read, what is not, what to export).
    """

    name: str
    source: str
    headers: frozenset[str]
    read: Callable[[Source, Answers], tuple[FormatTable, ...]]
    reads: str = ""
    leaves: str = ""
    export: str = ""
    without: frozenset[str] = frozenset()
