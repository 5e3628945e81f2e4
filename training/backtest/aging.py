"""What age does to a model, and how scores move between the dates of a backtest, from the predictions kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from features.core.instants import DAY_US
from training import metrics
from training.backtest.predictions_store import Kept

MOVED, BINS = 0.2, 10


def populations(rows: pa.Table) -> dict[str, np.ndarray]:
    """Which rows belong to everyone and to eligible, bool (rows,)."""
    masks = {
        "everyone": np.ones(rows.num_rows, dtype=bool),
        "eligible": rows["eligible"].to_numpy(),
    }
    return {who: masks[who] for who in metrics.POPULATIONS}


def decay(found: Sequence[Kept]) -> list[dict[str, Any]]:
    """By a model's age in days: what it loses on dates for which a fresh model is there too, on the same rows."""
    fresh = {one.about["at"]: one.predictions for one in found}
    pairs: dict[int, list[tuple[pa.Table, np.ndarray]]] = {}
    for one in found:
        instants, p = one.aged["as_of"].to_numpy(), one.aged["p_churn"].to_numpy()
        for at in np.unique(instants):
            if at in fresh:
                age = round((at - one.about["at"]) / DAY_US)
                pairs.setdefault(age, []).append((fresh[at], p[instants == at]))
    return [_age(days, several) for days, several in sorted(pairs.items())]


def _age(days: int, several: Sequence[tuple[pa.Table, np.ndarray]]) -> dict[str, Any]:
    out: dict[str, Any] = {
        "age_days": days,
        "months": round(days / 30.4375, 1),
        "pairs": len(several),
    }
    for who in metrics.POPULATIONS:
        parts = [(rows, p, populations(rows)[who]) for rows, p in several]
        y, old, new, ids = (
            np.concatenate(column) for column in zip(*(_aged(*part) for part in parts), strict=True)
        )
        if not len(y):
            out[who] = None
            continue
        ours, theirs = metrics.losses(y, old), metrics.losses(y, new)
        areas = [_areas(*part) for part in parts]
        areas = [pair for pair in areas if pair]
        out[who] = {
            "rows": len(y),
            "log_loss": float(ours.mean()),
            "fresh_log_loss": float(theirs.mean()),
            **metrics.paired(ours, theirs, ids),
            "auroc": float(np.mean([one for one, _ in areas])) if areas else None,
            "fresh_auroc": float(np.mean([other for _, other in areas])) if areas else None,
        }
    return out


def _aged(rows: pa.Table, p: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, ...]:
    ids = rows["customer_id"].to_numpy().astype(str)
    return rows["churned"].to_numpy()[mask], p[mask], rows["p_churn"].to_numpy()[mask], ids[mask]


def _areas(rows: pa.Table, p: np.ndarray, mask: np.ndarray) -> tuple[float, float] | None:
    y, fresh = rows["churned"].to_numpy()[mask], rows["p_churn"].to_numpy()[mask]
    if not y.any() or y.all():
        return None
    return metrics.auroc(y, p[mask])[0], metrics.auroc(y, fresh)[0]


def stability(before: Kept, after: Kept) -> dict[str, Any]:
    """How scores move from one date to the next, each date's by its own model, for who is there at both.

    `same_rows`: rank correlation of the older and the newer model on the later date's rows: what the models alone change.
    """
    out: dict[str, Any] = {"from": before.about["as_of"], "to": after.about["as_of"]}
    instants = before.aged["as_of"].to_numpy()
    older = before.aged["p_churn"].to_numpy()[instants == after.about["at"]]
    for who in metrics.POPULATIONS:
        first, second = (
            rows.filter(pa.array(populations(rows)[who])).select(["customer_id", "p_churn"])
            for rows in (before.predictions, after.predictions)
        )
        both = first.join(second, "customer_id", right_suffix="_after", join_type="inner").sort_by(
            "customer_id"
        )
        p, then = both["p_churn"].to_numpy(), both["p_churn_after"].to_numpy()
        mask = populations(after.predictions)[who]
        out[who] = {
            "customers": len(p),
            "rank_correlation": rank_correlation(p, then),
            "top_decile_overlap": overlap(p, then),
            "moved": float((abs(p - then) > MOVED).mean()) if len(p) else None,
            "population_stability": stability_index(
                first["p_churn"].to_numpy(), second["p_churn"].to_numpy()
            ),
            "same_rows": rank_correlation(
                older[mask], after.predictions["p_churn"].to_numpy()[mask]
            ),
        }
    return out


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float | None:
    """Spearman's; None where one of them is constant."""
    from scipy.stats import rankdata

    if len(one) < 2 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    return float(np.corrcoef(rankdata(one), rankdata(other))[0, 1])


def overlap(one: np.ndarray, other: np.ndarray, *, share: float = 0.1) -> float | None:
    """Jaccard's: who is among the riskiest tenth both times ÷ who is at all; by chance 0.053. None under ten rows.

    Rows are taken in the order given where p is equal.
    """
    size = int(len(one) * share)
    if not size:
        return None
    top = [set(np.argsort(-p, kind="stable")[:size].tolist()) for p in (one, other)]
    return len(top[0] & top[1]) / len(top[0] | top[1])


def stability_index(before: np.ndarray, after: np.ndarray) -> float | None:
    """Population stability index: Σ (b − a) · ln(b / a) over the first date's tenths; half a row added to each."""
    if not len(before) or not len(after):
        return None
    edges = np.unique(np.quantile(before, np.arange(1, BINS) / BINS))
    counts = [
        np.bincount(np.searchsorted(edges, p, side="right"), minlength=len(edges) + 1) + 0.5
        for p in (before, after)
    ]
    a, b = (count / count.sum() for count in counts)
    return float(((b - a) * np.log(b / a)).sum())
