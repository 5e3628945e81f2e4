"""The pictures of one evaluation as PNG files, drawn from its account alone: nothing about a single customer.

Each asks a question in its title and answers it for everyone and for eligible. What an account cannot tell (one
class, nobody eligible, not enough data) is left out of a picture, and a picture with nothing to show is left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from training.canvas import COLOURS, GREY, curve_axes, named, saved
from training.panels import draw_importance, draw_stage_calibration, draw_transition


def draw(account: dict[str, Any], folder: Path) -> list[Path]:
    """The PNG files written to `folder` (which must exist); [] for an account without figures."""
    churn, stages = account.get("churn", {}), account.get("next_stage", {})
    made = [
        _roc(churn, folder / "roc.png"),
        _precision_recall(churn, folder / "precision_recall.png"),
        _calibration(churn, folder / "calibration.png"),
        _gain(churn, folder / "gain.png"),
        _lift(churn, folder / "lift.png"),
        draw_importance(account.get("importance", {}), folder / "importance.png"),
        draw_transition(stages, folder / "transition.png"),
        draw_stage_calibration(stages, folder / "stage_calibration.png"),
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
        "Are leavers told from those who stay?", "share of stayers warned of (false positives)",
        "share of leavers found (true positives)",
    )  # fmt: skip
    for who, found, points in shown:
        said = f"AUROC {found['auroc']:.3f} ({found['auroc_low']:.3f} … {found['auroc_high']:.3f})"
        axes.plot(points["false_positive_rate"], points["true_positive_rate"], color=COLOURS[who],
                  label=named(who, found, said))  # fmt: skip
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--", label="no skill: 0.5")
    return saved(figure, path, legends=[axes])


def _precision_recall(churn: dict[str, Any], path: Path) -> Path | None:
    shown = _with(churn, "precision_recall")
    if not shown:
        return None
    figure, axes = curve_axes(
        "How many warnings are right?", "share of leavers found (recall)", "share of warned who leave (precision)"
    )
    for who, found, points in shown:
        said = f"AP {found['average_precision']:.3f} ({points['low']:.3f} … {points['high']:.3f})"
        axes.plot([0, *points["recall"]], [points["precision"][0], *points["precision"]], color=COLOURS[who],
                  label=named(who, found, said))  # fmt: skip
        axes.axhline(found["rate"], color=COLOURS[who], linewidth=1, linestyle="--",
                     label=f"no skill, {who}: {found['rate']:.3f}")  # fmt: skip
    return saved(figure, path, legends=[axes])


def _calibration(churn: dict[str, Any], path: Path) -> Path | None:
    shown = [(who, churn[who]) for who in COLOURS if churn.get(who, {}).get("reliability")]
    if not shown:
        return None
    figure, axes = curve_axes("Does what we say happen?", "P(churn) said", "share that left (bars: 95 %)")
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, label="said = happened")
    for who, found in shown:
        said, left = ([b[key] for b in found["reliability"]] for key in ("p", "left"))
        error = "" if found.get("ece") is None else f"ECE {found['ece']:.3f}"
        axes.errorbar(said, left, yerr=_intervals(found["reliability"]), color=COLOURS[who], marker="o", markersize=4,
                      linewidth=1.2, elinewidth=0.8, capsize=2, label=named(who, found, error))  # fmt: skip
        axes.axhline(found["rate"], color=COLOURS[who], linewidth=1, linestyle="--",
                     label=f"no skill, {who}: {found['rate']:.3f}")  # fmt: skip
    return saved(figure, path, legends=[axes])


def _intervals(bins: list[dict[str, float]]) -> np.ndarray:
    """Wilson's 95 % interval of each bin's share as distances below and above, (2, bins)."""
    share, rows = (np.array([b[key] for b in bins], dtype=float) for key in ("left", "rows"))
    z = 1.96
    middle = (share + z**2 / (2 * rows)) / (1 + z**2 / rows)
    half = z * np.sqrt(share * (1 - share) / rows + z**2 / (4 * rows**2)) / (1 + z**2 / rows)
    return np.maximum([share - middle + half, middle + half - share], 0)


def _gain(churn: dict[str, Any], path: Path) -> Path | None:
    shown = _with(churn, "gain")
    if not shown:
        return None
    figure, axes = curve_axes(
        "How early are leavers found?", "share of customers, riskiest first", "share of leavers found"
    )
    for who, found, points in shown:
        tenth = np.interp(0.1, points["share"], points["found"])
        axes.plot(points["share"], points["found"], color=COLOURS[who],
                  label=named(who, found, f"{tenth:.0%} in the first tenth"))  # fmt: skip
        axes.plot([0, found["rate"], 1], [0, 1, 1], color=COLOURS[who], linewidth=0.8, linestyle=":",
                  label=f"perfect, {who}")  # fmt: skip
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--", label="no skill")
    return saved(figure, path, legends=[axes])


def _lift(churn: dict[str, Any], path: Path) -> Path | None:
    shown = _with(churn, "gain")
    if not shown:
        return None
    figure, axes = curve_axes(
        "How much better than chance are the riskiest?", "share of customers, riskiest first",
        "leavers among them / leavers on average",
    )  # fmt: skip
    top, share = 1.0, np.linspace(0.02, 1, 50)
    for who, found, points in shown:
        lift = np.interp(share, points["share"], points["found"]) / share
        said = f"{found['top_decile_lift']:.2f} × in the first tenth"
        axes.plot(share, lift, color=COLOURS[who], label=named(who, found, said))
        top = max(top, lift.max())
    axes.axhline(1, color=GREY, linewidth=1, linestyle="--", label="no skill: 1")
    axes.set_ylim(0, 1.1 * top)
    return saved(figure, path, legends=[axes])
