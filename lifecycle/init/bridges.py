"""A file that knows people by another id: a third file that has both ids says who they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from features.core.joined_groups import joined_groups
from features.tables.parsing import quote_identifier
from lifecycle.init.cells import Cell
from lifecycle.init.people import comparable_sql
from lifecycle.init.source import Source

# Share of the people of a file that the third file must know.
_KNOWN = 0.5
_ALIKE = 0.05  # of the people of the smaller file that two files have in common, at least
_KEY, _PERSON = '"the other id"', '"the person"'


def largest_group(sources: dict[str, Source], persons: dict[str, Cell]) -> set[str]:
    """The names of the most files whose persons are known by one id, directly or over others.

    sources, persons: by the name of the file; the source of a person must be there.
    """
    groups = joined_groups(
        list(persons),
        lambda one, other: _share(sources[one], persons[one], sources[other], persons[other]),
    )
    return max(groups, key=len, default=set())


def join_over_both_ids(
    sources: Mapping[str, Source],
    candidates: Mapping[str, list[Cell]],
    persons: Mapping[str, Cell],
    together: set[str],
) -> tuple[dict[str, Cell], set[str]]:
    """The persons and the largest group, joined by the files that have its ids in another column.

    A list of customers with two ids may share one with a few files and the other with most: its
    person is the one that most files know, and the few get theirs by way of it.
    """
    persons, together = dict(persons), set(together)
    for name in sorted(set(persons) - together):
        for cell in candidates[name]:
            if cell.column != persons[name].column and any(
                _share(sources[name], cell, sources[other], persons[other], least=_KNOWN)
                for other in sorted(together)
            ):
                persons[name] = cell
                together.add(name)
                break
    return persons, together


def _share(
    source: Source, person: Cell, other: Source, others: Cell, *, least: float = _ALIKE
) -> bool:
    """Whether two files have at least this part of the people of the smaller one in common."""
    mine, theirs = (
        f"SELECT DISTINCT {comparable_sql(f'CAST({cell.sql} AS VARCHAR)')} AS who "
        f"FROM {each.sample}"
        for each, cell in ((source, person), (other, others))
    )
    both, smaller = source.query(
        f"SELECT (SELECT count(*) FROM ({mine} INTERSECT {theirs})), "
        f"least((SELECT count(*) FROM ({mine})), (SELECT count(*) FROM ({theirs})))"
    )[0]
    return bool(both and both >= least * smaller)


@dataclass(frozen=True)
class Bridge:
    """How one file gives the customer of another id.

    own: the column of the file that has the other id. values: SELECT of pairs (the other id, the
    person) of the file that has both. note: a sentence for the user.
    """

    own: Cell
    values: str
    note: str

    def sql(self, own: str) -> str:
        """SQL for the person, by way of `own`, SQL for the other id; null where nobody has it."""
        return f"(SELECT min({_PERSON}) FROM ({self.values}) WHERE {_KEY} = CAST({own} AS VARCHAR))"


def find_bridge(
    source: Source,
    candidates: dict[str, list[Cell]],
    persons: dict[str, Cell],
    sources: dict[str, Source],
) -> Bridge | None:
    """How `source` gets its customer by way of a file with both ids; None where there is none.

    candidates, persons, sources: by the name of the file.
    """
    for name, both in sources.items():
        if name == source.name or name not in persons:
            continue
        for other in candidates[name]:
            if other.column == persons[name].column:
                continue
            for own in candidates[source.name]:
                if bridge := _by_way_of(source, own, both, other, persons[name]):
                    return bridge
                # The other id may be in small letters in one of the files.
                one, two = _in_small_letters(own), _in_small_letters(other)
                if bridge := _by_way_of(source, one, both, two, persons[name]):
                    return bridge
    return None


def _in_small_letters(cell: Cell) -> Cell:
    return replace(cell, sql=f"lower(trim(CAST({cell.sql} AS VARCHAR)))")


def bridge_over(own: Cell, both: Source, other: Cell, person: Cell) -> Bridge:
    """The bridge of `own` over the columns `other` and `person` of a file, whoever is known."""
    return Bridge(own, f"{_pairs(other, person)} FROM {quote_identifier(both.name)}", "")


def _pairs(other: Cell, person: Cell) -> str:
    return (
        f"SELECT CAST({other.sql} AS VARCHAR) AS {_KEY}, CAST({person.sql} AS VARCHAR) AS {_PERSON}"
    )


def _by_way_of(source: Source, own: Cell, both: Source, other: Cell, person: Cell) -> Bridge | None:
    """The bridge over the file `both`, where it knows most of the people in `own`."""
    pairs = _pairs(other, person)
    people, known, several = source.query(
        f"SELECT count(*), count(n), count(*) FILTER (n > 1) FROM "
        f"(SELECT DISTINCT CAST({own.sql} AS VARCHAR) AS {_KEY} FROM {source.sample}) LEFT JOIN "
        f"(SELECT {_KEY}, count(DISTINCT {_PERSON}) AS n FROM ({pairs} FROM {both.sample}) "
        f"GROUP BY 1) USING ({_KEY}) WHERE {_KEY} <> ''"
    )[0]
    if not people or known < _KNOWN * people or several:
        return None
    note = (
        f"{own.column} is another id: {both.label} has it beside {person.column}, which "
        f"names the customer: {people:,} people, {known:,} of them known there."
    )
    return Bridge(own, f"{pairs} FROM {quote_identifier(both.name)}", note)
