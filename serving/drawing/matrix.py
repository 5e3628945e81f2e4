"""A matrix of boxes: the more of a row is in a column, the fuller the colour of its box."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from serving.drawing.canvas import LINE, WIDTH, Canvas, Value, text_width

LABEL_ROOM = 112
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
    head, step = 2 * LINE + 4, (WIDTH - LABEL_ROOM) / max(len(columns), 1)
    largest = max((value.number for value in values.values()), default=0.0)
    canvas.text(WIDTH, 15, column_name, look="soft", anchor="end", room=WIDTH - LABEL_ROOM)
    canvas.text(LABEL_ROOM - 8, 15 + LINE, row_name, look="soft", anchor="end", room=LABEL_ROOM - 8)
    for place, label in enumerate(columns):
        x = LABEL_ROOM + (place + 0.5) * step
        canvas.text(x, 15 + LINE, label, anchor="middle", room=step)
    for number, label in enumerate(rows):
        y = head + number * _BOX
        canvas.line(LABEL_ROOM, y, WIDTH, y, look="grid")
        canvas.text(LABEL_ROOM - 8, y + 20, label, anchor="end", room=LABEL_ROOM - 8)
    for (row, column), value in values.items():
        x, y = LABEL_ROOM + column * step, head + row * _BOX
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
