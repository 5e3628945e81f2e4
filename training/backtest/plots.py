"""The plots of a backtest as PNG files, drawn from its report alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from training.plots.canvas import COLOURS, GREY, Report, canvas, draw_grid, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FIGURES = {"auroc": "AUROC", "log_loss": "log loss"}
MOVES = {
    "rank_correlation": "rank correlation of p",
    "top_decile_overlap": "overlap of the riskiest tenth (Jaccard)",
    "moved": "share whose p moved by more than .2",
    "population_stability": "population stability index of p",
}
# Two tenths drawn at random share a tenth of a tenth: .1 ÷ (2 − .1).
OVERLAP_BY_CHANCE = 0.1 / 1.9
TRUE_STYLE: dict[str, Any] = {"marker": "o"}
VALIDATION_STYLE: dict[str, Any] = {"marker": "D", "markerfacecolor": "white"}


def draw(report: Report, folder: Path) -> list[Path]:
    """Write the PNG files to `folder`, which must exist; an empty plot is left out."""
    paths = [
        _over_time(report, folder / "over_time.png"),
        _decay(report["decay"], folder / "decay.png"),
        _stability(report["stability"], folder / "stability.png"),
    ]
    return [path for path in paths if path is not None]


def _over_time(report: Report, path: Path) -> Path | None:
    """AUROC and log loss of each date with 95 % intervals, and that day's validation estimate."""
    dates = report["dates"]
    if not any(date["churn"]["everyone"]["log_loss"] is not None for date in dates):
        return None
    figure, panels = canvas(
        "Did each date turn out as validated?", width=11, height=7, rows=2, columns=2
    )
    for row, (name, words) in zip(panels, FIGURES.items(), strict=True):
        for axes, (who, colour) in zip(row, COLOURS.items(), strict=True):
            true = [date["churn"][who] for date in dates]
            estimates = [date["estimate"]["churn"][who] for date in dates]
            _points(axes, true, name, -0.1, colour, "true (bars: 95 % CI)", TRUE_STYLE)
            _points(axes, estimates, name, 0.1, GREY, "validation estimate", VALIDATION_STYLE)
            _date_axis(axes, [date["as_of"] for date in dates])
            axes.set(ylabel=f"{words}, {who}")
    return save_figure(figure, path, legends=_with_labels(panels[0]))


def _points(
    axes: Axes,
    reports: Sequence[Report],
    name: str,
    shift: float,
    colour: str,
    label: str,
    style: dict[str, Any],
) -> None:
    """One figure by date with its 95 % interval, moved by `shift` so that points do not overlap."""
    known = [
        (at, report[name], 1.96 * (report[f"{name}_error"] or 0))
        for at, report in enumerate(reports)
        if report[name] is not None
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
            **style,
        )


def _decay(ages: Sequence[Report], path: Path) -> Path | None:
    """The loss of a model of each age compared with a fresh one on the same rows."""
    shown = {who: [(age["months"], age[who]) for age in ages if age[who]] for who in COLOURS}
    if not any(shown.values()):
        return None
    figure, ((left, right),) = canvas(
        "How much worse is an older model?", width=11, height=4.6, columns=2
    )
    for who, known in shown.items():
        if known:
            _loss_by_age(left, known, who)
        _auroc_by_age(right, known, who)
    left.axhline(0, color=GREY, linewidth=1, linestyle="--", label="as a fresh model")
    left.set(xlabel="age in months", ylabel="log loss − a fresh model's (bars: 95 % CI)")
    right.set(xlabel="age in months", ylabel="AUROC")
    right.margins(y=0.3)  # space for the legend
    for axes in (left, right):
        draw_grid(axes)
    return save_figure(figure, path, legends=_with_labels([left, right]))


def _loss_by_age(axes: Axes, known: Sequence[tuple[float, Report]], who: str) -> None:
    lost, low, high = (
        np.array([report[key] for _, report in known]) for key in ("difference", "low", "high")
    )
    axes.errorbar(
        [months for months, _ in known],
        lost,
        yerr=np.maximum([lost - low, high - lost], 0),
        color=COLOURS[who],
        marker="o",
        markersize=4,
        capsize=2,
        linewidth=1.2,
        label=who,
    )


def _auroc_by_age(axes: Axes, known: Sequence[tuple[float, Report]], who: str) -> None:
    for key, style, words in (
        ("auroc", "-", "of that age"),
        ("fresh_auroc", ":", "fresh, same dates"),
    ):
        points = [(months, report[key]) for months, report in known if report[key] is not None]
        if points:
            axes.plot(
                *zip(*points, strict=True),
                color=COLOURS[who],
                linestyle=style,
                marker="o",
                markersize=3,
                label=f"{who}, {words}",
            )


def _stability(moves: Sequence[Report], path: Path) -> Path | None:
    """How scores move from each date to the next, for customers in both."""
    if not moves:
        return None
    figure, panels = canvas("How much do scores move?", width=11, height=7, rows=2, columns=2)
    for axes, (name, words) in zip(panels.flat, MOVES.items(), strict=True):
        for who, colour in COLOURS.items():
            _move_line(axes, [move[who][name] for move in moves], who, colour)
        if name == "top_decile_overlap":
            axes.axhline(
                OVERLAP_BY_CHANCE, color=GREY, linewidth=1, linestyle="--", label="by chance"
            )
        _date_axis(axes, [move["to"] for move in moves])
        axes.set(ylabel=words)
        axes.set_ylim(*((0, 1.03) if name != "population_stability" else (0, None)))
    return save_figure(figure, path, legends=_with_labels([panels[0, 1]]))


def _move_line(axes: Axes, values: Sequence[float | None], who: str, colour: str) -> None:
    known = [(at, value) for at, value in enumerate(values) if value is not None]
    if known:
        axes.plot(
            *zip(*known, strict=True),
            color=colour,
            marker="o",
            markersize=4,
            linewidth=1.2,
            label=who,
        )


def _with_labels(panels: Iterable[Axes]) -> list[Axes]:
    """The panels that have something to show in a legend."""
    return [axes for axes in panels if axes.get_legend_handles_labels()[1]]


def _date_axis(axes: Axes, days: Sequence[str]) -> None:
    axes.set_xticks(range(len(days)), days, rotation=35, ha="right", fontsize=8)
    axes.set_xlim(-0.5, len(days) - 0.5)
    draw_grid(axes)
