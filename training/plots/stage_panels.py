"""The plots of the next stage: transitions, and the calibration of each stage."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from features.recipes.stages import STAGES
from training.plots.canvas import (
    COLOURS,
    GREY,
    Report,
    canvas,
    draw_grid,
    legend_label,
    save_figure,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Shares that round to 0.0 % are a dash; text on darker cells is white.
SMALLEST_SHARE, DARK_SHARE = 5e-4, 0.65


def draw_transition(stages: Report, path: Path) -> Path | None:
    """Stage now against stage at the horizon's end: observed above predicted, in % of the row."""
    shown = [(who, stages[who]) for who in COLOURS if stages.get(who, {}).get("transitions")]
    if not shown:
        return None
    figure, (panels,) = canvas(
        "Where do customers of a stage go?",
        width=6.5 * len(shown),
        height=6,
        columns=len(shown),
        left=1.0,
        bottom=1.0,
        gap=(1.1, 0),
    )
    reached = np.array(
        [
            np.add(row["observed"], row["predicted"])
            for _, report in shown
            for row in report["transitions"]
        ]
    )
    columns = np.flatnonzero(reached.sum(axis=0) > 0)  # nobody becomes a prospect
    for axes, (who, report) in zip(panels, shown, strict=True):
        _transition_panel(axes, who, report, columns)
    return save_figure(figure, path)


def _transition_panel(axes: Axes, who: str, report: Report, columns: np.ndarray) -> None:
    table = report["transitions"]
    observed = np.array([np.divide(row["observed"], row["rows"]) for row in table])[:, columns]
    predicted = np.array([row["predicted"] for row in table])[:, columns]
    axes.imshow(observed, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    _cell_texts(axes, observed, predicted)
    names = [STAGES[at] for at in columns]
    axes.set_xticks(range(len(columns)), names, rotation=30, ha="right")
    axes.set_yticks(range(len(table)), [f"{row['stage']}\nn = {row['rows']:,}" for row in table])
    axes.set(xlabel="stage at the end of the horizon", ylabel="stage now")
    title = f"{legend_label(who, report)}\nin each cell, % of the row: observed, (predicted)"
    axes.set_title(title, fontsize=10)


def _cell_texts(axes: Axes, observed: np.ndarray, predicted: np.ndarray) -> None:
    for (row, column), share in np.ndenumerate(observed):
        p = predicted[row, column]
        empty = share == 0 and p < SMALLEST_SHARE
        axes.text(
            column,
            row,
            "–" if empty else f"{100 * share:.0f}\n({100 * p:.0f})",
            ha="center",
            va="center",
            fontsize=9,
            color="white" if share > DARK_SHARE else "black",
        )


def draw_stage_calibration(stages: Report, path: Path) -> Path | None:
    """Per outcome stage, predicted against observed shares, in small panels."""
    names = [stage for stage in STAGES if _populations_with(stage, stages)]
    if not names:
        return None
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure, panels = canvas(
        "Are the predicted stage probabilities right?",
        width=3.5 * columns,
        height=3.1 * rows + 0.6,
        rows=rows,
        columns=columns,
        gap=(0.5, 0.6),
    )
    for axes, stage in zip(panels.flat, names, strict=False):
        _stage_panel(axes, stage, stages)
    for axes in panels.flat[len(names) :]:
        axes.set_axis_off()
    figure.supxlabel("predicted P(stage)", fontsize=10)
    figure.supylabel("observed share", fontsize=10)
    if len(names) == panels.size:
        return save_figure(figure, path, legends=[panels.flat[0]])
    # An empty panel is left: the legend goes there.
    panels.flat[-1].legend(*panels.flat[0].get_legend_handles_labels(), loc="center", frameon=False)
    return save_figure(figure, path)


def _populations_with(stage: str, stages: Report) -> list[str]:
    return [who for who in COLOURS if stage in stages.get(who, {}).get("reliability", {})]


def _stage_panel(axes: Axes, stage: str, stages: Report) -> None:
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, label="predicted = observed")
    for who, colour in COLOURS.items():
        report = stages.get(who, {"rows": 0})
        points = report.get("reliability", {}).get(stage, {"predicted": [], "observed": []})
        axes.plot(
            points["predicted"],
            points["observed"],
            color=colour,
            marker="o",
            markersize=3.5,
            linewidth=1.2,
            label=legend_label(who, report),
        )
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    axes.set_title(stage, fontsize=10)
    draw_grid(axes)
