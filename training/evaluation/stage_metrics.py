"""The next stage beyond its log loss: predicted changes, and the calibration of each stage."""

from __future__ import annotations

from typing import Any

import numpy as np

from features.recipes.stages import STAGES
from training import metrics


def change_metrics(
    stage: np.ndarray, outcome: np.ndarray, p: np.ndarray, customers: np.ndarray
) -> dict[str, Any]:
    """Recall and precision of stage changes, with the recall's 95 % interval by customers.

    `stage`, `outcome`: indexes in STAGES, (rows,); `p`: (rows, 7). `changed`: rows whose stage
    changed; `predicted`: rows whose likeliest next stage is another one. `recall`: of the changed
    rows, the share whose likeliest stage was the observed one; None where none changed.
    `precision`: of the rows predicted to change, the share that reached the predicted stage; None
    where none was. Without it a model that always predicts a change would look best.
    """
    likeliest = p.argmax(axis=1) if len(p) else np.zeros(0, dtype=int)
    changed, predicted = outcome != stage, likeliest != stage
    out = {
        "changed": int(changed.sum()),
        "predicted": int(predicted.sum()),
        **dict.fromkeys(("recall", "low", "high", "precision")),
    }
    if predicted.any():
        out["precision"] = float((likeliest == outcome)[predicted].mean())
    if not changed.any():
        return out
    hit = (likeliest == outcome)[changed].astype(float)
    means = metrics.bootstrap_means(hit[:, None], customers[changed])
    low, high = np.quantile(means, (0.025, 0.975))
    return out | {"recall": float(hit.mean()), "low": float(low), "high": float(high)}


def no_change_metrics(stage: np.ndarray, outcome: np.ndarray) -> dict[str, float | None]:
    """Accuracy and macro-F1 of predicting the current stage (its recall of changes is 0)."""
    if not len(outcome):
        return {"accuracy": None, "macro_f1": None}
    return {
        "accuracy": float((stage == outcome).mean()),
        "macro_f1": metrics.macro_f1(outcome, stage),
    }


def stage_calibration(outcome: np.ndarray, p: np.ndarray) -> list[dict[str, Any]]:
    """Per stage that was predicted or observed: mean p, observed share, rows, calibration error.

    `rows`: how many reached the stage.
    """
    shown = [
        at
        for at in range(len(STAGES))
        if len(outcome) and (p[:, at].any() or (outcome == at).any())
    ]
    return [
        {
            "stage": STAGES[at],
            "predicted": round(float(p[:, at].mean()), 5),
            "observed": round(float((outcome == at).mean()), 5),
            "rows": int((outcome == at).sum()),
            "ece": round(metrics.ece(outcome == at, p[:, at]), 5),
        }
        for at in shown
    ]
