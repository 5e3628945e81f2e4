"""Ids of one person that two files write differently: in another case, or without leading zeros.

A spreadsheet drops the zeros at the front of a number; a person types an id in small letters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from lifecycle.init.cell import Cell
from lifecycle.init.people import comparable_sql
from lifecycle.init.source import Source

_IDS = '"ids of all files"'


@dataclass(frozen=True)
class _Pairs:
    """Ids of one file that are another id in another spelling: of other files, of its own rows."""

    elsewhere: int
    within: int


def join_spellings(sources: dict[str, Source], persons: dict[str, Cell]) -> dict[str, Cell]:
    """The persons, so that an id that several files write differently is one.

    Where one file has two ids that differ by their spelling alone, they may be two people (ids of
    some systems are case-sensitive): then nothing is joined, and a note says so. sources, persons:
    by the name of the file.
    """
    if len(persons) < 2:
        return persons
    _collect_ids(sources, persons)
    try:
        case = _count_pairs(sources, "lower(one.id) = lower(other.id)")
        zeros = _count_pairs(
            sources,
            f"{comparable_sql('one.id')} = {comparable_sql('other.id')} "
            "AND lower(one.id) <> lower(other.id)",
        )
        filled = _fill_widths(sources, zeros)
    finally:
        next(iter(sources.values())).connection.execute(f"DROP TABLE {_IDS}")
    small = ("in another case", "compared in small letters", "lower(…)")
    result = _join(persons, case, small, lambda _, x: f"lower({x})")
    width = next(iter(filled.values()), None)
    done = f"filled up with zeros to {width} digits" if width else "read without zeros at the front"
    digits = ("with other zeros at their front", done, "lpad(…) or ltrim(…)")
    return _join(result, zeros, digits, lambda name, x: _with_zeros(x, filled.get(name)))


def _collect_ids(sources: dict[str, Source], persons: dict[str, Cell]) -> None:
    connection = next(iter(sources.values())).connection
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {_IDS} (file VARCHAR, id VARCHAR)")
    for name, cell in persons.items():
        id_ = f"trim(CAST({cell.sql} AS VARCHAR))"
        connection.execute(
            f"INSERT INTO {_IDS} SELECT DISTINCT $1, {id_} FROM {sources[name].sample} "
            f"WHERE {id_} <> ''",
            [name],
        )


def _count_pairs(sources: dict[str, Source], same: str) -> dict[str, _Pairs]:
    """By file, the ids for which the SQL condition `same` finds an id in another spelling."""
    rows = next(iter(sources.values())).query(
        "SELECT one.file, count(DISTINCT one.id) FILTER (one.file <> other.file), "
        "count(DISTINCT one.id) FILTER (one.file = other.file) "
        f"FROM {_IDS} AS one JOIN {_IDS} AS other ON {same} AND one.id <> other.id "
        "GROUP BY one.file"
    )
    return {name: _Pairs(elsewhere, within) for name, elsewhere, within in rows}


def _join(
    persons: dict[str, Cell],
    pairs: dict[str, _Pairs],
    words: tuple[str, str, str],
    spell: Callable[[str, str], str],
) -> dict[str, Cell]:
    """words: how the ids differ, what is done, and what a person would write."""
    differ, done, sql = words
    within = sum(each.within for each in pairs.values())
    result = dict(persons)
    for name, each in pairs.items():
        if not each.elsewhere:
            continue
        cell = persons[name]
        people = f"{each.elsewhere:,} people are in other files {differ}"
        if within:
            note = (
                f"CHECK: {cell.column}: {people}, and are not joined: {within:,} ids of one file "
                "differ by that alone, so they could be different people. If they are not, write "
                f"{sql} AS customer_id in every SELECT."
            )
            result[name] = replace(cell, notes=(*cell.notes, note))
            continue
        note = f"CHECK: {cell.column}: ids are {done}, because {people}."
        result[name] = replace(cell, sql=spell(name, cell.sql), notes=(*cell.notes, note))
    return result


def _fill_widths(sources: dict[str, Source], pairs: dict[str, _Pairs]) -> dict[str, int]:
    """By file, the digits that its ids are filled up to, where others have them all so long.

    Empty where the ids with zeros are not all equally long: then no file gets zeros.
    """
    apart = [name for name, each in pairs.items() if each.elsewhere]
    rows = next(iter(sources.values())).query(
        "SELECT file, bool_or(id LIKE '0_%'), min(length(id)), max(length(id)) "
        f"FROM {_IDS} WHERE regexp_full_match(id, '[0-9]+') GROUP BY file"
    )
    spans = {name: (zeros, low, high) for name, zeros, low, high in rows if name in apart}
    widths = {width for zeros, low, high in spans.values() if zeros for width in (low, high)}
    longest = max((high for _, _, high in spans.values()), default=0)
    if len(widths) != 1 or longest > max(widths):
        return {}
    return dict.fromkeys(spans, widths.pop())


def _with_zeros(x: str, width: int | None) -> str:
    """SQL for the id, filled up with zeros to `width` digits, or without zeros at its front."""
    text = f"trim(CAST({x} AS VARCHAR))"
    if width is None:
        return rf"regexp_replace({text}, '^0+(\d+)$', '\1')"
    short = rf"regexp_full_match({text}, '\d{{1,{width - 1}}}')"
    return f"CASE WHEN {short} THEN lpad({text}, {width}, '0') ELSE {text} END"
