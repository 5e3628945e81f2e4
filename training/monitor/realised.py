"""What became of an earlier run: its scores beside the outcomes, once its window is complete."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from scipy import stats

from features.core.instants import day_text
from features.core.settings import Settings
from features.labels.outcomes import is_mature, observe_outcomes
from features.recipes.definitions import Definitions
from features.tables.history import History
from serving.release.reference_file import ReferenceOutcomes
from training import metrics
from training.drift.bins import eligible_rows
from training.monitor.kinds import CALM, CANNOT_TELL, MOVED, NOTHING_YET, TOO_FEW_CUSTOMERS
from training.monitor.scored_run import ScoredRun

RATE, POWER_DEVIATIONS = 0.01, 0.84  # 8 of 10 months
# A change of the rate that a monitor of outcomes must be able to see, as a share of the rate.
LARGEST_VISIBLE_CHANGE = 0.5
Line = dict[str, Any]


def matured_runs(runs: list[ScoredRun], history: History, settings: Settings) -> list[ScoredRun]:
    """Those whose outcome window, label latency included, lies within the data; oldest first."""
    mature = [run for run in runs if is_mature(run.as_of, history=history, settings=settings)]
    return sorted(mature, key=lambda run: (run.as_of, run.id))


def realise(
    run: ScoredRun,
    history: History,
    settings: Settings,
    definitions: Definitions,
    past: tuple[ReferenceOutcomes, ...],
    *,
    judged_on: str,
) -> Line:
    """One line of the history: the figures of the run's eligible customers with a score.

    `past`: the training dates of its release. `judged_on`: the day on which it is judged. What
    was recorded after the window and its label latency is in neither. Where all have one outcome,
    AUROC and lift are null. `left_out`: scored customers who are not in the tables any more.
    ImmatureWindow where the window is not complete.
    """
    known = history.as_of(run.as_of)
    outcomes = observe_outcomes(history, known, definitions=definitions, settings=settings).rows
    scores = eligible_rows(run.read("scores.parquet")).select(["customer_id", "p_churn"])
    scores = scores.filter(pa.compute.is_valid(scores["p_churn"]))
    joined = scores.join(
        outcomes.select(["customer_id", "churned"]), "customer_id", "customer_id", join_type="inner"
    ).sort_by("customer_id")
    left = joined["churned"].to_numpy(zero_copy_only=False).astype(bool)
    p = joined["p_churn"].to_numpy().astype(float)
    about = {
        "run": run.id,
        "as_of": run.as_of,
        "as_of_text": day_text(run.as_of, zone=settings.zone),
        "release": run.release,
        "horizon_days": settings.churn.horizon_days,
        "judged_on": judged_on,
        "left_out": scores.num_rows - joined.num_rows,
    }
    return about | figures(left, p) | judge_rate(left, p, past)


def figures(left: np.ndarray, p: np.ndarray) -> Line:
    """AUROC, log loss, calibration and lift of p (rows,) for who left, bool (rows,)."""
    rows, rate = len(p), float(left.mean()) if len(left) else None
    one_class = not rows or left.all() or not left.any()
    spread = 1.96 * float(np.sqrt((p * (1 - p)).sum()))
    auroc, low, high = (None,) * 3 if one_class else metrics.auroc_interval(left, p)
    loss_of_rate = (
        None if one_class else float(metrics.log_losses(left, np.full(rows, rate)).mean())
    )
    return {
        "customers": rows,
        "left": int(left.sum()),
        "expected": float(p.sum()),
        "expected_low": max(float(p.sum()) - spread, 0.0),
        "expected_high": min(float(p.sum()) + spread, float(rows)),
        "auroc": auroc,
        "auroc_low": low,
        "auroc_high": high,
        "log_loss": float(metrics.log_losses(left, p).mean()) if rows else None,
        "log_loss_of_rate": loss_of_rate,
        "lift": None if one_class else metrics.top_lift(left, p),
    }


def judge_rate(left: np.ndarray, p: np.ndarray, past: tuple[ReferenceOutcomes, ...]) -> Line:
    """Whether other customers left than the scores said: verdict, chance, visible change.

    The error of one training date, p out of fold, has the variance of chance, twice (that of the
    run, and that of what the model learned), times how much more the training dates erred.
    `visible`: the smallest change of the rate that is seen in 8 of 10 months, as its share.
    """
    expected, customers = float(p.sum()), len(p)
    of_training = [each for each in past if each.variance > 0]
    if not customers or not expected or len(of_training) < 2:
        return {"verdict": CANNOT_TELL, "chance": None, "visible": None, "why": TOO_FEW_CUSTOMERS}
    learned = float(np.mean([each.customers for each in of_training]))
    variance = float((p * (1 - p)).sum()) * (1 + customers / max(learned, 1.0))
    ratios = [(each.left - each.expected) ** 2 / each.variance for each in of_training]
    calm = max(float(np.mean(ratios)), 1.0)
    statistic = (int(left.sum()) - expected) ** 2 / max(variance, 1e-12)
    freedom = len(of_training) - 1
    # Student's quantiles only where the training dates are what is uncertain.
    chance = float(stats.chi2.sf(statistic, 1))
    limit = float(stats.norm.isf(RATE / 2))
    if calm > 1:
        chance = max(chance, float(stats.f.sf(statistic / calm, 1, freedom)))
        limit = float(stats.t.isf(RATE / 2, freedom)) * calm**0.5
    visible = (limit + POWER_DEVIATIONS) * variance**0.5 / expected
    if chance <= RATE:
        return {"verdict": MOVED, "chance": chance, "visible": visible, "why": None}
    if visible > LARGEST_VISIBLE_CHANGE:
        why = TOO_FEW_CUSTOMERS
        return {"verdict": CANNOT_TELL, "chance": chance, "visible": visible, "why": why}
    return {"verdict": CALM, "chance": chance, "visible": visible, "why": None}


def nothing_matured() -> Line:
    """In place of a line where no run's window is complete."""
    return {"verdict": NOTHING_YET, "chance": None, "visible": None, "why": None}
