"""What a customer's page is made of: cards with texts, a picture, a list or a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
from markupsafe import Markup

from features.core.language import number
from serving.api.answers import Entry
from serving.api.console.events import Event
from serving.api.console.writing import Writer
from serving.api.lookup import Lookup
from serving.api.served import ServedRelease
from serving.drawing.canvas import Cell, Value

TABLE = "scores"  # where the numbers of a page come from: its one row of the run's scores
Text = str | Markup


@dataclass(frozen=True)
class Tile:
    """A figure at the top of the page. `look`: a colour of stages, '' for none."""

    label: str
    text: Text
    note: Text
    look: str = ""


@dataclass(frozen=True)
class TableView:
    """A table: the names of its columns, and its cells; the first cell of a row names it."""

    head: Sequence[str]
    rows: Sequence[Sequence[Text]]


@dataclass(frozen=True)
class Card:
    """A part of the page under a heading.

    `events`: of the timeline, each with when it was. `is_wide`: it takes the whole width.
    """

    name: str
    title: str
    texts: Sequence[Text] = ()
    facts: Sequence[tuple[str, Text]] = ()
    picture: Markup | None = None
    items: Sequence[Text] = ()
    table: TableView | None = None
    events: Sequence[tuple[Markup, Event]] = ()
    is_wide: bool = False


@dataclass(frozen=True)
class Subject:
    """One customer: the entry of the API's answer, the rows of the run's history by table."""

    customer: str
    served: ServedRelease
    run: Lookup
    entry: Entry
    rows: dict[str, pa.Table]
    write: Writer

    @property
    def days(self) -> str:
        """The horizon in days."""
        return number(self.entry["horizon_days"])

    @cached_property
    def contractual(self) -> bool:
        """Whether customers pay for terms, so that to leave is to lose cover."""
        return self.served.settings.contractual

    def figure(self, column: str, write: Callable[[float], str]) -> Markup | None:
        """A number of the entry, which carries its exact value; None where there is none."""
        value = self.entry.get(column)
        if value is None:
            return None
        return Markup(
            '<data value="{!r}" data-table="{}" data-row="0" data-column="{}">{}</data>'
        ).format(value, TABLE, column, write(value))

    def drawn(self, column: str, write: Callable[[float], str]) -> Value | None:
        """A number of the entry for a picture."""
        value = self.entry.get(column)
        return None if value is None else Value(value, Cell(TABLE, 0, column), write(value))
