"""Plots of two panels: calibration with the churn rate by date, and what moves the score."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from training.formats import decimals
from training.plots.canvas import (
    COLOURS,
    GREY,
    GRID,
    Report,
    canvas,
    draw_grid,
    legend_label,
    save_figure,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BAND = "#f1efe8"
POINT_STYLE: dict[str, Any] = {
    "marker": "o",
    "markersize": 4,
    "linewidth": 1.2,
    "elinewidth": 0.8,
    "capsize": 2,
}
MOST_TICKS = 12
LABEL_INCHES = 2.1  # the longest names of columns


def draw_calibration(churn: Report, rates: Sequence[Report], path: Path) -> Path | None:
    """Predicted against observed shares, with the calibration error in words; the rate by date."""
    shown = [(who, churn[who]) for who in COLOURS if churn.get(who, {}).get("reliability")]
    if not shown:
        return None
    width, columns = (12, 2) if rates else (7.5, 1)
    figure, (panels,) = canvas(
        "Are the predicted probabilities right?",
        width=width,
        height=5.6,
        columns=columns,
        bottom=1.15,
    )
    figure.supxlabel("\n".join(_error_text(who, report) for who, report in shown), fontsize=10)
    _calibration_panel(panels[0], shown)
    if rates:
        _rate_panel(panels[1], rates)
    for axes in panels:
        draw_grid(axes)
    return save_figure(figure, path, legends=panels)


def _calibration_panel(axes: Axes, shown: Sequence[tuple[str, Report]]) -> None:
    axes.set(
        xlabel="predicted P(churn)",
        ylabel="observed share that left (bars: 95 % CI)",
        xlim=(-0.01, 1.01),
        ylim=(-0.01, 1.01),
    )
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, label="predicted = observed")
    for who, report in shown:
        predicted, observed = (
            [each[key] for each in report["reliability"]] for key in ("predicted", "observed")
        )
        axes.errorbar(
            predicted,
            observed,
            yerr=_distances(report["reliability"], "observed"),
            color=COLOURS[who],
            **POINT_STYLE,
            label=legend_label(who, report),
        )
        axes.axhline(
            report["rate"],
            color=COLOURS[who],
            linewidth=1,
            linestyle="--",
            label=f"no skill, {who}: {decimals(report['rate'])}",
        )
    axes.set_title("later dates, tenths of the customers", fontsize=10)


def _error_text(who: str, report: Report) -> str:
    """The ECE, what chance alone gives, and what is left when the rate is known, where known."""
    if report.get("ece") is None:
        return f"{who}: no calibration error, because all have one outcome"
    error = f"{who}: calibration error (ECE) {decimals(report['ece'])}"
    known = report.get("calibration") or {}
    if known.get("floor") is None:
        return error
    chance, shifted = known["floor"], known["after_shift"]["ece"]
    return (
        f"{error}, {decimals(shifted)} had the rate been known; by chance alone "
        f"{decimals(chance['mean'])}, rarely over {decimals(chance['high'])}"
    )


def _rate_panel(axes: Axes, rates: Sequence[Report]) -> None:
    """Each population's churn rate by as_of; evaluation dates have a band behind them."""
    for who, colour in COLOURS.items():
        known = [(at, date[who]) for at, date in enumerate(rates) if date[who]["rate"] is not None]
        if known:
            axes.errorbar(
                [at for at, _ in known],
                [rate["rate"] for _, rate in known],
                color=colour,
                label=who,
                **POINT_STYLE,
                yerr=_distances([rate for _, rate in known], "rate"),
            )
    evaluated = [at for at, date in enumerate(rates) if date["split"] == "evaluate"]
    for at in evaluated:
        label = "evaluated" if at == evaluated[0] else None
        axes.axvspan(at - 0.5, at + 0.5, color=BAND, zorder=0, label=label)
    every = -(-len(rates) // MOST_TICKS)
    days = [date["as_of"] for date in rates[::every]]
    axes.set_xticks(range(0, len(rates), every), days, rotation=40, ha="right")
    axes.set(ylabel="share that left (bars: 95 % CI)")
    axes.set_xlim(-0.5, len(rates) - 0.5)
    axes.set_ylim(0, 1.25 * max(date[who]["high"] or 0 for date in rates for who in COLOURS) or 1)
    axes.set_title("the churn rate by as_of", fontsize=10)


def _distances(points: Sequence[Report], middle: str) -> np.ndarray:
    """How far each point's interval reaches below and above, (2, points)."""
    low, at, high = (np.array([point[key] for point in points]) for key in ("low", middle, "high"))
    return np.maximum([at - low, high - at], 0)


def draw_importance(importance: Report, path: Path) -> Path | None:
    """Families and the columns that move most, as bars; None where nothing moves the score."""
    if not importance.get("families"):
        return None
    shown = [who for who in COLOURS if importance["rows"][who]]
    height = 1.6 + 0.28 * max(len(importance["families"]), len(importance["columns"]))
    figure, ((left, right),) = canvas(
        "What moves the churn score?",
        width=11,
        height=height,
        columns=2,
        left=LABEL_INCHES,
        gap=(LABEL_INCHES, 0),
    )
    for axes, part, title in (
        (left, "families", "feature families"),
        (right, "columns", "columns"),
    ):
        _bars(axes, importance[part][::-1], {who: importance["rows"][who] for who in shown})
        axes.set_title(f"{title} (most among {shown[-1]} first)", fontsize=10)
        axes.set_xlabel("mean |contribution| to the log-odds")
    left.legend(loc="lower right", frameon=False, fontsize=9)  # the shortest bars are there
    return save_figure(figure, path)


def _bars(axes: Axes, entries: Sequence[Report], rows: dict[str, int]) -> None:
    at, thick = np.arange(len(entries)), 0.78 / len(rows)
    for number, who in enumerate(rows):
        shift = 0.39 - thick * (number + 0.5)
        axes.barh(
            at + shift,
            [entry[who] for entry in entries],
            height=0.95 * thick,
            color=COLOURS[who],
            label=legend_label(who, {"rows": rows[who]}),
        )
    axes.set_yticks(at, [entry["name"] for entry in entries], fontsize=9)
    axes.margins(y=0.01)
    axes.grid(axis="x", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
