"""One column as it is read: the SQL, what the user is told of it, and what is asked about it."""

from __future__ import annotations

from dataclasses import dataclass

from features.core.errors import LifecycleError

MIN_FIT = 0.95  # the share of the distinct values that must be written in one way


@dataclass(frozen=True)
class Cell:
    """A column that was read as some type.

    `sql` reads it. `clock` says how its times are written: "days", "naive", "offset", or "" where
    it holds no times. `notes` are sentences for the user. `by_ending`: the column was chosen by the
    last word of its name alone. `choice`: what only a person can decide, if the column is used.
    `refusal`: why the column cannot be used as it is; raised only if it is used. `day_order`:
    "day_first" or "month_first" where the values of the column show it.
    """

    column: str
    sql: str
    clock: str = ""
    notes: tuple[str, ...] = ()
    by_ending: bool = False
    choice: Choice | None = None
    refusal: LifecycleError | None = None
    day_order: str = ""


@dataclass(frozen=True)
class Option:
    """One answer: what is typed, what it would mean, and the cell that it leads to."""

    value: str
    meaning: str
    cell: Cell


@dataclass(frozen=True)
class Choice:
    """Several readings of a column that all fit: a sentence, and the options; the first is the
    default. name: what its key has behind the column, where another question has that key."""

    text: str
    options: tuple[Option, ...]
    name: str = ""
