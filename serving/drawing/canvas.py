"""One picture as SVG: text is text, colours are classes, and each mark says which number it draws.

A mark that draws a number carries `data-table`, `data-row` and `data-column`: the cell of the table
that it is drawn from, and in `data-axis` how. The axes stand in `data-x` and `data-y` of the
picture, as `low high start end`, and their names carry `data-tick`. So a reader's script, and the
tests, can read the numbers back.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from markupsafe import Markup

from serving.drawing.scale import Scale

WIDTH = 480
FONT_SIZE = 14
LINE = 22  # the height of a row with text
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LATIN = 0.56  # the mean width of a letter, in font sizes; of an ideograph it is 1


@dataclass(frozen=True)
class Cell:
    """Where a number comes from: a table, the number of its row, and a column."""

    table: str
    row: int
    column: str

    def attributes(self) -> dict[str, str]:
        """The cell as attributes of a mark."""
        return {"data-table": self.table, "data-row": str(self.row), "data-column": self.column}


@dataclass(frozen=True)
class Value:
    """A number, where it comes from, and how it is written: the text says `scale` times it."""

    number: float
    cell: Cell
    text: str
    scale: int = 1

    def attributes(self) -> dict[str, str]:
        """The cell as attributes of a text that writes the number."""
        scale = {} if self.scale == 1 else {"data-scale": str(self.scale)}
        return self.cell.attributes() | scale


class Canvas:
    """An SVG picture that grows by marks; WIDTH wide, in units that the page scales.

    `name`: what it shows, for those who do not see it. `height` may be set until `markup`.
    """

    def __init__(self, name: str, height: float) -> None:
        self.height = height
        self._svg = ET.Element("svg", {"role": "img", "aria-label": name})

    def axis(self, name: str, scale: Scale) -> None:
        """Write down an axis (`x` or `y`), so that marks can be read back."""
        numbers = (scale.low, scale.high, scale.start, scale.end)
        self._svg.set(f"data-{name}", " ".join(f"{each:.12g}" for each in numbers))

    def rect(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        *,
        look: str,
        value: Value | None = None,
        label: str = "",
        **further: str,
    ) -> None:
        """A box. `look`: its classes; `label`: what it is, said before its value."""
        place = {"x": _number(x), "y": _number(y)}
        size = {"width": _number(width), "height": _number(height)}
        self._mark("rect", place | size, look, value, label, further)

    def circle(
        self,
        x: float,
        y: float,
        radius: float,
        *,
        look: str,
        value: Value | None = None,
        label: str = "",
        **further: str,
    ) -> None:
        place = {"cx": _number(x), "cy": _number(y), "r": _number(radius)}
        self._mark("circle", place, look, value, label, further)

    def line(self, x1: float, y1: float, x2: float, y2: float, *, look: str) -> None:
        ends = {"x1": _number(x1), "y1": _number(y1), "x2": _number(x2), "y2": _number(y2)}
        ET.SubElement(self._svg, "line", {**ends, "class": look})

    def path(self, points: list[tuple[float, float]], *, look: str) -> None:
        """A line through points; a single point has none."""
        if len(points) > 1:
            steps = " L".join(f"{_number(x)} {_number(y)}" for x, y in points)
            ET.SubElement(self._svg, "path", {"d": f"M{steps}", "class": look})

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        look: str = "",
        anchor: str = "start",
        room: float | None = None,
        value: Value | None = None,
        tick: tuple[str, float] | None = None,
        scale: int = 1,
    ) -> None:
        """A text. With `room` it is cut to that width, and the whole of it is its title.

        tick: the axis and the number of which it is the name there; the text says `scale` times it.
        """
        attributes = {"x": _number(x), "y": _number(y)}
        if anchor != "start":
            attributes["text-anchor"] = anchor
        if look:
            attributes["class"] = look
        if value is not None:
            attributes |= value.attributes()
        if tick is not None:
            attributes |= {"data-tick": tick[0], "data-number": repr(tick[1])}
            attributes |= {} if scale == 1 else {"data-scale": str(scale)}
        element = ET.SubElement(self._svg, "text", attributes)
        element.text = text if room is None else shorten(text, room)
        if element.text != text:
            title = ET.SubElement(element, "title")
            title.text, title.tail, element.text = text, element.text, None

    def markup(self) -> Markup:
        """The picture for a page. A character that no XML may hold is drawn as �."""
        self._svg.set("viewBox", f"0 0 {WIDTH} {_number(self.height)}")
        return Markup(_NOT_XML.sub("\ufffd", ET.tostring(self._svg, encoding="unicode")))

    def _mark(
        self,
        kind: str,
        place: dict[str, str],
        look: str,
        value: Value | None,
        label: str,
        further: dict[str, str],
    ) -> None:
        attributes = {**place, "class": look}
        attributes |= {name.replace("_", "-"): text for name, text in further.items()}
        if value is not None:
            attributes |= value.cell.attributes()
        element = ET.SubElement(self._svg, kind, attributes)
        if value is not None:
            ET.SubElement(element, "title").text = f"{label}: {value.text}" if label else value.text


def text_width(text: str) -> float:
    """About how wide a text is, in the units of the picture."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return FONT_SIZE * (wide + _LATIN * (len(text) - wide))


def shorten(text: str, room: float) -> str:
    """The text, or its beginning and `…` where it is wider than `room`."""
    if text_width(text) <= room:
        return text
    while text and text_width(text) + FONT_SIZE > room:
        text = text[:-1]
    return f"{text.rstrip()}…"


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") or "0"
