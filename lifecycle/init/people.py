"""Who a row is about, decided over all files: the columns whose values overlap most.

Names mislead (a help desk's `Requester id` is its own number), values do not: the pair of columns
that shares the most people comes first, then, file after file, the column that shares the most
people with those that are chosen. Values are compared without case, spaces and leading zeros.

choose_people(connection, {
    "orders": [PersonValues("SELECT email FROM orders"), PersonValues("SELECT id FROM orders")],
    "tickets": [PersonValues("SELECT requester_email FROM tickets")],
})   # {"orders": PersonChoice(0, people=300, shared=120), "tickets": PersonChoice(0, 121, 120)}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb

_VALUES = '"people of all files"'


@dataclass(frozen=True)
class PersonValues:
    """The values of one candidate: a SELECT of one text column, null where a row names nobody."""

    select: str


@dataclass(frozen=True)
class PersonChoice:
    """The candidate of one file that is chosen: its number, and how many people it names.

    shared: those of them that the chosen columns of other files name too; None where there is no
    other file. misspelt: those of the shared ones that every other file writes differently.
    """

    number: int
    people: int
    shared: int | None
    misspelt: int = 0

    @property
    def share_note(self) -> str:
        """How many people there are, and how many of them other files know."""
        if self.shared is None:
            return f"{self.people:,} people"
        return f"{self.people:,} people, {self.shared:,} of them in other files too"


def comparable_sql(text: str) -> str:
    """SQL for an id as ids of several files are compared: small letters, no zeros at the front.

    text: SQL for the id as text.
    """
    return rf"regexp_replace(lower(trim({text})), '^0+([0-9]+)$', '\1')"


def choose_people(
    connection: duckdb.DuckDBPyConnection, candidates: Mapping[str, Sequence[PersonValues]]
) -> dict[str, PersonChoice]:
    """The chosen candidate of each file; a file with nothing in common has its fullest one.

    candidates: by file, the best first, which breaks ties. Files without candidates are left out.
    Equal files give equal choices.
    """
    files = {name: values for name, values in candidates.items() if values}
    _collect_values(connection, files)
    try:
        chosen = _connect(_overlaps(connection), list(files))
        for name in files:
            chosen.setdefault(name, _fullest(connection, name))
        return {name: _describe(connection, name, chosen) for name in files}
    finally:
        connection.execute(f"DROP TABLE {_VALUES}")


def _collect_values(
    connection: duckdb.DuckDBPyConnection, files: Mapping[str, Sequence[PersonValues]]
) -> None:
    """One row for each file, candidate and id as it is written, with the number of its rows."""
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {_VALUES} "
        "(file VARCHAR, number INTEGER, who VARCHAR, id VARCHAR, count BIGINT)"
    )
    for name, values in files.items():
        for number, each in enumerate(values):
            connection.execute(
                f"INSERT INTO {_VALUES} SELECT $file, $number, {comparable_sql('written')}, "
                "written, count(*) FROM (SELECT trim(CAST(who AS VARCHAR)) AS written "
                f"FROM ({each.select}) AS named(who)) WHERE written <> '' GROUP BY written",
                {"file": name, "number": number},
            )


def _overlaps(
    connection: duckdb.DuckDBPyConnection,
) -> dict[frozenset[tuple[str, int]], int]:
    """How many people each pair of candidates of two files shares."""
    rows = connection.execute(
        f"SELECT one.file, one.number, other.file, other.number, count(DISTINCT one.who) "
        f"FROM {_VALUES} AS one "
        f"JOIN {_VALUES} AS other ON one.who = other.who AND one.file < other.file GROUP BY ALL"
    ).fetchall()
    return {frozenset({(one, i), (other, j)}): count for one, i, other, j, count in rows}


def _connect(overlaps: dict[frozenset[tuple[str, int]], int], names: list[str]) -> dict[str, int]:
    """The candidate of each file that overlaps with another: the strongest pair first."""
    order = {name: position for position, name in enumerate(names)}
    chosen: dict[str, int] = {}

    def rank(pair: frozenset[tuple[str, int]]) -> tuple:
        # The most people; of equals, the better candidates, then the order of the files.
        ends = sorted((order[name], number) for name, number in pair)
        return (-overlaps[pair], sum(number for _, number in ends), ends)

    pairs = sorted(overlaps, key=rank)
    while pairs:
        touching = [pair for pair in pairs if any(chosen.get(n) == i for n, i in pair)]
        best = (touching or pairs)[0]
        chosen |= dict(best)
        pairs = [
            pair
            for pair in pairs
            if any(name not in chosen for name, _ in pair)
            and all(chosen.get(name, number) == number for name, number in pair)
        ]
    return chosen


def _fullest(connection: duckdb.DuckDBPyConnection, name: str) -> int:
    """The candidate that names somebody in the most rows."""
    row = connection.execute(
        f"SELECT number FROM {_VALUES} WHERE file = $1 GROUP BY number "
        "ORDER BY sum(count) DESC, number LIMIT 1",
        [name],
    ).fetchone()
    return row[0] if row else 0


def _describe(
    connection: duckdb.DuckDBPyConnection, name: str, chosen: dict[str, int]
) -> PersonChoice:
    number = chosen[name]
    others = [(other, each) for other, each in chosen.items() if other != name]
    known = " OR ".join("(file = ? AND number = ?)" for _ in others) or "false"
    everybody = f"SELECT {{}} FROM {_VALUES} WHERE {known}"
    people, shared, alike = connection.execute(
        f"SELECT count(DISTINCT who), "
        f"count(DISTINCT who) FILTER (who IN ({everybody.format('who')})), "
        f"count(DISTINCT who) FILTER (id IN ({everybody.format('id')})) "
        f"FROM {_VALUES} WHERE file = ? AND number = ?",
        [*(value for pair in (*others, *others) for value in pair), name, number],
    ).fetchall()[0]
    return (
        PersonChoice(number, people, shared, shared - alike)
        if others
        else PersonChoice(number, people, None)
    )
