"""What a page is made of: sections with a question, each with pictures and their tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from features.core.language import say
from serving.report.figures import NUMBERS, Kind, figure
from serving.report.headers import HEADERS
from serving.report.written_tables import Row

MOST_ROWS = 200  # of a table in the page


@dataclass(frozen=True)
class View:
    """The table behind a picture: some columns of some rows of a written table."""

    rows: Sequence[Row]
    columns: Sequence[tuple[str, Kind]]
    currency: str | None = None

    @property
    def name(self) -> str:
        """The name of the table."""
        return self.rows[0].table if self.rows else ""

    def header(self) -> list[tuple[str, bool]]:
        """The names of the columns in the current language, and whether they hold numbers."""
        return [(say(HEADERS[name]), kind in NUMBERS) for name, kind in self.columns]

    def note(self) -> str | None:
        """How many rows are not in it; None where all are."""
        if len(self.rows) <= MOST_ROWS:
            return None
        return say(
            "The first {count} of {all} rows; the file of the table has all of them.",
            count=MOST_ROWS,
            all=len(self.rows),
        )

    def body(self) -> list[list[tuple[Markup, bool]]]:
        """The cells as they are read, and whether each is a number."""
        return [
            [
                (figure(row, name, kind, self.currency), kind in NUMBERS)
                for name, kind in self.columns
            ]
            for row in self.rows[:MOST_ROWS]
        ]


@dataclass(frozen=True)
class CustomerList:
    """The customers behind a picture: columns of the table `customers`, of those who are in it.

    `where`: an SQL condition over `customers`; `order`: an SQL order.
    """

    name: str
    columns: tuple[str, ...]
    where: str = "true"
    order: str = "customer_id"


@dataclass(frozen=True)
class Picture:
    """A picture, or a table alone: one plain sentence, the drawing, the table behind it.

    `markup`: the drawing; None where only the table is shown. `customers`: who is behind it.
    """

    title: str
    text: Markup
    view: View | None = None
    markup: Markup | None = None
    customers: CustomerList | None = None
    is_open: bool = False


@dataclass(frozen=True)
class Section:
    """A question that people ask, its answer in short, and the pictures that show it.

    `notes`: what is missing, or has to be known before anything is concluded. `definitions`: names
    with what they mean, to be unfolded.
    """

    name: str
    question: str
    answer: Markup
    pictures: Sequence[Picture] = ()
    notes: Sequence[Markup] = field(default_factory=tuple)
    definitions: Sequence[tuple[str, Markup]] = field(default_factory=tuple)
