"""A matrix of boxes: the more of a row is in a column, the fuller the colour of its box."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from serving.drawing.canvas import LINE, WIDTH, Canvas, Value, text_width

_MIN_ROOM, _MAX_ROOM = 60, 160  # for the labels of the rows
_BOX = 30


def draw_matrix(
    name: str,
    rows: Sequence[str],
    columns: Sequence[str],
    values: Mapping[tuple[int, int], Value],
    *,
    row_name: str,
    column_name: str,
    power: float = 1.0,
) -> Canvas:
    """A box with its number for each (row, column) with a value.

    The opacity of a box is (value / largest value) ** power: counts that differ by a hundred times
    are told apart by a power of one half. `row_name`, `column_name`: what rows and columns are.
    """
    canvas = Canvas(name, 0)
    room = min(max([_MIN_ROOM, *(text_width(label) + 14 for label in rows)]), _MAX_ROOM)
    step = (WIDTH - room) / max(len(columns), 1)
    largest = max((value.number for value in values.values()), default=0.0)
    canvas.text(0, 15, row_name, look="soft", room=WIDTH / 2)
    rest = max(WIDTH - text_width(row_name) - 20, WIDTH / 2)
    canvas.text(WIDTH, 15, column_name, look="soft", anchor="end", room=rest)
    head = _draw_head(canvas, columns, room, step)
    for number, label in enumerate(rows):
        y = head + number * _BOX
        canvas.line(room, y, WIDTH, y, look="grid")
        canvas.text(room - 8, y + 20, label, anchor="end", room=room - 8)
    for (row, column), value in values.items():
        x, y = room + column * step, head + row * _BOX
        opacity = (value.number / largest) ** power if largest > 0 else 0.0
        canvas.rect(
            x + 1,
            y + 1,
            step - 2,
            _BOX - 2,
            look="box",
            value=value,
            label=f"{rows[row]} → {columns[column]}",
            fill_opacity=f"{opacity:.4f}",
            data_axis="opacity",
            data_largest=repr(largest),
            data_power=repr(power),
        )
        if text_width(value.text) <= step + 4:
            canvas.text(x + step / 2, y + 20, value.text, look="on", anchor="middle", value=value)
    canvas.height = head + len(rows) * _BOX + 6
    return canvas


def _draw_head(canvas: Canvas, columns: Sequence[str], room: float, step: float) -> float:
    """The labels of the columns, on two lines in turn where they are wide; where the rows begin."""
    lines = 2 if any(text_width(label) > step - 4 for label in columns) else 1
    for place, label in enumerate(columns):
        x = min(room + (place + 0.5) * step, WIDTH - text_width(label) / 2 - 4)
        y = 15 + LINE * (1 + place % lines)
        canvas.text(x, y, label, anchor="middle", room=lines * step)
    return (1 + lines) * LINE + 4
