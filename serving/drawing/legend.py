"""What the colours of a picture mean: a swatch and a name each, in rows."""

from __future__ import annotations

from collections.abc import Sequence

from serving.drawing.canvas import LINE, WIDTH, Canvas, shorten, text_width

_SWATCH = 12
_GAP = 18


def draw_legend(canvas: Canvas, names: Sequence[tuple[str, str]], *, top: float = 0) -> float:
    """Draw (look, name) pairs from `top` on; the height that they take."""
    x, y = 0.0, top
    for look, name in names:
        name = shorten(name, WIDTH - 2 * _SWATCH - _GAP)
        width = _SWATCH + 6 + text_width(name) + _GAP
        if x and x + width > WIDTH:
            x, y = 0.0, y + LINE
        canvas.rect(x, y + 3, _SWATCH, _SWATCH, look=look)
        canvas.text(x + _SWATCH + 6, y + 14, name)
        x += width
    return y + LINE + 6 - top
