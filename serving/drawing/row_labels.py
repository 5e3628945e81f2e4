"""Where the labels of rows stand: beside the marks, or above them where they are long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from serving.drawing.canvas import LINE, WIDTH, Canvas, text_width

_MIN_ROOM, _MAX_ROOM = 90, 220
_TOP = 4


@dataclass(frozen=True)
class RowLabels:
    """`room`: where the marks begin. `above`: the labels stand above their marks."""

    room: float
    above: bool

    @classmethod
    def fitting(cls, labels: Sequence[str]) -> RowLabels:
        """Beside the marks where the widest label leaves room for them."""
        widest = max((text_width(label) for label in labels), default=0.0) + 16
        if widest > _MAX_ROOM:
            return cls(10.0, above=True)
        return cls(max(widest, _MIN_ROOM), above=False)

    @property
    def step(self) -> float:
        """The height of a row."""
        return 2 * LINE if self.above else LINE

    def height(self, rows: int) -> float:
        """The height of all rows."""
        return 2 * _TOP + rows * self.step

    def draw(self, canvas: Canvas, place: int, label: str) -> float:
        """Draw the label of a row; the top of the line in which its marks stand."""
        top = _TOP + place * self.step
        if self.above:
            canvas.text(0, top + 17, label, room=WIDTH)
            return top + LINE
        canvas.text(self.room - 8, top + 15, label, anchor="end", room=self.room - 8)
        return top
