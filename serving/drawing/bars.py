"""Horizontal bars with their values, and dots with intervals: one row for each label."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from serving.drawing.canvas import LINE, WIDTH, Canvas, Value, text_width
from serving.drawing.row_labels import RowLabels
from serving.drawing.scale import Scale, scale_for

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
    labels = RowLabels.fitting([row.label for row in rows])
    texts = [text_width(row.value.text) for row in rows if row.value]
    end = WIDTH - max([_END, *texts]) - 8
    scale = scale_for([row.value.number for row in rows if row.value], labels.room, end)
    canvas = Canvas(name, 0)
    canvas.axis("x", scale)
    _draw_grid(canvas, scale, labels.height(len(rows)), write, _scale_of_texts(rows))
    for place, row in enumerate(rows):
        y = labels.draw(canvas, place, row.label)
        if row.value is None:
            canvas.text(labels.room + 4, y + 15, row.note, look="soft")
            continue
        number, zero = row.value.number, scale.place(0.0)
        canvas.rect(
            min(scale.place(number), zero),
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
    labels = RowLabels.fitting([row.label for row in rows])
    scale = _interval_scale(rows, labels.room, zero=zero, at=at)
    canvas = Canvas(name, 0)
    canvas.axis("x", scale)
    _draw_grid(canvas, scale, labels.height(len(rows)), write, _scale_of_texts(rows))
    if at is not None:
        x = scale.place(at.number)
        canvas.line(x, 0, x, labels.height(len(rows)), look="at")
    for place, row in enumerate(rows):
        y = labels.draw(canvas, place, row.label) + LINE / 2
        if row.value is None:
            canvas.text(labels.room + 4, y + 4, row.note, look="soft")
            continue
        _draw_whisker(canvas, scale, row, y)
        x = scale.place(row.value.number)
        canvas.circle(x, y, 4.5, look=row.look, value=row.value, label=row.label, data_axis="x")
        right = scale.place(row.high.number if row.high else row.value.number)
        canvas.text(right + 9, y + 4, row.value.text, value=row.value)
    return canvas


def _interval_scale(rows: Sequence[Row], room: float, *, zero: bool, at: Value | None) -> Scale:
    texts = [text_width(row.value.text) for row in rows if row.value]
    ends = [each for row in rows for each in (row.value, row.low, row.high) if each is not None]
    numbers = [each.number for each in ends] + ([at.number] if at else [])
    return scale_for(numbers, room, WIDTH - max([_END, *texts]) - 14, from_zero=zero)


def _draw_whisker(canvas: Canvas, scale: Scale, row: Row, y: float) -> None:
    if row.low is None or row.high is None:
        return
    low, high = scale.place(row.low.number), scale.place(row.high.number)
    canvas.line(low, y, high, y, look="whisker")
    for end, value in ((low, row.low), (high, row.high)):
        canvas.rect(
            end - 1, y - 4, 2, 8, look="end", value=value, label=row.label, data_axis="x-middle"
        )


def _scale_of_texts(rows: Sequence[Row]) -> int:
    """How many times their numbers the texts of the rows say: 100 for points."""
    return next((row.value.scale for row in rows if row.value), 1)


def _draw_grid(canvas: Canvas, scale: Scale, bottom: float, write: Format, times: int) -> None:
    """Lines at round numbers below which they stand, as far as there is room for them."""
    right = -1.0
    for tick in scale.ticks():
        x, text = scale.place(tick), write(tick)
        canvas.line(x, 0, x, bottom, look="zero" if abs(tick) < 1e-12 else "grid")
        half = text_width(text) / 2
        if x - half > right:
            canvas.text(
                x, bottom + 16, text, look="soft", anchor="middle", tick=("x", tick), scale=times
            )
            right = x + half + 6
    canvas.height = bottom + 24
