"""The plots of one evaluation as PNG files: aggregates only, nothing about a single customer.

The title of each is a question, answered for everyone and for eligible. What an evaluation does not
have (one class, nobody eligible, not enough data) is left out of a plot, and a plot with nothing to
show is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from features.core.language import ENGLISH, use_language
from training.formats import confidence, decimals, percent
from training.plots.canvas import (
    COLOURS,
    GREY,
    Report,
    curve_axes,
    legend_label,
    save_figure,
)
from training.plots.learning_curve import draw_learning_curve
from training.plots.panels import draw_calibration, draw_importance
from training.plots.stage_panels import draw_stage_calibration, draw_transition

# (population, its figures, the points of one curve).
Curves = Sequence[tuple[str, Report, Report]]


def draw(evaluation: Report, folder: Path) -> list[Path]:
    """Write the PNG files to `folder`, which must exist; [] for an evaluation without figures.

    In English: they are stored, and their font has no Chinese letters.
    """
    with use_language(ENGLISH):
        return _draw_all(evaluation, folder)


def _draw_all(evaluation: Report, folder: Path) -> list[Path]:
    churn, stages = evaluation.get("churn", {}), evaluation.get("next_stage", {})
    paths = [
        _roc(churn, folder / "roc.png"),
        _precision_recall(churn, folder / "precision_recall.png"),
        draw_calibration(churn, evaluation.get("rates", []), folder / "calibration.png"),
        _gain(churn, folder / "gain.png"),
        _lift(churn, folder / "lift.png"),
        draw_importance(evaluation.get("importance", {}), folder / "importance.png"),
        draw_transition(stages, folder / "transition.png"),
        draw_stage_calibration(stages, folder / "stage_calibration.png"),
        draw_learning_curve(evaluation.get("learning_curve"), folder / "learning_curve.png"),
    ]
    return [path for path in paths if path is not None]


def _curves(churn: Report, name: str) -> Curves:
    """The populations that have this curve."""
    return [
        (who, churn[who], churn[who]["curves"][name])
        for who in COLOURS
        if churn.get(who, {}).get("curves", {}).get(name)
    ]


def _roc(churn: Report, path: Path) -> Path | None:
    curves = _curves(churn, "roc")
    if not curves:
        return None
    figure, axes = curve_axes(
        "How well does p separate customers who leave from those who stay?",
        "false positive rate: share of stayers warned of",
        "true positive rate: share of leavers warned of",
    )
    for who, report, points in curves:
        interval = confidence(report["auroc_low"], report["auroc_high"])
        axes.plot(
            points["false_positive_rate"],
            points["true_positive_rate"],
            color=COLOURS[who],
            label=legend_label(who, report, f"AUROC {decimals(report['auroc'])}{interval}"),
        )
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--", label="no skill: .5")
    return save_figure(figure, path, legends=[axes])


def _precision_recall(churn: Report, path: Path) -> Path | None:
    curves = _curves(churn, "precision_recall")
    if not curves:
        return None
    figure, axes = curve_axes(
        "How many warnings are right?",
        "recall: share of leavers warned of",
        "precision: share of the warned who leave",
    )
    for who, report, points in curves:
        interval = confidence(points["low"], points["high"])
        average = f"average precision {decimals(report['average_precision'])}{interval}"
        axes.plot(
            [0, *points["recall"]],
            [points["precision"][0], *points["precision"]],
            color=COLOURS[who],
            label=legend_label(who, report, average),
        )
        axes.axhline(
            report["rate"],
            color=COLOURS[who],
            linewidth=1,
            linestyle="--",
            label=f"no skill, {who}: {decimals(report['rate'])}",
        )
    return save_figure(figure, path, legends=[axes])


def _gain(churn: Report, path: Path) -> Path | None:
    curves = _curves(churn, "gain")
    if not curves:
        return None
    figure, axes = curve_axes(
        "How many leavers are among the riskiest customers?",
        "share of customers, riskiest first",
        "share of leavers among them",
    )
    for who, report, points in curves:
        tenth = percent(float(np.interp(0.1, points["share"], points["recall"])), 0)
        axes.plot(
            points["share"],
            points["recall"],
            color=COLOURS[who],
            label=legend_label(who, report, f"{tenth} in the first tenth"),
        )
        axes.plot(
            [0, report["rate"], 1],
            [0, 1, 1],
            color=COLOURS[who],
            linewidth=0.8,
            linestyle=":",
            label=f"perfect, {who}",
        )
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--", label="no skill")
    return save_figure(figure, path, legends=[axes])


def _lift(churn: Report, path: Path) -> Path | None:
    curves = _curves(churn, "gain")
    if not curves:
        return None
    figure, axes = curve_axes(
        "How much better than chance are the riskiest?",
        "share of customers, riskiest first",
        "leavers among them ÷ leavers on average",
    )
    top, share = 1.0, np.linspace(0.02, 1, 50)
    for who, report, points in curves:
        lift = np.interp(share, points["share"], points["recall"]) / share
        label = legend_label(who, report, f"{report['top_decile_lift']:.2f} × in the first tenth")
        axes.plot(share, lift, color=COLOURS[who], label=label)
        top = max(top, float(lift.max()))
    axes.axhline(1, color=GREY, linewidth=1, linestyle="--", label="no skill: 1")
    axes.set_ylim(0, 1.1 * top)
    return save_figure(figure, path, legends=[axes])
