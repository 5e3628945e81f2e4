"""The calibration and lift pictures of one evaluation, as PNG files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

COLOURS = {"everyone": "#3b6ea5", "eligible": "#c8553d"}


def draw(account: dict[str, Any], folder: Path) -> list[Path]:
    """calibration.png and lift.png in `folder`: both populations, with the line of no error and of no skill."""
    import matplotlib

    matplotlib.use("Agg")
    return [_calibration(account["churn"], folder / "calibration.png"), _lift(account["churn"], folder / "lift.png")]


def _calibration(churn: dict[str, Any], path: Path) -> Path:
    figure, axes = _axes("P(churn) said", "share that left", "Does what we say happen?")
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1, label="said = happened")
    for who, colour in COLOURS.items():
        bins = churn[who].get("reliability", [])
        error = [1.96 * (max(b["left"] * (1 - b["left"]), 1e-9) / b["rows"]) ** 0.5 for b in bins]
        axes.errorbar([b["p"] for b in bins], [b["left"] for b in bins], yerr=error, color=colour, marker="o",
                      markersize=4, linewidth=1, label=f"{who} ({churn[who]['rows']:,})")  # fmt: skip
    return _saved(figure, axes, path)


def _lift(churn: dict[str, Any], path: Path) -> Path:
    figure, axes = _axes("share of customers, riskiest first", "share of leavers found", "How early are leavers found?")
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1, label="by chance")
    for who, colour in COLOURS.items():
        points = churn[who].get("lift", [])
        axes.plot([0, *(p["share"] for p in points)], [0, *(p["found"] for p in points)], color=colour,
                  label=f"{who} ({churn[who]['rows']:,})")  # fmt: skip
    return _saved(figure, axes, path)


def _axes(x: str, y: str, title: str) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 4.2), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    axes.set(xlabel=x, ylabel=y, title=title, xlim=(0, 1), ylim=(0, 1))
    return figure, axes


def _saved(figure: Any, axes: Any, path: Path) -> Path:
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(path)
    return path
