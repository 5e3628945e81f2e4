"""The pictures of many panels: what moves the score, where customers of each stage go, and each stage's calibration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from features.stages import STAGES
from training.canvas import COLOURS, GREY, canvas, named, saved


def draw_importance(importance: dict[str, Any], path: Path) -> Path | None:
    """Families and the columns that move most, as bars; None where nothing moves the score."""
    if not importance.get("families"):
        return None
    shown = [who for who in COLOURS if importance["rows"][who]]
    height = 1.6 + 0.28 * max(len(importance["families"]), len(importance["columns"]))
    figure, ((left, right),) = canvas("What moves the score of churn?", width=11, height=height, columns=2)
    for axes, entries, title in ((left, "families", "feature families"), (right, "columns", "columns")):
        _bars(axes, importance[entries][::-1], {who: importance["rows"][who] for who in shown})
        axes.set_title(f"{title} (most among {shown[-1]} first)", fontsize=10)
        axes.set_xlabel("mean |contribution| to the log-odds")
    left.legend(loc="lower right", frameon=False, fontsize=9)  # the shortest bars are there
    return saved(figure, path)


def _bars(axes: Any, entries: list[dict[str, Any]], rows: dict[str, int]) -> None:
    at, thick = np.arange(len(entries)), 0.78 / len(rows)
    for number, who in enumerate(rows):
        shift = 0.39 - thick * (number + 0.5)
        moved = [entry[who] for entry in entries]
        axes.barh(at + shift, moved, height=0.95 * thick, color=COLOURS[who], label=named(who, {"rows": rows[who]}))
    axes.set_yticks(at, [entry["name"] for entry in entries], fontsize=9)
    axes.margins(y=0.01)
    axes.grid(axis="x", color="#e6e6e6", linewidth=0.6)
    axes.set_axisbelow(True)


def draw_transition(stages: dict[str, Any], path: Path) -> Path | None:
    """Stage now against the stage at the horizon's end: happened above said, in per cent of the row."""
    shown = [(who, stages[who]) for who in COLOURS if stages.get(who, {}).get("transitions")]
    if not shown:
        return None
    figure, (panels,) = canvas(
        "Where do customers of a stage go?", width=6.5 * len(shown), height=6, columns=len(shown)
    )
    reached = np.array([np.add(row["happened"], row["said"]) for _, found in shown for row in found["transitions"]])
    columns = np.flatnonzero(reached.sum(axis=0) > 0)  # nobody becomes a prospect
    for axes, (who, found) in zip(panels, shown, strict=True):
        table = found["transitions"]
        happened = np.array([np.divide(row["happened"], row["rows"]) for row in table])[:, columns]
        axes.imshow(happened, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        _cells(axes, happened, np.array([row["said"] for row in table])[:, columns])
        axes.set_xticks(range(len(columns)), [STAGES[at] for at in columns], rotation=30, ha="right")
        axes.set_yticks(range(len(table)), [f"{row['stage']}\nn = {row['rows']:,}" for row in table])
        axes.set(xlabel="stage at the end of the horizon", ylabel="stage now")
        axes.set_title(f"{named(who, found)}\nin each cell, % of the row: happened, (said)", fontsize=10)
    return saved(figure, path)


def _cells(axes: Any, happened: np.ndarray, said: np.ndarray) -> None:
    for (row, column), share in np.ndenumerate(happened):
        p = said[row, column]
        text = "–" if share == 0 and p < 5e-4 else f"{100 * share:.0f}\n({100 * p:.0f})"
        axes.text(column, row, text, ha="center", va="center", fontsize=9, color="white" if share > 0.65 else "black")


def draw_stage_calibration(stages: dict[str, Any], path: Path) -> Path | None:
    """Per outcome stage what was said against what happened, in small panels."""
    names = [s for s in STAGES if any(s in stages.get(who, {}).get("reliability", {}) for who in COLOURS)]
    if not names:
        return None
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure, panels = canvas(
        "Does the stage we say come?", width=3.5 * columns, height=3.1 * rows + 0.6, rows=rows, columns=columns
    )
    for axes, stage in zip(panels.flat, names, strict=False):
        _stage_panel(axes, stage, stages)
    for axes in panels.flat[len(names) :]:
        axes.set_axis_off()
    figure.supxlabel("P(stage) said", fontsize=10)
    figure.supylabel("share that came there", fontsize=10)
    if len(names) == panels.size:
        return saved(figure, path, legends=[panels.flat[0]])
    panels.flat[-1].legend(*panels.flat[0].get_legend_handles_labels(), loc="center", frameon=False)
    return saved(figure, path)


def _stage_panel(axes: Any, stage: str, stages: dict[str, Any]) -> None:
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, label="said = happened")
    for who, colour in COLOURS.items():
        points = stages.get(who, {}).get("reliability", {}).get(stage, {"p": [], "came": []})
        axes.plot(points["p"], points["came"], color=colour, marker="o", markersize=3.5, linewidth=1.2,
                  label=named(who, stages.get(who, {"rows": 0})))  # fmt: skip
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    axes.set_title(stage, fontsize=10)
    axes.grid(color="#e6e6e6", linewidth=0.6)
