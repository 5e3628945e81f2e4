"""Ids of one person that two files write in another case: C1a and c1A are joined, or named."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lifecycle.init.cell import Cell
from lifecycle.init.source import Source

_IDS = '"ids of all files"'


@dataclass(frozen=True)
class _CaseCounts:
    """Of one file: ids that other files have in another case alone, and those that its own rows
    have in two cases."""

    elsewhere: int
    within: int


def fold_case(sources: dict[str, Source], persons: dict[str, Cell]) -> dict[str, Cell]:
    """The persons, in small letters in the files whose ids differ from each other's by case alone.

    Where one file has two ids that differ by case alone, they may be two people (ids of some
    systems are case-sensitive): then nothing is joined, and a note says so. sources, persons: by
    the name of the file.
    """
    counts = _count_cases(sources, persons)
    apart = {name for name, each in counts.items() if each.elsewhere}
    within = sum(each.within for each in counts.values())
    result = dict(persons)
    for name in apart:
        cell, number = persons[name], counts[name].elsewhere
        if within:
            note = (
                f"CHECK: {number:,} people of {cell.column} are in other files in another case, "
                f"and are not joined: {within:,} ids of one file differ by case alone, so they "
                "could be different people. If they are not, write lower(…) AS customer_id in "
                "every SELECT."
            )
            result[name] = replace(cell, notes=(*cell.notes, note))
            continue
        note = (
            f"CHECK: {cell.column}: ids are compared in small letters, because {number:,} people "
            "are in other files in another case."
        )
        result[name] = replace(cell, sql=f"lower({cell.sql})", notes=(*cell.notes, note))
    return result


def _count_cases(sources: dict[str, Source], persons: dict[str, Cell]) -> dict[str, _CaseCounts]:
    if len(persons) < 2:
        return {}
    connection = next(iter(sources.values())).connection
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {_IDS} (file VARCHAR, id VARCHAR)")
    try:
        for name, cell in persons.items():
            id_ = f"trim(CAST({cell.sql} AS VARCHAR))"
            connection.execute(
                f"INSERT INTO {_IDS} SELECT DISTINCT $1, {id_} FROM {sources[name].sample} "
                f"WHERE {id_} <> ''",
                [name],
            )
        rows = connection.execute(
            f"SELECT one.file, count(DISTINCT one.id) FILTER (one.file <> other.file), "
            "count(DISTINCT one.id) FILTER (one.file = other.file) "
            f"FROM {_IDS} AS one JOIN {_IDS} AS other "
            "ON lower(one.id) = lower(other.id) AND one.id <> other.id GROUP BY one.file"
        ).fetchall()
    finally:
        connection.execute(f"DROP TABLE {_IDS}")
    return {name: _CaseCounts(elsewhere, within) for name, elsewhere, within in rows}
