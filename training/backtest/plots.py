"""The pictures of a backtest as PNG files, drawn from its account alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from training.plots.canvas import COLOURS, GREY, canvas, saved

FIGURES = {"auroc": "AUROC", "log_loss": "log loss"}
MOVES = {
    "rank_correlation": "rank correlation of p",
    "top_decile_overlap": "overlap of the riskiest tenth (Jaccard)",
    "moved": "share whose p moved by more than 0.2",
    "population_stability": "population stability index of p",
}


def draw(told: dict[str, Any], folder: Path) -> list[Path]:
    """The PNG files written to `folder` (which must exist); a picture with nothing to show is left out."""
    made = [
        _over_time(told, folder / "over_time.png"),
        _decay(told["decay"], folder / "decay.png"),
        _stability(told["stability"], folder / "stability.png"),
    ]
    return [path for path in made if path is not None]


def _over_time(told: dict[str, Any], path: Path) -> Path | None:
    """AUROC and log loss of each date with 95 % intervals, and what the validation on that day had said."""
    dates = told["dates"]
    if not any(one["churn"]["everyone"]["log_loss"] is not None for one in dates):
        return None
    figure, panels = canvas(
        "Did what was promised come, date by date?", width=11, height=7, rows=2, columns=2
    )
    for row, (name, words) in zip(panels, FIGURES.items(), strict=True):
        for axes, (who, colour) in zip(row, COLOURS.items(), strict=True):
            _points(
                axes,
                [one["churn"][who] for one in dates],
                name,
                -0.1,
                colour,
                "came (bars: 95 %)",
                marker="o",
            )
            said = [one["validation"]["churn"][who] for one in dates]
            _points(
                axes,
                said,
                name,
                0.1,
                GREY,
                "validation had said",
                marker="D",
                markerfacecolor="white",
            )
            _dated(axes, [one["as_of"] for one in dates])
            axes.set(ylabel=f"{words}, {who}")
    return saved(figure, path, legends=_named(panels[0]))


def _points(
    axes: Any,
    found: list[dict[str, Any]],
    name: str,
    shift: float,
    colour: str,
    label: str,
    **marks: Any,
) -> None:
    known = [
        (at, one[name], 1.96 * (one[f"{name}_error"] or 0))
        for at, one in enumerate(found)
        if one[name] is not None
    ]
    if known:
        at, value, half = np.array(known).T
        axes.errorbar(
            at + shift,
            value,
            yerr=half,
            color=colour,
            label=label,
            linewidth=1.2,
            elinewidth=0.9,
            capsize=2,
            markersize=5,
            **marks,
        )


def _decay(ages: list[dict[str, Any]], path: Path) -> Path | None:
    """What a model of each age loses against a fresh one on the same rows."""
    shown = {who: [(age["months"], age[who]) for age in ages if age[who]] for who in COLOURS}
    if not any(shown.values()):
        return None
    figure, ((left, right),) = canvas(
        "What does a model lose with age?", width=11, height=4.6, columns=2
    )
    for who, colour in COLOURS.items():
        months = [at for at, _ in shown[who]]
        lost, low, high = (
            np.array([one[key] for _, one in shown[who]]) for key in ("difference", "low", "high")
        )
        if months:
            bars = np.maximum([lost - low, high - lost], 0)
            left.errorbar(
                months,
                lost,
                yerr=bars,
                color=colour,
                marker="o",
                markersize=4,
                capsize=2,
                linewidth=1.2,
                label=who,
            )
        for key, style, words in (
            ("auroc", "-", "of that age"),
            ("fresh_auroc", ":", "fresh, same dates"),
        ):
            known = [(at, one[key]) for at, one in shown[who] if one[key] is not None]
            if known:
                right.plot(
                    *zip(*known, strict=True),
                    color=colour,
                    linestyle=style,
                    marker="o",
                    markersize=3,
                    label=f"{who}, {words}",
                )
    left.axhline(0, color=GREY, linewidth=1, linestyle="--", label="as a fresh model")
    left.set(xlabel="age in months", ylabel="log loss − a fresh model's (bars: 95 %)")
    right.set(xlabel="age in months", ylabel="AUROC")
    right.margins(y=0.3)  # room for the names
    for axes in (left, right):
        axes.grid(color="#e6e6e6", linewidth=0.6)
    return saved(figure, path, legends=_named([left, right]))


def _stability(moves: list[dict[str, Any]], path: Path) -> Path | None:
    """How scores move from each date to the next, for customers there at both."""
    if not moves:
        return None
    figure, panels = canvas(
        "Do scores stay where they were?", width=11, height=7, rows=2, columns=2
    )
    for axes, (name, words) in zip(panels.flat, MOVES.items(), strict=True):
        for who, colour in COLOURS.items():
            known = [
                (at, one[who][name]) for at, one in enumerate(moves) if one[who][name] is not None
            ]
            if known:
                axes.plot(
                    *zip(*known, strict=True),
                    color=colour,
                    marker="o",
                    markersize=4,
                    linewidth=1.2,
                    label=who,
                )
        if name == "top_decile_overlap":
            axes.axhline(0.1 / 1.9, color=GREY, linewidth=1, linestyle="--", label="by chance")
        _dated(axes, [one["to"] for one in moves])
        axes.set(ylabel=words)
        axes.set_ylim(*((0, 1.03) if name != "population_stability" else (0, None)))
    return saved(figure, path, legends=_named([panels[0, 1]]))


def _named(panels: Any) -> list[Any]:
    """The panels with something to name."""
    return [axes for axes in panels if axes.get_legend_handles_labels()[1]]


def _dated(axes: Any, days: list[str]) -> None:
    axes.set_xticks(range(len(days)), days, rotation=35, ha="right", fontsize=8)
    axes.set_xlim(-0.5, len(days) - 0.5)
    axes.grid(color="#e6e6e6", linewidth=0.6)
