"""What all pictures share: size, the colours of the two populations, how they are named, how a file is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

COLOURS = {"everyone": "#3b6ea5", "eligible": "#c8553d"}
GREY = "#8a8a8a"


def canvas(
    title: str, *, width: float = 6.0, height: float = 5.0, rows: int = 1, columns: int = 1
) -> tuple[Any, Any]:
    """(figure, axes array (rows, columns)) with the question it answers as its title."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    figure.suptitle(title, fontsize=13)
    return figure, figure.subplots(rows, columns, squeeze=False)


def curve_axes(title: str, x: str, y: str) -> tuple[Any, Any]:
    """One square of shares, 0 to 1 on both axes."""
    figure, ((axes,),) = canvas(title)
    axes.set(xlabel=x, ylabel=y, xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    axes.grid(color="#e6e6e6", linewidth=0.6)
    return figure, axes


def named(who: str, found: dict[str, Any], figure: str = "") -> str:
    """`eligible, n = 1,234: AUROC 0.812`: what the legend says of a population."""
    return f"{who}, n = {found['rows']:,}" + (f": {figure}" if figure else "")


def saved(figure: Any, path: Path, *, legends: Any = ()) -> Path:
    for axes in legends:
        axes.legend(frameon=True, framealpha=0.85, edgecolor="none", fontsize=9)
    figure.savefig(path)
    return path
