"""Two models on the same labelled rows: the challenger and the champion, and what is worse.

The challenger is refused where its log loss is worse beyond the paired interval by customers, its
calibration worse by more than chance, a slice worse beyond an interval widened for the number of
slices, or where hardly any customer keeps the strongest reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from features.engine.columns import FeatureColumn
from serving.scoring.reasons import leading_families
from serving.scoring.scorer import Scorer, stage_index
from training import metrics
from training.evaluation import baseline_comparison, reliability, slices

PASSES, REFUSED, NOT_JUDGED = "passes", "refused", "not judged"
# Share of eligible rows that keep their strongest reason. Below it, people who know their
# customers by the reasons would not recognise them.
MIN_REASON_OVERLAP = 0.3
REASON_SAMPLE = 2000  # rows whose reasons are compared


@dataclass(frozen=True)
class Side:
    """One of the two models: its scorer, its labelled evaluation rows, and its columns."""

    scorer: Scorer
    rows: pa.Table
    columns: list[FeatureColumn]


def compare(ours: Side, theirs: Side, early: pa.Table) -> dict[str, Any]:
    """`verdict` and `why`, and the figures of both models on the same rows.

    `ours` is the challenger, `theirs` the champion; `early` are the challenger's training rows.
    """
    rows, y = ours.rows, ours.rows["churned"].to_numpy()
    ids, eligible = _customer_ids(rows), rows["eligible"].to_numpy()
    (p, p_next), (their_p, their_next) = (side.scorer.score(side.rows) for side in (ours, theirs))
    masks = {"everyone": np.ones(len(y), dtype=bool), "eligible": eligible}
    figures = {who: _compare_losses(y[m], p[m], their_p[m], ids[m]) for who, m in masks.items()}
    who = _judged_population(figures)
    if who is None:
        return {"population": None, "populations": figures, **not_judged("too few customers")}
    m = masks[who]
    difference = metrics.log_losses(y[m], p[m]) - metrics.log_losses(y[m], their_p[m])
    cuts = slices.cuts(
        early if who == "everyone" else early.filter(early["eligible"]),
        rows.filter(pa.array(m)),
        ours.scorer.definitions,
    )
    report = {
        "population": who,
        "populations": figures,
        "worst_slice": _worst_slice(cuts, y[m], difference, ids[m]),
        "same_top_reason": _same_top_reason(ours, theirs, np.flatnonzero(eligible)),
        "next_stage": _compare_stages(ours, theirs, p_next, their_next, m),
    }
    why = _objections(report)
    return {**report, "verdict": REFUSED if why else PASSES, "why": why}


def not_judged(why: str) -> dict[str, Any]:
    return {"verdict": NOT_JUDGED, "why": [why]}


def interval_text(pair: dict[str, Any]) -> str:
    """`+0.0120 (+0.0080 … +0.0160)`."""
    return f"{pair['difference']:+.4f} ({pair['low']:+.4f} … {pair['high']:+.4f})"


def _customer_ids(rows: pa.Table) -> np.ndarray:
    return rows["customer_id"].to_numpy().astype(str)


def _judged_population(figures: dict[str, dict[str, Any]]) -> str | None:
    """Eligible where they are enough customers, else everyone, else None."""
    for who in ("eligible", "everyone"):
        if figures[who]["customers"] >= baseline_comparison.MIN_CUSTOMERS:
            return who
    return None


def _compare_losses(
    y: np.ndarray, ours: np.ndarray, theirs: np.ndarray, ids: np.ndarray
) -> dict[str, Any]:
    """Rows and customers; log loss and calibration error of both models, None where unknown.

    The log loss with the paired interval, the calibration error with its floor.
    """
    out: dict[str, Any] = {
        "rows": len(y),
        "customers": len(np.unique(ids)),
        "log_loss": None,
        "ece": None,
    }
    if len(y):
        our_losses, their_losses = metrics.log_losses(y, ours), metrics.log_losses(y, theirs)
        out["log_loss"] = {
            "challenger": float(our_losses.mean()),
            "champion": float(their_losses.mean()),
            **metrics.paired_difference(our_losses, their_losses, ids),
        }
    calibration = reliability.calibration_figures(y, ours)
    if calibration["ece"] is not None:
        out["ece"] = {
            "challenger": calibration["ece"],
            "champion": metrics.ece(y, theirs),
            "floor": calibration["floor"]["high"],
        }
    return out


def _worst_slice(
    cuts: list[slices.Cut], y: np.ndarray, difference: np.ndarray, ids: np.ndarray
) -> dict[str, Any] | None:
    """The slice with the highest lower end of its interval; None where no slice has enough rows.

    The intervals are widened so that all slices together err once in twenty (Bonferroni).
    """
    from scipy.stats import norm

    large = []
    for cut in cuts:
        for at, name in enumerate(cut.names):
            m = cut.late == at
            if _has_enough(y[m]):
                spread = metrics.bootstrap_means(difference[m][:, None], ids[m]).std()
                mean = float(difference[m].mean())
                large.append((cut.dimension, name, int(m.sum()), mean, float(spread)))
    if not large:
        return None
    reach = norm.ppf(1 - 0.025 / len(large))
    dimension, name, rows, value, spread = max(
        large, key=lambda one: (one[3] - reach * one[4], one[0], one[1])
    )
    return {
        "dimension": dimension,
        "name": name,
        "rows": rows,
        "compared": len(large),
        "difference": value,
        "low": float(value - reach * spread),
        "high": float(value + reach * spread),
    }


def _has_enough(y: np.ndarray) -> bool:
    return len(y) >= slices.LEAST_ROWS and min(y.sum(), (~y).sum()) >= slices.LEAST_OF_EACH


def _same_top_reason(ours: Side, theirs: Side, rows: np.ndarray) -> float | None:
    """The share of these rows whose strongest family of reasons is the same in both models.

    None where one of them gives no reasons.
    """
    count = min(len(rows), REASON_SAMPLE)
    sample = pa.array(rows[np.unique(np.linspace(0, len(rows) - 1, count).astype(int))])
    first, second = (
        leading_families(side.scorer, side.rows.take(sample), side.columns)
        for side in (ours, theirs)
    )
    if not len(sample) or first is None or second is None:
        return None
    return float(np.mean([one == other for one, other in zip(first, second, strict=True)]))


def _compare_stages(
    ours: Side, theirs: Side, p_next: np.ndarray, their_next: np.ndarray, m: np.ndarray
) -> dict[str, Any]:
    """Log loss of the next stage for both models.

    The difference is None where outcome stages differ: later definitions move the stages.
    """
    outcome, their_outcome = (
        stage_index(side.rows["outcome_stage"].to_numpy()) for side in (ours, theirs)
    )
    our_losses = metrics.stage_log_losses(outcome[m], p_next[m])
    their_losses = metrics.stage_log_losses(their_outcome[m], their_next[m])
    out = {"challenger": float(our_losses.mean()), "champion": float(their_losses.mean())}
    if not np.array_equal(outcome, their_outcome):
        return out | dict.fromkeys(("difference", "low", "high"))
    ids = _customer_ids(ours.rows)[m]
    return out | metrics.paired_difference(our_losses, their_losses, ids)


def _objections(report: dict[str, Any]) -> list[str]:
    """What is worse, in words; empty where nothing is."""
    row = report["populations"][report["population"]]
    worst, same, stages = (
        report[name] for name in ("worst_slice", "same_top_reason", "next_stage")
    )
    why = []
    if row["log_loss"]["low"] > metrics.NEGLIGIBLE:
        difference = interval_text(row["log_loss"])
        why.append(f"log loss worse by {difference} for {report['population']}")
    ece = row["ece"]
    if ece and ece["challenger"] - ece["champion"] > ece["floor"]:
        why.append(
            f"calibration error {ece['challenger']:.1%}, champion {ece['champion']:.1%}; "
            f"chance alone makes up to {ece['floor']:.1%}"
        )
    if worst and worst["low"] > metrics.NEGLIGIBLE:
        name = f"{worst['dimension']} {worst['name']}"
        why.append(f"log loss of {name} worse by {interval_text(worst)}")
    if same is not None and same < MIN_REASON_OVERLAP:
        why.append(f"only {same:.0%} of eligible customers keep their strongest reason")
    if stages["low"] is not None and stages["low"] > metrics.NEGLIGIBLE:
        why.append(f"log loss of the next stage worse by {interval_text(stages)}")
    return why
