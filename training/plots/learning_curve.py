"""The plot of a learning curve."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from training.evaluation.learning_curve import MODELS, UNITS
from training.plots.canvas import COLOURS, Report, canvas, draw_grid, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_learning_curve(curve: Report | None, path: Path) -> Path | None:
    """Our log loss and the best baseline's by size, and from which size ours is better.

    None without points.
    """
    if not curve or not any(point[model] for point in curve["customers"] for model in MODELS):
        return None
    figure, panels = canvas(
        "How many customers and dates does it take?", width=11, height=8, rows=2, columns=2
    )
    for row, (model, words) in zip(panels, MODELS.items(), strict=True):
        for axes, (axis, unit) in zip(row, UNITS.items(), strict=True):
            for who in COLOURS:
                _lines(axes, curve, model, axis, who)
            axes.set(xlabel=f"{unit} trained on", ylabel=f"log loss, {words}", xscale="log")
            draw_grid(axes)
    return save_figure(figure, path, legends=[axes for axes in panels.flat if axes.lines])


def _lines(axes: Axes, curve: Report, model: str, axis: str, who: str) -> None:
    points = [
        (point[axis], point[model][who]) for point in curve[axis] if (point[model] or {}).get(who)
    ]
    if not points:
        return
    colour = COLOURS[who]
    size = [at for at, _ in points]
    ours = [report["log_loss"] for _, report in points]
    best = [report["best_baseline_log_loss"] for _, report in points]
    low, high = (
        [report["best_baseline_log_loss"] + report[end] for _, report in points]
        for end in ("low", "high")
    )
    axes.fill_between(size, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.plot(size, ours, color=colour, marker="o", markersize=4, label=f"our model, {who}")
    axes.plot(
        size,
        best,
        color=colour,
        linestyle="--",
        marker="D",
        markersize=3,
        linewidth=1,
        label=f"best baseline, {who}",
    )
    better_from = curve["better_from"][model][who][axis]
    if better_from is not None:
        label = f"better from {better_from:,}"
        axes.axvline(better_from, color=colour, linewidth=0.8, linestyle=":", label=label)
