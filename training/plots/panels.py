"""The pictures of many panels: calibration beside the rate's history, what moves the score, where customers of each
stage go, and each stage's calibration.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from features.recipes.stages import STAGES
from training.plots.canvas import COLOURS, GREY, canvas, named, saved

BAND = "#f1efe8"
POINTED = {"marker": "o", "markersize": 4, "linewidth": 1.2, "elinewidth": 0.8, "capsize": 2}


def draw_calibration(churn: dict[str, Any], rates: list[dict[str, Any]], path: Path) -> Path | None:
    """What was said against what happened, in words how much of the error is chance or a moved rate; and the rates."""
    shown = [(who, churn[who]) for who in COLOURS if churn.get(who, {}).get("reliability")]
    if not shown:
        return None
    width, columns = (12, 2) if rates else (7.5, 1)
    figure, (panels,) = canvas("Does what we say happen?", width=width, height=5.6, columns=columns)
    axes = panels[0]
    figure.supxlabel("\n".join(_error_in_words(who, found) for who, found in shown), fontsize=10)
    axes.set(
        xlabel="P(churn) said",
        ylabel="share that left (bars: 95 %)",
        xlim=(-0.01, 1.01),
        ylim=(-0.01, 1.01),
    )
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, label="said = happened")
    for who, found in shown:
        said, left = ([b[key] for b in found["reliability"]] for key in ("p", "left"))
        axes.errorbar(
            said,
            left,
            yerr=_distances(found["reliability"], "left"),
            color=COLOURS[who],
            **POINTED,
            label=named(who, found),
        )
        axes.axhline(
            found["rate"],
            color=COLOURS[who],
            linewidth=1,
            linestyle="--",
            label=f"no skill, {who}: {found['rate']:.3f}",
        )
    axes.set_title("later dates, tenths of the customers", fontsize=10)
    if rates:
        _rate_panel(panels[1], rates)
    for axes in panels:
        axes.grid(color="#e6e6e6", linewidth=0.6)
    return saved(figure, path, legends=panels)


def _error_in_words(who: str, found: dict[str, Any]) -> str:
    """The ECE, what chance alone makes of it, and what is left when the rate is known; as far as they are known."""
    if found.get("ece") is None:
        return f"{who}: no calibration error from one outcome"
    known = found.get("calibration") or {}
    if known.get("floor") is None:
        return f"{who}: ECE {found['ece']:.3f}"
    chance, shifted = known["floor"], known["after_shift"]["ece"]
    return (
        f"{who}: ECE {found['ece']:.3f}, {shifted:.3f} had the rate been known; "
        f"by chance alone {chance['mean']:.3f}, rarely over {chance['high']:.3f}"
    )


def _rate_panel(axes: Any, rates: list[dict[str, Any]]) -> None:
    """Each population's share of leavers by as_of; the dates the figures are of stand on a band."""
    for who, colour in COLOURS.items():
        told = [
            (at, entry[who]) for at, entry in enumerate(rates) if entry[who]["rate"] is not None
        ]
        if told:
            axes.errorbar(
                [at for at, _ in told],
                [rate["rate"] for _, rate in told],
                color=colour,
                label=who,
                **POINTED,
                yerr=_distances([rate for _, rate in told], "rate"),
            )
    evaluated = [at for at, entry in enumerate(rates) if entry["split"] == "evaluate"]
    for at in evaluated:
        axes.axvspan(
            at - 0.5,
            at + 0.5,
            color=BAND,
            zorder=0,
            label="evaluated" if at == evaluated[0] else None,
        )
    every = -(-len(rates) // 12)
    axes.set_xticks(
        range(0, len(rates), every),
        [entry["as_of"] for entry in rates[::every]],
        rotation=40,
        ha="right",
    )
    axes.set(ylabel="share that left (bars: 95 %)", xlabel="as_of", xlim=(-0.5, len(rates) - 0.5))
    axes.set_ylim(0, 1.25 * max(entry[who]["high"] or 0 for entry in rates for who in COLOURS) or 1)
    axes.set_title("the rate's own history", fontsize=10)


def _distances(points: list[dict[str, float]], middle: str) -> np.ndarray:
    """How far each point's interval reaches below and above, (2, points)."""
    low, at, high = (np.array([point[key] for point in points]) for key in ("low", middle, "high"))
    return np.maximum([at - low, high - at], 0)


def draw_importance(importance: dict[str, Any], path: Path) -> Path | None:
    """Families and the columns that move most, as bars; None where nothing moves the score."""
    if not importance.get("families"):
        return None
    shown = [who for who in COLOURS if importance["rows"][who]]
    height = 1.6 + 0.28 * max(len(importance["families"]), len(importance["columns"]))
    figure, ((left, right),) = canvas(
        "What moves the score of churn?", width=11, height=height, columns=2
    )
    for axes, entries, title in (
        (left, "families", "feature families"),
        (right, "columns", "columns"),
    ):
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
        axes.barh(
            at + shift,
            moved,
            height=0.95 * thick,
            color=COLOURS[who],
            label=named(who, {"rows": rows[who]}),
        )
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
    reached = np.array(
        [np.add(row["happened"], row["said"]) for _, found in shown for row in found["transitions"]]
    )
    columns = np.flatnonzero(reached.sum(axis=0) > 0)  # nobody becomes a prospect
    for axes, (who, found) in zip(panels, shown, strict=True):
        table = found["transitions"]
        happened = np.array([np.divide(row["happened"], row["rows"]) for row in table])[:, columns]
        axes.imshow(happened, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        _cells(axes, happened, np.array([row["said"] for row in table])[:, columns])
        axes.set_xticks(
            range(len(columns)), [STAGES[at] for at in columns], rotation=30, ha="right"
        )
        axes.set_yticks(
            range(len(table)), [f"{row['stage']}\nn = {row['rows']:,}" for row in table]
        )
        axes.set(xlabel="stage at the end of the horizon", ylabel="stage now")
        axes.set_title(
            f"{named(who, found)}\nin each cell, % of the row: happened, (said)", fontsize=10
        )
    return saved(figure, path)


def _cells(axes: Any, happened: np.ndarray, said: np.ndarray) -> None:
    for (row, column), share in np.ndenumerate(happened):
        p = said[row, column]
        text = "–" if share == 0 and p < 5e-4 else f"{100 * share:.0f}\n({100 * p:.0f})"
        axes.text(
            column,
            row,
            text,
            ha="center",
            va="center",
            fontsize=9,
            color="white" if share > 0.65 else "black",
        )


def draw_stage_calibration(stages: dict[str, Any], path: Path) -> Path | None:
    """Per outcome stage what was said against what happened, in small panels."""
    names = [
        s for s in STAGES if any(s in stages.get(who, {}).get("reliability", {}) for who in COLOURS)
    ]
    if not names:
        return None
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure, panels = canvas(
        "Does the stage we say come?",
        width=3.5 * columns,
        height=3.1 * rows + 0.6,
        rows=rows,
        columns=columns,
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
        axes.plot(
            points["p"],
            points["came"],
            color=colour,
            marker="o",
            markersize=3.5,
            linewidth=1.2,
            label=named(who, stages.get(who, {"rows": 0})),
        )
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    axes.set_title(stage, fontsize=10)
    axes.grid(color="#e6e6e6", linewidth=0.6)
