"""How good it is, for whom, against what, and how sure that is. Everything is said for everyone and for eligible.

Intervals are 95 %: AUROC by DeLong, Delong & Clarke-Pearson 1988; differences of losses by a bootstrap over customers
(all rows of one customer move together).
"""

from __future__ import annotations

from typing import Any

import numpy as np

POPULATIONS = ("everyone", "eligible")
REPLICATES = 400


def churn_metrics(y: np.ndarray, p: np.ndarray) -> dict[str, float | None]:
    """AUROC with its interval, average precision, log loss, Brier, ECE and top-decile lift of p (rows,) for y (bool)."""
    from sklearn.metrics import average_precision_score

    out: dict[str, float | None] = {"rows": len(y), "rate": float(y.mean()) if len(y) else None}
    out["log_loss"] = float(losses(y, p).mean()) if len(y) else None
    out["brier"] = float(((p - y) ** 2).mean()) if len(y) else None
    if not len(y) or y.all() or not y.any():
        return out | dict.fromkeys(("auroc", "auroc_low", "auroc_high", "average_precision", "ece", "top_decile_lift"))
    value, error = auroc(y, p)
    return out | {
        "auroc": value, "auroc_low": value - 1.96 * error, "auroc_high": value + 1.96 * error,
        "average_precision": float(average_precision_score(y, p)), "ece": ece(y, p),
        "top_decile_lift": top_lift(y, p),
    }  # fmt: skip


def top_lift(y: np.ndarray, p: np.ndarray, *, share: float = 0.1) -> float:
    """How many times the average rate the riskiest share has; where its edge cuts through equal p, in proportion."""
    rows, left = ranked(y, p)
    return float(np.interp(share, rows / rows[-1], left / left[-1]) / share)


def ranked(y: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(rows, leavers) with at least each distinct p, highest first, int (distinct + 1,), both beginning with 0."""
    order = np.argsort(-p, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(p[order])), len(p) - 1)
    return np.append(0, ends + 1), np.append(0, np.cumsum(y[order])[ends])


def losses(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Log loss of each row."""
    return -np.log(np.where(y, p, 1 - p))


def auroc(y: np.ndarray, score: np.ndarray) -> tuple[float, float]:
    """(AUROC, standard error) by DeLong's placements; ties count half."""
    from scipy.stats import rankdata

    ranks, positives, negatives = rankdata(score), int(y.sum()), int((~y).sum())
    of_positive = (ranks[y] - rankdata(score[y])) / negatives
    of_negative = 1 - (ranks[~y] - rankdata(score[~y])) / positives
    value = float(of_positive.mean())
    spread = [part.var(ddof=1) / part.size if part.size > 1 else 0.25 for part in (of_positive, of_negative)]
    return value, float(np.sqrt(sum(spread)))


def ece(y: np.ndarray, p: np.ndarray, *, bins: int = 10) -> float:
    """Expected calibration error: how far bins of rows are off, each weighted by its rows."""
    off = np.bincount(_bins(p, bins), weights=y.astype(float) - p)
    return float(abs(off).sum() / len(p))


def reliability(y: np.ndarray, p: np.ndarray, *, bins: int = 10) -> list[dict[str, float]]:
    """Per bin of rows, lowest p first: mean p, share that left, rows."""
    number = _bins(p, bins)
    parts = [number == at for at in np.unique(number)]
    return [{"p": float(p[part].mean()), "left": float(y[part].mean()), "rows": int(part.sum())} for part in parts]


def _bins(p: np.ndarray, bins: int) -> np.ndarray:
    """A bin number per row: bins of about equally many rows, rows with equal p always in one (their order says nothing)."""
    from scipy.stats import rankdata

    bins = max(1, min(bins, len(p)))
    return ((rankdata(p) - 0.5) * bins / max(1, len(p))).astype(int)


def stage_losses(outcome: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Log loss of each row; infinite where a realised stage had probability 0 (which must not happen)."""
    with np.errstate(divide="ignore"):
        return -np.log(p[np.arange(len(outcome)), outcome])


def stage_metrics(outcome: np.ndarray, p: np.ndarray) -> dict[str, float | None]:
    """Log loss, ranked probability score over the stages in their order, accuracy of the likeliest stage."""
    if not len(outcome):
        return {"rows": 0, "log_loss": None, "ranked_probability_score": None, "accuracy": None}
    happened = np.arange(p.shape[1]) >= outcome[:, None]
    rps = ((np.cumsum(p, axis=1) - happened) ** 2)[:, :-1].sum(axis=1) / (p.shape[1] - 1)
    return {
        "rows": len(outcome), "log_loss": float(stage_losses(outcome, p).mean()),
        "ranked_probability_score": float(rps.mean()), "accuracy": float((p.argmax(axis=1) == outcome).mean()),
    }  # fmt: skip


def paired(ours: np.ndarray, theirs: np.ndarray, customers: np.ndarray, *, seed: int = 0) -> dict[str, float]:
    """Mean of ours − theirs with a 95 % interval from a bootstrap over customers; below 0 we lose less."""
    _, group = np.unique(customers, return_inverse=True)
    groups = int(group.max()) + 1
    sums = np.bincount(group, weights=ours - theirs, minlength=groups)
    sizes = np.bincount(group, minlength=groups).astype(float)
    draws = np.random.default_rng(seed).multinomial(groups, np.full(groups, 1 / groups), size=REPLICATES)
    means = (draws @ sums) / np.maximum(draws @ sizes, 1)
    low, high = np.quantile(means, (0.025, 0.975))
    return {"difference": float((ours - theirs).mean()), "low": float(low), "high": float(high)}


def verdict(name: str, difference: dict[str, float]) -> str:
    """`better than recency by 0.012 (0.008 … 0.016)`: in words, with the interval, in log loss."""
    interval = f"{abs(difference['difference']):.4f} ({difference['low']:+.4f} … {difference['high']:+.4f})"
    if difference["high"] < 0:
        return f"better than {name} by {interval}"
    return f"worse than {name} by {interval}" if difference["low"] > 0 else f"no better than {name}: {interval}"


def has_skill(churn: dict[str, Any]) -> bool:
    """Skill means that the interval of the AUROC lies above one half, among eligible if they can tell, else everyone."""
    known = [churn[who] for who in ("eligible", "everyone") if churn[who].get("auroc_low") is not None]
    return bool(known) and known[0]["auroc_low"] > 0.5
