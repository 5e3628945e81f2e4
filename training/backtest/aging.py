"""How a model loses with age, and how scores move between the dates of a backtest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from features.core.instants import DAY_US
from training import metrics
from training.backtest.predictions_store import DatePredictions

# A p that moved by more than this counts as moved.
MOVED = 0.2
BINS = 10
DAYS_A_MONTH = 30.4375
# Predictions of a fresh model, the older model's p (rows,), and which rows count (rows,).
Part = tuple[pa.Table, np.ndarray, np.ndarray]


def population_masks(rows: pa.Table) -> dict[str, np.ndarray]:
    """Which rows belong to everyone and to eligible, each bool (rows,)."""
    masks = {
        "everyone": np.ones(rows.num_rows, dtype=bool),
        "eligible": rows["eligible"].to_numpy(),
    }
    return {who: masks[who] for who in metrics.POPULATIONS}


def decay_by_age(results: Sequence[DatePredictions]) -> list[dict[str, Any]]:
    """Per age of a model in days: its loss compared with a fresh model's, on the same rows.

    Only dates for which a fresh model exists count.
    """
    fresh = {result.metadata["at"]: result.predictions for result in results}
    pairs: dict[int, list[tuple[pa.Table, np.ndarray]]] = {}
    for result in results:
        later = result.later_predictions
        instants, p = later["as_of"].to_numpy(), later["p_churn"].to_numpy()
        for at in np.unique(instants):
            if at in fresh:
                age = round((at - result.metadata["at"]) / DAY_US)
                pairs.setdefault(age, []).append((fresh[at], p[instants == at]))
    return [_age_report(days, several) for days, several in sorted(pairs.items())]


def _age_report(days: int, pairs: Sequence[tuple[pa.Table, np.ndarray]]) -> dict[str, Any]:
    """`pairs`: a fresh model's predictions and the older model's p of the same rows."""
    report: dict[str, Any] = {
        "age_days": days,
        "months": round(days / DAYS_A_MONTH, 1),
        "pairs": len(pairs),
    }
    for who in metrics.POPULATIONS:
        parts = [(rows, p, population_masks(rows)[who]) for rows, p in pairs]
        report[who] = _age_losses(parts)
    return report


def _age_losses(parts: Sequence[Part]) -> dict[str, Any] | None:
    y, old, new, ids = (
        np.concatenate(column) for column in zip(*(_columns(*part) for part in parts), strict=True)
    )
    if not len(y):
        return None
    old_losses, new_losses = metrics.log_losses(y, old), metrics.log_losses(y, new)
    areas = [pair for part in parts if (pair := _areas(*part))]
    return {
        "rows": len(y),
        "log_loss": float(old_losses.mean()),
        "fresh_log_loss": float(new_losses.mean()),
        **metrics.paired_difference(old_losses, new_losses, ids),
        "auroc": float(np.mean([old_area for old_area, _ in areas])) if areas else None,
        "fresh_auroc": float(np.mean([new_area for _, new_area in areas])) if areas else None,
    }


def _columns(rows: pa.Table, p: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, ...]:
    """churned, the older model's p, the fresh model's p, and ids of the masked rows."""
    ids = rows["customer_id"].to_numpy().astype(str)
    return rows["churned"].to_numpy()[mask], p[mask], rows["p_churn"].to_numpy()[mask], ids[mask]


def _areas(rows: pa.Table, p: np.ndarray, mask: np.ndarray) -> tuple[float, float] | None:
    """AUROC of the older and of the fresh model; None where all rows have one outcome."""
    y, fresh = rows["churned"].to_numpy()[mask], rows["p_churn"].to_numpy()[mask]
    if not y.any() or y.all():
        return None
    return metrics.auroc(y, p[mask])[0], metrics.auroc(y, fresh)[0]


def score_stability(before: DatePredictions, after: DatePredictions) -> dict[str, Any]:
    """How scores move from one date to the next, for customers in both.

    Each date is scored by its own model. `same_rows`: rank correlation of the older and the newer
    model on the later date's rows, which shows what the models alone change.
    """
    report: dict[str, Any] = {"from": before.metadata["as_of"], "to": after.metadata["as_of"]}
    later = before.later_predictions
    older = later["p_churn"].to_numpy()[later["as_of"].to_numpy() == after.metadata["at"]]
    newer = after.predictions["p_churn"].to_numpy()
    for who in metrics.POPULATIONS:
        mask = population_masks(after.predictions)[who]
        same_rows = rank_correlation(older[mask], newer[mask])
        report[who] = {**_movement(before, after, who), "same_rows": same_rows}
    return report


def _movement(before: DatePredictions, after: DatePredictions, who: str) -> dict[str, Any]:
    first, second = (
        rows.filter(pa.array(population_masks(rows)[who])).select(["customer_id", "p_churn"])
        for rows in (before.predictions, after.predictions)
    )
    joined = first.join(second, "customer_id", right_suffix="_after", join_type="inner")
    joined = joined.sort_by("customer_id")
    p, p_after = joined["p_churn"].to_numpy(), joined["p_churn_after"].to_numpy()
    return {
        "customers": len(p),
        "rank_correlation": rank_correlation(p, p_after),
        "top_decile_overlap": top_overlap(p, p_after),
        "moved": float((abs(p - p_after) > MOVED).mean()) if len(p) else None,
        "population_stability": stability_index(
            first["p_churn"].to_numpy(), second["p_churn"].to_numpy()
        ),
    }


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float | None:
    """Spearman's rank correlation; None where one of the two is constant."""
    from scipy.stats import rankdata

    if len(one) < 2 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    return float(np.corrcoef(rankdata(one), rankdata(other))[0, 1])


def top_overlap(one: np.ndarray, other: np.ndarray, *, share: float = 0.1) -> float | None:
    """Jaccard's overlap of the riskiest tenths: in both ÷ in either; .053 by chance.

    None under ten rows. Where p is equal, the first rows count as riskier.
    """
    size = int(len(one) * share)
    if not size:
        return None
    top = [set(np.argsort(-p, kind="stable")[:size].tolist()) for p in (one, other)]
    return len(top[0] & top[1]) / len(top[0] | top[1])


def stability_index(before: np.ndarray, after: np.ndarray) -> float | None:
    """Population stability index: Σ (b − a) · ln(b / a) over the first date's tenths.

    Half a row is added to each tenth, so that none is empty.
    """
    if not len(before) or not len(after):
        return None
    edges = np.unique(np.quantile(before, np.arange(1, BINS) / BINS))
    counts = [
        np.bincount(np.searchsorted(edges, p, side="right"), minlength=len(edges) + 1) + 0.5
        for p in (before, after)
    ]
    a, b = (count / count.sum() for count in counts)
    return float(((b - a) * np.log(b / a)).sum())
