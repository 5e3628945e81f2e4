"""The picture of a learning curve, drawn from its account alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from training.evaluation.learning_curve import MODELS, WORDS
from training.plots.canvas import COLOURS, canvas, saved


def draw_learning_curve(found: dict[str, Any] | None, path: Path) -> Path | None:
    """Our log loss and the best baseline's by size, and the size from which ours is worth having; None without points."""
    if not found or not any(point[model] for point in found["customers"] for model in MODELS):
        return None
    figure, panels = canvas(
        "How many customers and dates does it take?", width=11, height=8, rows=2, columns=2
    )
    for row, (model, words) in zip(panels, MODELS.items(), strict=True):
        for axes, (axis, unit) in zip(row, WORDS.items(), strict=True):
            for who, colour in COLOURS.items():
                _lines(axes, found, model, axis, who, colour)
            axes.set(xlabel=f"{unit} trained on", ylabel=f"log loss, {words}", xscale="log")
            axes.grid(color="#e6e6e6", linewidth=0.6)
    return saved(figure, path, legends=[axes for axes in panels.flat if axes.lines])


def _lines(axes: Any, found: dict[str, Any], model: str, axis: str, who: str, colour: str) -> None:
    points = [
        (point[axis], point[model][who]) for point in found[axis] if (point[model] or {}).get(who)
    ]
    if not points:
        return
    size = [at for at, _ in points]
    ours = [one["log_loss"] for _, one in points]
    low, high = (
        [one["best_baseline_log_loss"] + one[end] for _, one in points] for end in ("low", "high")
    )
    axes.fill_between(size, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.plot(size, ours, color=colour, marker="o", markersize=4, label=f"our model, {who}")
    axes.plot(
        size,
        [one["best_baseline_log_loss"] for _, one in points],
        color=colour,
        linestyle="--",
        marker="D",
        markersize=3,
        linewidth=1,
        label=f"best baseline, {who}",
    )
    worth = found["worth"][model][who][axis]
    if worth is not None:
        axes.axvline(
            worth, color=colour, linewidth=0.8, linestyle=":", label=f"worth having from {worth:,}"
        )
