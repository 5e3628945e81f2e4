"""Numbers and sentences of the page. Each number names the cell of the table it stands in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

from markupsafe import Markup, escape

from features.core.language import (
    CHINESE,
    current_language,
    day,
    number,
    percent,
    say,
    term,
    translate_text,
)
from serving.drawing.canvas import Cell, Value
from serving.report.written_tables import FEWEST, Row
from serving.scoring.reason_language import say_reason

NumberKind = Literal["count", "share", "points", "money", "change", "number", "days", "hours"]
WordKind = Literal["text", "term", "own", "stage", "day", "cohort", "long", "reason"]
Kind = NumberKind | WordKind
NUMBERS = get_args(NumberKind)
# All other words of such a column are the business's own, even where they look like ours.
OUR_WORDS = ("all", "(unknown)", "(others)", "(none)")
NOTHING = "–"
_SMALL_MONEY = 100  # below it, cents matter


def write(value: Any, kind: Kind, currency: str | None = None) -> str:
    """A value as people read it, in the current language; `–` for null."""
    if value is None:
        return NOTHING
    if kind in _WRITERS:
        return _WRITERS[kind](value)
    return f"{'+' if kind == 'change' and value > 0 else ''}{_write_money(value, currency)}"


def _write_money(value: float, currency: str | None) -> str:
    text = number(value, 2 if 0 < abs(value) < _SMALL_MONEY else 0)
    return f"{text} {currency}" if currency else text


_WRITERS: dict[str, Callable[[Any], str]] = {
    "count": number,
    "share": percent,
    "points": lambda value: f"{'+' if value > 0 else ''}{number(100 * value, 1)}",
    "number": lambda value: number(value, 2),
    "days": number,
    "hours": lambda value: say("{n} h", n=number(value)),
    "text": str,
    "own": lambda value: term(value) if value in OUR_WORDS else str(value),
    "term": term,
    "stage": lambda value: stage_name(value),
    "day": day,
    "long": translate_text,
    "reason": say_reason,
    "cohort": lambda value: term(value) if value == "all" else day(value),
}


def stage_name(stage: str) -> str:
    """A stage as people write it: `at risk`. What is no stage stays as it is."""
    return term(stage) if term(stage) != stage else stage.replace("_", " ")


def joined(*sentences: Markup | None) -> Markup:
    """Sentences one after the other; those that are None are left out."""
    # Between Chinese sentences there is no space.
    gap = Markup("" if current_language() == CHINESE else " ")
    return gap.join(each for each in sentences if each is not None)


def why_hidden(row: Row, column: str, kind: Kind = "count") -> str:
    """What stands for a number of a column that is not shown."""
    if row.is_withheld or column in row.withheld:
        return say("not shown")
    return say("fewer than {n}", n=FEWEST) if kind == "count" else say("(too few customers)")


def whole_percent(share: float) -> str:
    """A share without decimals, for axes: `20%`."""
    return percent(share, 0)


def figure(row: Row, column: str, kind: Kind, currency: str | None = None) -> Markup:
    """The number of a cell, which says where it stands: a text of the page."""
    if row[column] is None:
        return Markup(NOTHING)
    if kind in NUMBERS:
        if row.hides(column):
            return Markup(escape(why_hidden(row, column, kind)))
        row.number_of(column)  # what is no number is refused
    text = write(row[column], kind, currency)
    scale = Markup(' data-scale="100"') if kind == "points" else ""
    return Markup('<data data-table="{}" data-row="{}" data-column="{}"{}>{}</data>').format(
        row.table, row.number, column, scale, text
    )


def drawn(row: Row, column: str, kind: Kind, currency: str | None = None) -> Value | None:
    """The number of a cell for a picture; None where there is none to be drawn."""
    value = row.number_of(column)
    if value is None:
        return None
    text, scale = write(row[column], kind, currency), 100 if kind == "points" else 1
    return Value(value, Cell(row.table, row.number, column), text, scale)
