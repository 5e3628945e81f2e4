"""Lines over a number, such as days: a mark at each value, with its interval where it has one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from serving.drawing.bars import Format
from serving.drawing.canvas import WIDTH, Canvas, Value, text_width
from serving.drawing.legend import draw_legend
from serving.drawing.scale import Scale, scale_for

_HEIGHT = 230


@dataclass(frozen=True)
class Point:
    """A value at `x`, whose own cell is `x_column`, with the ends of its interval."""

    x: float
    value: Value
    x_column: str
    low: Value | None = None
    high: Value | None = None


@dataclass(frozen=True)
class Line:
    """One line: what it is, its look, and its points from left to right."""

    label: str
    look: str
    points: Sequence[Point]


def draw_lines(
    name: str,
    lines: Sequence[Line],
    write: Format,
    *,
    write_x: Format,
    x_name: str,
    y_ends: tuple[float, float] | None = None,
    even: bool = False,
) -> Canvas:
    """Lines with a legend. `x_name` stands below the axis; `y_ends`: the ends of the other one.

    even: a dotted line where both axes have the same value (what is predicted and what came).
    """
    canvas = Canvas(name, 0)
    top = draw_legend(canvas, [(line.look, line.label) for line in lines]) + 8
    points = [point for line in lines for point in line.points]
    numbers = [end.number for each in points for end in (each.value, each.low, each.high) if end]
    y_scale = scale_for(y_ends or numbers, top + _HEIGHT, top)
    left = max([text_width(write(tick)) for tick in y_scale.ticks()], default=0) + 16
    x_scale = scale_for([point.x for point in points], left + 8, WIDTH - 24)
    canvas.axis("x", x_scale)
    canvas.axis("y", y_scale)
    _draw_axes(canvas, x_scale, y_scale, write, write_x, left)
    if even:
        ends = max(x_scale.low, y_scale.low), min(x_scale.high, y_scale.high)
        places = [(x_scale.place(end), y_scale.place(end)) for end in ends]
        canvas.path(places, look="even")
    for number, line in enumerate(lines):
        _draw_line(canvas, line, x_scale, y_scale, square=number % 2 == 1)
    canvas.text(WIDTH, top + _HEIGHT + 36, x_name, look="soft", anchor="end")
    canvas.height = top + _HEIGHT + 44
    return canvas


def _draw_line(canvas: Canvas, line: Line, x_scale: Scale, y_scale: Scale, *, square: bool) -> None:
    places = [(x_scale.place(one.x), y_scale.place(one.value.number)) for one in line.points]
    canvas.path(places, look=f"line {line.look}")
    for (x, y), point in zip(places, line.points, strict=True):
        if point.low is not None and point.high is not None:
            ends = y_scale.place(point.low.number), y_scale.place(point.high.number)
            canvas.line(x, ends[0], x, ends[1], look=f"whisker {line.look}")
        if square:
            canvas.rect(
                x - 3.5,
                y - 3.5,
                7,
                7,
                look=line.look,
                value=point.value,
                label=line.label,
                data_axis="xy-middle",
                data_x_column=point.x_column,
            )
        else:
            canvas.circle(
                x,
                y,
                3.5,
                look=line.look,
                value=point.value,
                label=line.label,
                data_axis="xy",
                data_x_column=point.x_column,
            )


def _draw_axes(
    canvas: Canvas, x_scale: Scale, y_scale: Scale, write: Format, write_x: Format, left: float
) -> None:
    bottom = y_scale.start
    for tick in y_scale.ticks():
        y = y_scale.place(tick)
        canvas.line(left, y, WIDTH, y, look="zero" if abs(tick) < 1e-12 else "grid")
        canvas.text(left - 6, y + 4, write(tick), look="soft", anchor="end", tick=("y", tick))
    for tick in x_scale.ticks():
        x = x_scale.place(tick)
        canvas.line(x, bottom, x, bottom + 5, look="grid")
        canvas.text(x, bottom + 18, write_x(tick), look="soft", anchor="middle", tick=("x", tick))
