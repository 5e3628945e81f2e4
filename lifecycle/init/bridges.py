"""A file that knows people by another id: a third file that has both ids says who they are."""

from __future__ import annotations

from dataclasses import replace

from features.tables.parsing import quote_identifier
from lifecycle.init.cells import Cell
from lifecycle.init.source import Source

# Share of the people of a file that the third file must know.
_KNOWN = 0.5
_KEY, _PERSON = '"the other id"', '"the person"'


def find_bridge(
    source: Source,
    candidates: dict[str, list[Cell]],
    persons: dict[str, Cell],
    sources: dict[str, Source],
) -> Cell | None:
    """The customer of `source` by way of a file with both ids; None where there is none.

    candidates, persons, sources: by the name of the file.
    """
    for name, bridge in sources.items():
        if name == source.name or name not in persons:
            continue
        for other in candidates[name]:
            if other.column == persons[name].column:
                continue
            for own in candidates[source.name]:
                if cell := _by_way_of(source, own, bridge, other, persons[name]):
                    return cell
    return None


def _by_way_of(source: Source, own: Cell, bridge: Source, other: Cell, person: Cell) -> Cell | None:
    """The column `own` with the person whom `bridge` has beside `other`, where most are known."""
    pairs = (
        f"SELECT CAST({other.sql} AS VARCHAR) AS {_KEY}, CAST({person.sql} AS VARCHAR) AS {_PERSON}"
    )
    people, known, several = source.query(
        f"SELECT count(*), count(n), count(*) FILTER (n > 1) FROM "
        f"(SELECT DISTINCT CAST({own.sql} AS VARCHAR) AS {_KEY} FROM {source.sample}) LEFT JOIN "
        f"(SELECT {_KEY}, count(DISTINCT {_PERSON}) AS n FROM ({pairs} FROM {bridge.sample}) "
        f"GROUP BY 1) USING ({_KEY}) WHERE {_KEY} <> ''"
    )[0]
    if not people or known < _KNOWN * people or several:
        return None
    sql = (
        f"(SELECT min({_PERSON}) FROM ({pairs} FROM {quote_identifier(bridge.name)}) "
        f"WHERE {_KEY} = CAST({own.sql} AS VARCHAR))"
    )
    note = (
        f"{own.column} is another id: {bridge.path.name} has it beside {person.column}, which "
        f"names the customer: {people:,} people, {known:,} of them known there."
    )
    return replace(own, sql=sql, notes=(*own.notes, note))
