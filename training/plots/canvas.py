"""What all plots share: size, the colours of the two populations, legends, files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Report = Mapping[str, Any]
COLOURS = {"everyone": "#3b6ea5", "eligible": "#c8553d"}
GREY, GRID = "#8a8a8a", "#e6e6e6"
RIGHT_INCHES, TOP_INCHES = 0.2, 0.75


def canvas(
    title: str,
    *,
    width: float = 6.0,
    height: float = 5.0,
    rows: int = 1,
    columns: int = 1,
    left: float = 0.75,
    bottom: float = 0.6,
    gap: tuple[float, float] = (0.75, 0.75),
) -> tuple[Figure, np.ndarray]:
    """(figure, axes (rows, columns)); the title is the question that the plot answers.

    `left`, `bottom`: inches for labels. `gap`: inches between columns and between rows. Margins are
    stated, because a layout that finds them draws every picture twice.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=110)
    figure.suptitle(title, fontsize=13 if width > 7 else 11)
    across = (width - left - RIGHT_INCHES - gap[0] * (columns - 1)) / columns
    upward = (height - bottom - TOP_INCHES - gap[1] * (rows - 1)) / rows
    figure.subplots_adjust(
        left=left / width,
        right=1 - RIGHT_INCHES / width,
        bottom=bottom / height,
        top=1 - TOP_INCHES / height,
        wspace=gap[0] / across,
        hspace=gap[1] / upward,
    )
    return figure, figure.subplots(rows, columns, squeeze=False)


def curve_axes(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    """One square of shares, 0 to 1 on both axes."""
    figure, ((axes,),) = canvas(title)
    axes.set(xlabel=x, ylabel=y, xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    draw_grid(axes)
    return figure, axes


def draw_grid(axes: Axes) -> None:
    axes.grid(color=GRID, linewidth=0.6)


def legend_label(who: str, report: Report, figure: str = "") -> str:
    """`eligible, n = 1,234: AUROC .812`."""
    return f"{who}, n = {report['rows']:,}" + (f": {figure}" if figure else "")


def save_figure(figure: Figure, path: Path, *, legends: Iterable[Axes] = ()) -> Path:
    """Write the file, with a legend in each of the axes `legends`."""
    for axes in legends:
        axes.legend(frameon=True, framealpha=0.85, edgecolor="none", fontsize=9)
    figure.savefig(path)
    return path
