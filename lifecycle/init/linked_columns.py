"""Columns of ids whose names say nothing, and whose values name the people of another file.

A loyalty card or a badge is the customer where the other files know people by it, whatever its
header. Without this an e-mail that no other file has would be the person.
"""

from __future__ import annotations

from lifecycle.init.cells import Cell
from lifecycle.init.people import comparable_sql
from lifecycle.init.source import Source, split_words

# Of the people of the smaller file, the share that both must have; and how many people at least.
_ALIKE, _FEWEST = 0.5, 5
NUMBER_WORDS = (
    "id", "no", "number", "nr", "nummer", "num", "numero", "code", "编号", "号",
)  # fmt: skip

Cells = dict[str, list[Cell]]


def add_linked_columns(sources: list[Source], candidates: Cells, ids: Cells) -> Cells:
    """The candidates, with the further columns of ids that other files know people by, last.

    candidates, ids: by the name of the file, the columns that can name the person, and the other
    columns of ids. A file without candidates takes a column that another file has under the same
    name. A column of numbers needs the same name: an age is a number of a customer too.
    """
    if len(sources) < 2:
        return candidates
    result = {
        name: listed or _linked(name, sources, ids, ids, same_name=True)
        for name, listed in candidates.items()
    }
    return {
        name: [*listed, *_linked(name, sources, _without(ids, result), result, same_name=False)]
        for name, listed in result.items()
    }


def _without(ids: Cells, taken: Cells) -> Cells:
    return {
        name: [cell for cell in listed if cell.column not in {c.column for c in taken[name]}]
        for name, listed in ids.items()
    }


def _linked(
    name: str, sources: list[Source], ids: Cells, others: Cells, *, same_name: bool
) -> list[Cell]:
    """The columns `ids` of one file that share their people with a column of another file."""
    by_name = {source.name: source for source in sources}
    own = by_name[name]
    return [
        cell
        for cell in ids[name]
        if any(
            _is_comparable(own, cell, theirs, same_name=same_name)
            and _share_people(own, cell, by_name[other], theirs)
            for other, listed in others.items()
            if other != name
            for theirs in listed
        )
    ]


def _is_comparable(source: Source, cell: Cell, theirs: Cell, *, same_name: bool) -> bool:
    return _plain_name(cell) == _plain_name(theirs) or not (same_name or _is_number(source, cell))


def _plain_name(cell: Cell) -> tuple[str, ...]:
    return tuple(word for word in split_words(cell.column) if word not in NUMBER_WORDS)


def _is_number(source: Source, cell: Cell) -> bool:
    count, numbers = source.count_shapes(cell.column, [r"regexp_matches(v, '^\d+([.]0)?$')"])
    return count == numbers


def _share_people(source: Source, cell: Cell, other: Source, theirs: Cell) -> bool:
    mine, known = (
        f"SELECT DISTINCT {comparable_sql(f'CAST({each.sql} AS VARCHAR)')} AS who "
        f"FROM {of.sample} WHERE trim(CAST({each.sql} AS VARCHAR)) <> ''"
        for of, each in ((source, cell), (other, theirs))
    )
    both, smaller = source.query(
        f"SELECT (SELECT count(*) FROM ({mine} INTERSECT {known})), "
        f"least((SELECT count(*) FROM ({mine})), (SELECT count(*) FROM ({known})))"
    )[0]
    return bool(both >= _FEWEST and both >= _ALIKE * smaller)
