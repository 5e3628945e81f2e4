"""A picture of the realised figures: who left beside who was expected to, and the AUROC, by run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from training.evaluation.reliability import wilson_interval
from training.plots.canvas import COLOURS, GREY, canvas, draw_grid

MOST_RUNS = 24


def draw_realised(lines: Sequence[Mapping[str, Any]], path: Path) -> Path:
    """Draw the newest MOST_RUNS runs of the history as PNG."""
    shown = sorted((each for each in lines if each["customers"]), key=lambda each: each["as_of"])
    shown = shown[-MOST_RUNS:]
    figure, ((rates, aurocs),) = canvas(
        "Did the scores come true?", width=11.0, height=4.5, columns=2, bottom=1.1
    )
    _draw_rates(rates, shown)
    _draw_aurocs(aurocs, [each for each in shown if each["auroc"] is not None])
    figure.savefig(path, format="png")
    return path


def _draw_rates(axes: Any, shown: Sequence[Mapping[str, Any]]) -> None:
    count = np.array([each["customers"] for each in shown], float)
    left = np.array([each["left"] for each in shown], float)
    places = np.arange(len(shown))
    if len(shown):
        low, high = wilson_interval(left, count)
        rate = left / count
        axes.errorbar(
            places,
            rate,
            yerr=[rate - low, high - rate],
            fmt="o",
            color=COLOURS["eligible"],
            label="left (95 % interval)",
        )
        expected = [each["expected"] / each["customers"] for each in shown]
        axes.plot(places, expected, color=COLOURS["everyone"], label="expected by the scores")
        axes.legend(frameon=False, fontsize=9)
    _label(axes, shown, "share of eligible customers")


def _draw_aurocs(axes: Any, shown: Sequence[Mapping[str, Any]]) -> None:
    places = np.arange(len(shown))
    if len(shown):
        value, low, high = (
            np.array([each[name] for each in shown], float)
            for name in ("auroc", "auroc_low", "auroc_high")
        )
        axes.errorbar(
            places, value, yerr=[value - low, high - value], fmt="o", color=COLOURS["eligible"]
        )
    axes.axhline(0.5, color=GREY, linewidth=0.8)
    _label(axes, shown, "AUROC (95 % interval)")


def _label(axes: Any, shown: Sequence[Mapping[str, Any]], figure: str) -> None:
    days = [each["as_of_text"] for each in shown]
    axes.set(ylabel=figure, xticks=range(len(days)))
    axes.set_xticklabels(days, rotation=45, ha="right", fontsize=8)
    draw_grid(axes)
