"""The next stage beyond its log loss: what was said of each stage, and whether true changes were seen coming."""

from __future__ import annotations

from typing import Any

import numpy as np

from features.recipes.stages import STAGES
from training import metrics


def changes(
    stage: np.ndarray, outcome: np.ndarray, p: np.ndarray, customers: np.ndarray
) -> dict[str, Any]:
    """Of rows whose stage truly changed, the share whose likeliest stage was the one that came, with its interval.

    `stage`, `outcome`: indexes in STAGES, (rows,); `p`: (rows, 7). `changed`: how many changed; `said`: how many were
    said to; `recall`, `low`, `high`: 95 % by customers, None where nobody changed. `precision`: of those said to change,
    the share that came where it was said, None where nobody was; without it a model that cries change looks best.
    """
    said, moved = p.argmax(axis=1) if len(p) else np.zeros(0, dtype=int), outcome != stage
    told = said != stage
    out = {
        "changed": int(moved.sum()),
        "said": int(told.sum()),
        **dict.fromkeys(("recall", "low", "high", "precision")),
    }
    if told.any():
        out["precision"] = float((said == outcome)[told].mean())
    if not moved.any():
        return out
    hit = (said == outcome)[moved].astype(float)
    low, high = np.quantile(metrics.resampled(hit[:, None], customers[moved]), (0.025, 0.975))
    return out | {"recall": float(hit.mean()), "low": float(low), "high": float(high)}


def if_nothing_changed(stage: np.ndarray, outcome: np.ndarray) -> dict[str, float | None]:
    """What saying the stage of today would reach: accuracy and macro-F1 (its recall of changes is 0)."""
    if not len(outcome):
        return {"accuracy": None, "macro_f1": None}
    return {
        "accuracy": float((stage == outcome).mean()),
        "macro_f1": metrics.macro_f1(outcome, stage),
    }


def by_stage(outcome: np.ndarray, p: np.ndarray) -> list[dict[str, Any]]:
    """Per stage that was said or came: mean p said, share that came, how many came, and the calibration error."""
    shown = [
        at
        for at in range(len(STAGES))
        if len(outcome) and (p[:, at].any() or (outcome == at).any())
    ]
    return [
        {
            "stage": STAGES[at],
            "said": round(float(p[:, at].mean()), 5),
            "came": round(float((outcome == at).mean()), 5),
            "rows": int((outcome == at).sum()),
            "ece": round(metrics.ece(outcome == at, p[:, at]), 5),
        }
        for at in shown
    ]
