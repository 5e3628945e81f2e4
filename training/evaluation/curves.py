"""What the pictures show: points of curves and tables of stages, aggregates only, small enough to lie in a release.

Rows with equal p are taken together, so no curve depends on the order of the rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from features.recipes.stages import STAGES
from training import metrics

POINTS = 60


def roc(y: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(share of stayers, share of leavers) above each distinct p, highest first, from (0, 0) to (1, 1)."""
    rows, left = metrics.ranked(y, p)
    return (rows - left) / (rows[-1] - left[-1]), left / left[-1]


def precision_recall(y: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(recall, precision) at each distinct p, highest first; the last is (1, rate)."""
    rows, left = (part[1:] for part in metrics.ranked(y, p))
    return left / left[-1], left / rows


def gain(y: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(share of customers, riskiest first; share of leavers among them), from (0, 0) to (1, 1)."""
    rows, left = metrics.ranked(y, p)
    return rows / rows[-1], left / left[-1]


def churn_curves(y: np.ndarray, p: np.ndarray) -> dict[str, Any]:
    """At most POINTS points of each curve, as lists; {} where there are not both leavers and stayers."""
    if not y.any() or y.all():
        return {}
    (alarms, found), (recall, precision), (share, gained) = (
        roc(y, p),
        precision_recall(y, p),
        gain(y, p),
    )
    low, high = average_precision_interval(area_in_steps(recall, precision), positives=int(y.sum()))
    return {
        "roc": _points(alarms + found, false_positive_rate=alarms, true_positive_rate=found),
        "precision_recall": {
            **_points(recall, recall=recall, precision=precision),
            "low": low,
            "high": high,
        },
        "gain": _points(share + gained, share=share, found=gained),
    }


def area_in_steps(recall: np.ndarray, precision: np.ndarray) -> float:
    """Average precision: each step of recall at the precision reached with it."""
    return float(np.diff(recall, prepend=0.0) @ precision)


def average_precision_interval(value: float, *, positives: int) -> tuple[float, float]:
    """95 % interval of an average precision, even on the log-odds scale (Boyd, Eng & Page 2013); within (0, 1)."""
    edge = 0.5 / positives
    value = min(max(value, edge), 1 - edge)
    middle, error = np.log(value / (1 - value)), 1 / np.sqrt(positives * value * (1 - value))
    low, high = 1 / (1 + np.exp(-(middle + np.array([-1.96, 1.96]) * error)))
    return round(float(low), 5), round(float(high), 5)


def transitions(stage: np.ndarray, outcome: np.ndarray, p_next: np.ndarray) -> list[dict[str, Any]]:
    """Per stage now (index in STAGES, (rows,)): rows, how many came to each outcome stage, and the mean of p_next."""
    return [
        {
            "stage": STAGES[at],
            "rows": int((stage == at).sum()),
            "happened": np.bincount(outcome[stage == at], minlength=len(STAGES)).tolist(),
            "said": _rounded(p_next[stage == at].mean(axis=0)),
        }
        for at in np.unique(stage)
    ]


def stage_reliability(outcome: np.ndarray, p_next: np.ndarray, *, bins: int = 5) -> dict[str, Any]:
    """Per outcome stage that was said or happened: mean p, share that came there, and rows, by bins of p."""
    out = {}
    for at, stage in enumerate(STAGES):
        if len(outcome) and (p_next[:, at].any() or (outcome == at).any()):
            found = metrics.reliability(outcome == at, p_next[:, at], bins=bins)
            out[stage] = {
                "p": _rounded([b["p"] for b in found]),
                "came": _rounded([b["left"] for b in found]),
                "rows": [b["rows"] for b in found],
            }
    return out


def _points(along: np.ndarray, **axes: np.ndarray) -> dict[str, list[float]]:
    """At most POINTS of the points, evenly spread over `along` (which never falls), the first and the last among them."""
    spread = np.searchsorted(along, np.linspace(along[0], along[-1], POINTS - 1)).clip(
        0, len(along) - 1
    )
    at = np.union1d(spread, [len(along) - 1]) if len(along) > POINTS else np.arange(len(along))
    return {name: _rounded(values[at]) for name, values in axes.items()}


def _rounded(values: Any) -> list[float]:
    return [round(float(value), 5) for value in values]
