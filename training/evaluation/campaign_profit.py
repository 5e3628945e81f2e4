"""What a campaign by the scores may bring a customer: EMPC, beside campaigns without a model.

The costs are those of the measure's source, and not of the business: the figure compares models.
`lifecycle decide` has the profit with the values and the costs of the business.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from serving.decisions.economics import LAW, profits_of_rows
from training import metrics

Array = np.ndarray


def campaign_profit(y: Array, p: Array, customers: Array, by_stage: Array) -> dict[str, Any] | None:
    """EMPC of p (n,) with its 95 % interval by customers, and the share that it would contact.

    by_stage (n,): the rate of the stage, the baseline. everybody: the profit of contacting all; of
    contacting nobody it is 0. The best share is chosen on these rows for each acceptance, as the
    source has it, and stays so in the interval. None where nobody or everybody left.
    """
    y = np.asarray(y, dtype=bool)
    if y.all() or not y.any() or not np.isfinite(p).all():
        return None
    ours, contacted = profits_of_rows(p, y, LAW)
    stage, _ = profits_of_rows(by_stage, y, LAW)
    rows = np.column_stack([ours, stage, ours - stage])
    low, high = np.quantile(metrics.bootstrap_means(rows, customers), (0.025, 0.975), axis=0)
    rate, accepted = float(y.mean()), LAW["alpha"] / (LAW["alpha"] + LAW["beta"])
    everybody = accepted * rate * (LAW["value"] - LAW["incentive"])
    return {
        "law": dict(LAW),
        "empc": float(ours.mean()),
        "low": float(low[0]),
        "high": float(high[0]),
        "share": float(contacted.mean()),
        "by_stage": float(stage.mean()),
        "difference": float(rows[:, 2].mean()),
        "difference_low": float(low[2]),
        "difference_high": float(high[2]),
        "everybody": everybody - LAW["contact"] - LAW["incentive"] * (1 - rate),
    }


def stage_rates(early: pa.Table, late: pa.Table) -> Array:
    """(late rows,): the share of the training rows of the same stage that left; of all without."""
    left = early["churned"].to_numpy().astype(float)
    stages = np.array(early["stage"].to_pylist(), dtype=object)
    rates = {stage: float(left[stages == stage].mean()) for stage in set(stages.tolist())}
    whole = float(left.mean()) if len(left) else 0.0
    return np.array([rates.get(stage, whole) for stage in late["stage"].to_pylist()])
