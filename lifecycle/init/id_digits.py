"""Ids of one file that are those of the others but for what stands before their digits.

One system writes 42 and another ALU-00042. Digits alone prove nothing, so the ids stay as they are
written unless a person says that they are the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from features.tables.parsing import literal
from lifecycle.init.bridges import bridge_over
from lifecycle.init.cell import MIN_FIT, Cell, Choice, Option
from lifecycle.init.source import Source

_LONGEST_PREFIX = 20
_ALIKE, _FEWEST = 0.5, 5  # share of the people of the smaller file, and people at least


@dataclass(frozen=True)
class _Form:
    """How the ids of a file are written: the same text before digits, and how many digits.

    width: of ids that are filled up with zeros, else None.
    """

    prefix: str
    width: int | None

    def sql(self, x: str) -> str:
        """SQL for the id `x` of another file, written in this form."""
        digits = rf"nullif(regexp_extract({x}, '0*(\d+)$', 1), '')"
        if self.width is not None:
            wide = f"greatest(length({digits}), {self.width})"
            digits = f"lpad({digits}, CAST({wide} AS INTEGER), '0')"
        written = f"{literal(self.prefix)} || {digits}" if self.prefix else digits
        return f"coalesce({written}, {x})"  # an id without digits, such as guest, stays


def offer_digits(source: Source, cell: Cell, others: list[tuple[Source, Cell, Cell]]) -> Cell:
    """The person of a file whose ids no other file has, with a question where their digits match.

    others: the columns of ids of the other files, each with the person of its file, which may be
    another column. The default is to leave the ids as they are written.
    """
    own = _read_form(source, cell)
    if own is None or cell.choice is not None:
        return cell
    for other, theirs, person in others:
        form = _read_form(other, theirs)
        if form is None or form.prefix == own.prefix:
            continue
        sql = form.sql(_text(cell))
        people, shared = _count_shared(source, cell, sql, other, theirs)
        if shared:
            meaning = f"{shared:,} of {people:,} people are in {other.label}, by {sql}"
            if theirs.column != person.column:
                sql = bridge_over(cell, other, theirs, person).sql(sql)
            plain = replace(cell, notes=tuple(n for n in cell.notes if not n.startswith("CHECK")))
            as_written = Option("as_written", "the ids stay as they are written", plain)
            alike = Option("digits", meaning, replace(plain, sql=sql))
            text = (
                f"{cell.column} of {source.label} has ids that no other file has, and digits "
                f"that {theirs.column} of {other.label} has too: they may be the same people"
            )
            return replace(plain, choice=Choice(text, (as_written, alike), name="digits"))
    return cell


def _text(cell: Cell) -> str:
    return f"trim(CAST({cell.sql} AS VARCHAR))"


def _read_form(source: Source, cell: Cell) -> _Form | None:
    """The form of the ids of a file; None where they have not one prefix before their digits."""
    with_digits, ids, prefixes, prefix, low, high, zeros = source.query(
        "SELECT count(*) FILTER (d <> ''), count(*), count(DISTINCT p) FILTER (d <> ''), "
        "min(p) FILTER (d <> ''), min(length(d)) FILTER (d <> ''), max(length(d)), "
        r"bool_or(d LIKE '0_%') FROM (SELECT regexp_extract(x, '^(.*?)\d+$', 1) AS p, "
        r"regexp_extract(x, '(\d+)$', 1) AS d "
        f"FROM (SELECT DISTINCT {_text(cell)} AS x FROM {source.sample}) WHERE x <> '')"
    )[0]
    if not ids or prefixes != 1 or with_digits < MIN_FIT * ids or len(prefix) > _LONGEST_PREFIX:
        return None
    return _Form(prefix, high if low == high and zeros else None)


def _count_shared(
    source: Source, cell: Cell, sql: str, other: Source, theirs: Cell
) -> tuple[int, int]:
    """(people, those that the other file has under `sql`); (0, 0) where these are too few, or where
    two ids of the file would become one."""
    mine = f"SELECT DISTINCT {sql} AS who FROM {source.sample} WHERE {_text(cell)} <> ''"
    known = f"SELECT DISTINCT {_text(theirs)} AS who FROM {other.sample}"
    people, written, shared, smaller = source.query(
        f"SELECT (SELECT count(*) FROM ({mine})), "
        f"(SELECT count(DISTINCT {_text(cell)}) FROM {source.sample} WHERE {_text(cell)} <> ''), "
        f"(SELECT count(*) FROM ({mine} INTERSECT {known})), "
        f"least((SELECT count(*) FROM ({mine})), (SELECT count(*) FROM ({known})))"
    )[0]
    enough = people == written and shared >= _FEWEST and shared >= _ALIKE * smaller
    return (people, shared) if enough else (0, 0)
