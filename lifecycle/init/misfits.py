"""Columns whose name says what they are, and whose values do so in most rows only.

They are not read: a column is a time or an amount where nearly all of its values are. The user
is told which cells are not, because a few of them may hide a whole file.
"""

from __future__ import annotations

from dataclasses import dataclass

from features.core.contract import CONTRACT
from lifecycle.init.cell import MIN_FIT
from lifecycle.init.cells import Cell
from lifecycle.init.columns import role_candidates, role_shape
from lifecycle.init.money import number_tests
from lifecycle.init.source import Source
from lifecycle.init.times import time_tests

_LEAST = 0.5  # of the values; below it the name says something else
_WORDS = {"instant": "times", "money": "amounts", "number": "numbers"}


@dataclass(frozen=True)
class Misfit:
    """A column that is nearly of a role: the share of its values that fit, and cells that do not.

    cells: at most three, each once.
    """

    column: str
    shape: str
    share: float
    cells: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """How much of the column fits, for the user."""
        return (
            f"{self.column} is nearly it: {self.share:.1%} of its values are {_WORDS[self.shape]}, "
            f"and at least {MIN_FIT:.0%} must be. Correct or empty the others"
        )


def nearest_misfit(source: Source, table: str, role: str, used: set[str]) -> Misfit | None:
    """The column that is named like the role and fits it best, if not well enough; else None."""
    shape = role_shape(table, role)
    if shape not in _WORDS:
        return None
    misfits = [
        misfit
        for column in role_candidates(source, table, role)
        if column not in used and (misfit := _read_misfit(source, column, shape)) is not None
    ]
    return max(misfits, key=lambda each: each.share, default=None)


def _read_misfit(source: Source, column: str, shape: str) -> Misfit | None:
    if source.types[column] != "VARCHAR":
        return None
    tests = time_tests(source, column) if shape == "instant" else number_tests(source, column)
    if not tests:
        return None
    values = source.values(column)
    if shape == "instant":  # as times are chosen: one day that many rows have counts once
        values = f"SELECT DISTINCT v FROM ({values})"
    counts = ", ".join(f"count(*) FILTER (WHERE {test})" for test in tests)
    count, *fits = source.query(f"SELECT count(*), {counts} FROM ({values})")[0]
    best = max(fits)
    if not count or not _LEAST * count <= best < count:
        return None
    odd = source.query(
        f"SELECT DISTINCT v[:40] FROM ({values}) WHERE ({tests[fits.index(best)]}) IS NOT TRUE "
        "ORDER BY 1 LIMIT 3"
    )
    return Misfit(column, shape, best / count, tuple(row[0] for row in odd))


def event_misfits(source: Source, cells: dict[str, Cell]) -> list[Misfit]:
    """The columns that are nearly the time or the amount of a transaction, for want of one.

    cells: the roles of the file as transactions.
    """
    used = {cell.column for cell in cells.values()}
    wanted = [] if "occurred_at" in cells else ["occurred_at"]
    wanted += [] if {"amount", "price"} & set(cells) else ["amount", "price"]
    misfits = (nearest_misfit(source, "transactions", role, used) for role in wanted)
    return [misfit for misfit in misfits if misfit is not None]


def misfit_notes(source: Source, table: str, cells: dict[str, Cell]) -> list[str]:
    """A sentence for each column that is nearly of a role that the file does not have."""
    used = {cell.column for cell in cells.values()}
    roles = [column.name for column in CONTRACT[table].columns if column.name not in cells]
    roles += ["refunded"] if table == "transactions" and "refunded" not in cells else []
    nearest = (nearest_misfit(source, table, role, used) for role in roles)
    by_column = {misfit.column: misfit for misfit in nearest if misfit is not None}
    return [
        f"CHECK: {misfit.column} is not read: {misfit.share:.1%} of its values are "
        f"{_WORDS[misfit.shape]}, and at least {MIN_FIT:.0%} must be; others are "
        f"{', '.join(map(repr, misfit.cells))}. Correct or empty these cells."
        for misfit in by_column.values()
    ]
