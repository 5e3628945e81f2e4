"""The points of the pictures: curves and tables of stages, small enough for a release.

Aggregates only. Rows with equal p count together, so no curve depends on the order of the rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from features.recipes.stages import STAGES
from training import metrics

POINTS = 60


def roc(y: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(false positive rate, true positive rate) at each distinct p, from (0, 0) to (1, 1)."""
    rows, churners = metrics.cumulative_counts(y, p)
    return (rows - churners) / (rows[-1] - churners[-1]), churners / churners[-1]


def precision_recall(y: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(recall, precision) at each distinct p, highest first; the last is (1, rate)."""
    rows, churners = (part[1:] for part in metrics.cumulative_counts(y, p))
    return churners / churners[-1], churners / rows


def gain(y: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(share of customers, riskiest first; share of churners among them), from (0, 0) to (1, 1)."""
    rows, churners = metrics.cumulative_counts(y, p)
    return rows / rows[-1], churners / churners[-1]


def churn_curves(y: np.ndarray, p: np.ndarray) -> dict[str, Any]:
    """At most POINTS points of each curve, as lists; {} where y has a single class."""
    if not y.any() or y.all():
        return {}
    false_positive, true_positive = roc(y, p)
    recall, precision = precision_recall(y, p)
    share, gained = gain(y, p)
    low, high = average_precision_interval(area_in_steps(recall, precision), positives=int(y.sum()))
    return {
        "roc": _points(
            false_positive + true_positive,
            false_positive_rate=false_positive,
            true_positive_rate=true_positive,
        ),
        "precision_recall": {
            **_points(recall, recall=recall, precision=precision),
            "low": low,
            "high": high,
        },
        "gain": _points(share + gained, share=share, recall=gained),
    }


def area_in_steps(recall: np.ndarray, precision: np.ndarray) -> float:
    """Average precision: each step of recall at the precision reached with it."""
    return float(np.diff(recall, prepend=0.0) @ precision)


def average_precision_interval(value: float, *, positives: int) -> tuple[float, float]:
    """95 % interval of an average precision, within (0, 1).

    Symmetric in log-odds (Boyd, Eng & Page 2013, the logit interval).
    """
    edge = 0.5 / positives
    value = min(max(value, edge), 1 - edge)
    middle, error = np.log(value / (1 - value)), 1 / np.sqrt(positives * value * (1 - value))
    low, high = 1 / (1 + np.exp(-(middle + np.array([-1.96, 1.96]) * error)))
    return round(float(low), 5), round(float(high), 5)


def transitions(stage: np.ndarray, outcome: np.ndarray, p_next: np.ndarray) -> list[dict[str, Any]]:
    """Per current stage: rows, `observed` (rows by outcome stage), `predicted` (mean p_next).

    `stage`, `outcome`: index in STAGES, (rows,); `p_next`: (rows, 7).
    """
    return [
        {
            "stage": STAGES[at],
            "rows": int((stage == at).sum()),
            "observed": np.bincount(outcome[stage == at], minlength=len(STAGES)).tolist(),
            "predicted": _rounded(p_next[stage == at].mean(axis=0)),
        }
        for at in np.unique(stage)
    ]


def stage_reliability(outcome: np.ndarray, p_next: np.ndarray, *, bins: int = 5) -> dict[str, Any]:
    """Per outcome stage that was predicted or observed, by bins of p.

    `predicted` (mean p), `observed` (share that reached the stage) and `rows`.
    """
    out: dict[str, Any] = {}
    for at, stage in enumerate(STAGES):
        if len(outcome) and (p_next[:, at].any() or (outcome == at).any()):
            parts = metrics.reliability_bins(outcome == at, p_next[:, at], bins=bins)
            out[stage] = {
                "predicted": _rounded([b["predicted"] for b in parts]),
                "observed": _rounded([b["observed"] for b in parts]),
                "rows": [b["rows"] for b in parts],
            }
    return out


def _points(along: np.ndarray, **axes: np.ndarray) -> dict[str, list[float]]:
    """At most POINTS of the points, evenly spread over `along` (which never falls).

    The first and the last are among them.
    """
    spread = np.searchsorted(along, np.linspace(along[0], along[-1], POINTS - 1)).clip(
        0, len(along) - 1
    )
    at = np.union1d(spread, [len(along) - 1]) if len(along) > POINTS else np.arange(len(along))
    return {name: _rounded(values[at]) for name, values in axes.items()}


def _rounded(values: Any) -> list[float]:
    return [round(float(value), 5) for value in values]
