"""Stacked columns over time: what adds up above 0, and what is taken away below it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from serving.drawing.bars import Format
from serving.drawing.canvas import WIDTH, Canvas, Value, text_width
from serving.drawing.legend import draw_legend
from serving.drawing.scale import scale_for

_HEIGHT = 220


@dataclass(frozen=True)
class Column:
    """One column: its label below, and its parts (None: a part without a number)."""

    label: str
    parts: Sequence[Value | None]


def draw_columns(
    name: str, columns: Sequence[Column], legend: Sequence[tuple[str, str]], write: Format
) -> Canvas:
    """Columns of parts, each part in the look of its (look, name) in the legend.

    Parts above 0 stand on each other from 0 up, parts below 0 hang from 0 down.
    """
    canvas = Canvas(name, 0)
    top = draw_legend(canvas, legend) + 4
    up, down = _ends(columns)
    axis_texts = [write(tick) for tick in scale_for([*up, *down], 0, 1).ticks()]
    left = max(text_width(text) for text in axis_texts) + 16
    scale = scale_for([*up, *down], top + _HEIGHT, top)
    canvas.axis("y", scale)
    for tick in scale.ticks():
        y = scale.place(tick)
        canvas.line(left, y, WIDTH, y, look="zero" if abs(tick) < 1e-12 else "grid")
        canvas.text(left - 6, y + 4, write(tick), look="soft", anchor="end", tick=("y", tick))
    step = (WIDTH - left) / max(len(columns), 1)
    for place, column in enumerate(columns):
        x = left + place * step + step * 0.12
        above, below = 0.0, 0.0
        for part, (look, part_name) in zip(column.parts, legend, strict=True):
            if part is None or part.number == 0:
                continue
            base = above if part.number > 0 else below
            edges = scale.place(base), scale.place(base + part.number)
            canvas.rect(
                x,
                min(edges),
                step * 0.76,
                abs(edges[0] - edges[1]),
                look=look,
                value=part,
                label=f"{column.label}, {part_name}",
                data_axis="y",
            )
            above, below = (
                (above + part.number, below) if part.number > 0 else (above, below + part.number)
            )
    _draw_labels(canvas, columns, left, step, top + _HEIGHT + 18)
    canvas.height = top + _HEIGHT + 26
    return canvas


def _ends(columns: Sequence[Column]) -> tuple[list[float], list[float]]:
    numbers = [[part.number for part in column.parts if part] for column in columns]
    return (
        [sum(each for each in parts if each > 0) for parts in numbers],
        [sum(each for each in parts if each < 0) for parts in numbers],
    )


def _draw_labels(
    canvas: Canvas, columns: Sequence[Column], left: float, step: float, y: float
) -> None:
    """The labels below the columns: every second, third …, as they have room, the last one too."""
    widest = max((text_width(column.label) for column in columns), default=0.0)
    stride = math.ceil((widest + 34) / step)
    for place in range(len(columns) - 1, -1, -stride):
        half = text_width(columns[place].label) / 2
        x = min(left + (place + 0.5) * step, WIDTH - half - 6)
        canvas.text(x, y, columns[place].label, look="soft", anchor="middle")
