"""Horizontal bars with their values, and dots with intervals: one row for each label."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from serving.drawing.canvas import LINE, WIDTH, Canvas, Value, text_width
from serving.drawing.scale import Scale, scale_for

MIN_ROOM, MAX_ROOM = 90, 250  # for the labels
_END = 16  # room for half of the last number below the axis
Format = Callable[[float], str]


@dataclass(frozen=True)
class Row:
    """One row: its label, its value with the ends of its interval, and its look.

    `value` None: nothing is drawn, and `note` says why.
    """

    label: str
    value: Value | None
    low: Value | None = None
    high: Value | None = None
    look: str = "bar"
    note: str = ""


def draw_bars(name: str, rows: Sequence[Row], write: Format) -> Canvas:
    """Bars from 0, each with its number; `write` writes the numbers of the axis."""
    texts = [text_width(row.value.text) for row in rows if row.value]
    end = WIDTH - max([_END, *texts]) - 8
    room = _label_room(rows)
    scale = scale_for([row.value.number for row in rows if row.value], room, end)
    canvas, top = Canvas(name, 0), 4.0
    canvas.axis("x", scale)
    _draw_grid(canvas, scale, len(rows), write)
    for place, row in enumerate(rows):
        y = top + place * LINE
        _draw_label(canvas, row, y, room)
        if row.value is None:
            canvas.text(room + 4, y + 15, row.note, look="soft")
            continue
        number, zero = row.value.number, scale.place(0.0)
        x = min(scale.place(number), zero)
        canvas.rect(
            x,
            y + 3,
            scale.length(number),
            LINE - 7,
            look=row.look,
            value=row.value,
            label=row.label,
            data_axis="x",
        )
        canvas.text(max(scale.place(number), zero) + 5, y + 15, row.value.text, value=row.value)
    return canvas


def draw_intervals(
    name: str, rows: Sequence[Row], write: Format, *, zero: bool = True, at: Value | None = None
) -> Canvas:
    """A dot for each value and a line from its low to its high end.

    zero: 0 is on the axis. `at`: a value that all rows compare with, as a line.
    """
    texts = [text_width(row.value.text) for row in rows if row.value]
    ends = [each for row in rows for each in (row.value, row.low, row.high) if each is not None]
    numbers = [each.number for each in ends] + ([at.number] if at else [])
    room = _label_room(rows)
    scale = scale_for(numbers, room, WIDTH - max([_END, *texts]) - 14, from_zero=zero)
    canvas = Canvas(name, 0)
    canvas.axis("x", scale)
    _draw_grid(canvas, scale, len(rows), write)
    if at is not None:
        x = scale.place(at.number)
        canvas.line(x, 0, x, 8 + len(rows) * LINE, look="at")
    for place, row in enumerate(rows):
        y = 4 + place * LINE + LINE / 2
        _draw_label(canvas, row, y - LINE / 2, room)
        if row.value is None:
            canvas.text(room + 4, y + 4, row.note, look="soft")
            continue
        _draw_whisker(canvas, scale, row, y)
        x = scale.place(row.value.number)
        canvas.circle(x, y, 4.5, look=row.look, value=row.value, label=row.label, data_axis="x")
        right = scale.place(row.high.number if row.high else row.value.number)
        canvas.text(right + 9, y + 4, row.value.text, value=row.value)
    return canvas


def _draw_whisker(canvas: Canvas, scale: Scale, row: Row, y: float) -> None:
    if row.low is None or row.high is None:
        return
    low, high = scale.place(row.low.number), scale.place(row.high.number)
    canvas.line(low, y, high, y, look="whisker")
    for end, value in ((low, row.low), (high, row.high)):
        canvas.rect(
            end - 1, y - 4, 2, 8, look="end", value=value, label=row.label, data_axis="x-middle"
        )


def _label_room(rows: Sequence[Row]) -> float:
    widest = max((text_width(row.label) for row in rows), default=0.0)
    return min(max(widest + 16, MIN_ROOM), MAX_ROOM)


def _draw_label(canvas: Canvas, row: Row, y: float, room: float) -> None:
    canvas.text(room - 8, y + 15, row.label, anchor="end", room=room - 8)


def _draw_grid(canvas: Canvas, scale: Scale, rows: int, write: Format) -> None:
    """Lines at round numbers below which they stand, as far as there is room for them."""
    bottom, right = 8 + rows * LINE, -1.0
    for tick in scale.ticks():
        x, text = scale.place(tick), write(tick)
        canvas.line(x, 0, x, bottom, look="zero" if abs(tick) < 1e-12 else "grid")
        half = text_width(text) / 2
        if x - half > right:
            canvas.text(x, bottom + 16, text, look="soft", anchor="middle")
            right = x + half + 6
    canvas.height = bottom + 24
