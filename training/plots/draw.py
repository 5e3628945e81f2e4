"""The pictures of one evaluation as PNG files, drawn from its account alone: nothing about a single customer.

Each asks a question in its title and answers it for everyone and for eligible. What an account cannot tell (one
class, nobody eligible, not enough data) is left out of a picture, and a picture with nothing to show is left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from training.plots.canvas import COLOURS, GREY, curve_axes, named, saved
from training.plots.learning_curve import draw_learning_curve
from training.plots.panels import (
    draw_calibration,
    draw_importance,
    draw_stage_calibration,
    draw_transition,
)


def draw(account: dict[str, Any], folder: Path) -> list[Path]:
    """The PNG files written to `folder` (which must exist); [] for an account without figures."""
    churn, stages = account.get("churn", {}), account.get("next_stage", {})
    made = [
        _roc(churn, folder / "roc.png"),
        _precision_recall(churn, folder / "precision_recall.png"),
        draw_calibration(churn, account.get("rates", []), folder / "calibration.png"),
        _gain(churn, folder / "gain.png"),
        _lift(churn, folder / "lift.png"),
        draw_importance(account.get("importance", {}), folder / "importance.png"),
        draw_transition(stages, folder / "transition.png"),
        draw_stage_calibration(stages, folder / "stage_calibration.png"),
        draw_learning_curve(account.get("learning_curve"), folder / "learning_curve.png"),
    ]
    return [path for path in made if path is not None]


def _with(churn: dict[str, Any], curve: str) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """(who, figures, points) of the populations that have this curve."""
    return [
        (who, churn[who], churn[who]["curves"][curve])
        for who in COLOURS
        if churn.get(who, {}).get("curves", {}).get(curve)
    ]


def _roc(churn: dict[str, Any], path: Path) -> Path | None:
    shown = _with(churn, "roc")
    if not shown:
        return None
    figure, axes = curve_axes(
        "Are leavers told from those who stay?",
        "share of stayers warned of (false positives)",
        "share of leavers found (true positives)",
    )
    for who, found, points in shown:
        said = f"AUROC {found['auroc']:.3f} ({found['auroc_low']:.3f} … {found['auroc_high']:.3f})"
        axes.plot(
            points["false_positive_rate"],
            points["true_positive_rate"],
            color=COLOURS[who],
            label=named(who, found, said),
        )
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--", label="no skill: 0.5")
    return saved(figure, path, legends=[axes])


def _precision_recall(churn: dict[str, Any], path: Path) -> Path | None:
    shown = _with(churn, "precision_recall")
    if not shown:
        return None
    figure, axes = curve_axes(
        "How many warnings are right?",
        "share of leavers found (recall)",
        "share of warned who leave (precision)",
    )
    for who, found, points in shown:
        said = f"AP {found['average_precision']:.3f} ({points['low']:.3f} … {points['high']:.3f})"
        axes.plot(
            [0, *points["recall"]],
            [points["precision"][0], *points["precision"]],
            color=COLOURS[who],
            label=named(who, found, said),
        )
        axes.axhline(
            found["rate"],
            color=COLOURS[who],
            linewidth=1,
            linestyle="--",
            label=f"no skill, {who}: {found['rate']:.3f}",
        )
    return saved(figure, path, legends=[axes])


def _gain(churn: dict[str, Any], path: Path) -> Path | None:
    shown = _with(churn, "gain")
    if not shown:
        return None
    figure, axes = curve_axes(
        "How early are leavers found?",
        "share of customers, riskiest first",
        "share of leavers found",
    )
    for who, found, points in shown:
        tenth = np.interp(0.1, points["share"], points["found"])
        axes.plot(
            points["share"],
            points["found"],
            color=COLOURS[who],
            label=named(who, found, f"{tenth:.0%} in the first tenth"),
        )
        axes.plot(
            [0, found["rate"], 1],
            [0, 1, 1],
            color=COLOURS[who],
            linewidth=0.8,
            linestyle=":",
            label=f"perfect, {who}",
        )
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--", label="no skill")
    return saved(figure, path, legends=[axes])


def _lift(churn: dict[str, Any], path: Path) -> Path | None:
    shown = _with(churn, "gain")
    if not shown:
        return None
    figure, axes = curve_axes(
        "How much better than chance are the riskiest?",
        "share of customers, riskiest first",
        "leavers among them / leavers on average",
    )
    top, share = 1.0, np.linspace(0.02, 1, 50)
    for who, found, points in shown:
        lift = np.interp(share, points["share"], points["found"]) / share
        said = f"{found['top_decile_lift']:.2f} × in the first tenth"
        axes.plot(share, lift, color=COLOURS[who], label=named(who, found, said))
        top = max(top, lift.max())
    axes.axhline(1, color=GREY, linewidth=1, linestyle="--", label="no skill: 1")
    axes.set_ylim(0, 1.1 * top)
    return saved(figure, path, legends=[axes])
