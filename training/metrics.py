"""Metrics of both models and their intervals, for everyone and for eligible customers.

Intervals are 95 %: of the AUROC by DeLong (DeLong, DeLong & Clarke-Pearson 1988), of differences
of log losses by a bootstrap over customers (all rows of one customer move together).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

POPULATIONS = ("everyone", "eligible")
REPLICATES = 400
GAINS = (10, 20, 30)
NEGLIGIBLE = 1e-9  # differences of log loss up to this come from rounding


def churn_metrics(y: np.ndarray, p: np.ndarray) -> dict[str, Any]:
    """The metrics of p (rows,) for y (bool (rows,)).

    AUROC with its interval, average precision, log loss, Brier score, calibration error (ECE),
    lift of the riskiest tenth, and gains. `gain_10`: the share of all churners among the riskiest
    10 % of rows. None where y has a single class (log loss and Brier: where there are no rows).
    """
    from sklearn.metrics import average_precision_score

    out: dict[str, Any] = {"rows": len(y), "rate": float(y.mean()) if len(y) else None}
    out["log_loss"] = float(log_losses(y, p).mean()) if len(y) else None
    out["brier"] = float(((p - y) ** 2).mean()) if len(y) else None
    if not len(y) or y.all() or not y.any():
        names = ("auroc", "auroc_low", "auroc_high", "average_precision", "ece", "top_decile_lift")
        return out | dict.fromkeys((*names, *(f"gain_{percent}" for percent in GAINS)))
    value, low, high = auroc_interval(y, p)
    return out | {
        "auroc": value,
        "auroc_low": low,
        "auroc_high": high,
        "average_precision": float(average_precision_score(y, p)),
        "ece": ece(y, p),
        "top_decile_lift": top_lift(y, p),
        **{f"gain_{percent}": gain(y, p, share=percent / 100) for percent in GAINS},
    }


def top_lift(y: np.ndarray, p: np.ndarray, *, share: float = 0.1) -> float:
    """The churn rate of the riskiest share, as a multiple of the average rate."""
    return gain(y, p, share=share) / share


def gain(y: np.ndarray, p: np.ndarray, *, share: float) -> float:
    """The share of churners among the riskiest `share` of rows.

    Where the edge of the share cuts through rows of equal p, they count in proportion.
    """
    rows, churners = cumulative_counts(y, p)
    return float(np.interp(share, rows / rows[-1], churners / churners[-1]))


def cumulative_counts(y: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(rows, churners) whose p is at least each distinct p, highest first.

    Int (distinct + 1,); both begin with 0.
    """
    order = np.argsort(-p, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(p[order])), len(p) - 1)
    return np.append(0, ends + 1), np.append(0, np.cumsum(y[order])[ends])


def log_losses(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Log loss of each row, float64 (rows,)."""
    return -np.log(np.where(y, p, 1 - p))


def auroc(y: np.ndarray, score: np.ndarray) -> tuple[float, float]:
    """(AUROC, standard error) by DeLong's placements; ties count half."""
    from scipy.stats import rankdata

    ranks, positives, negatives = rankdata(score), int(y.sum()), int((~y).sum())
    of_positive = (ranks[y] - rankdata(score[y])) / negatives
    of_negative = 1 - (ranks[~y] - rankdata(score[~y])) / positives
    value = float(of_positive.mean())
    spread = [
        part.var(ddof=1) / part.size if part.size > 1 else 0.25
        for part in (of_positive, of_negative)
    ]
    return value, float(np.sqrt(sum(spread)))


def auroc_interval(y: np.ndarray, score: np.ndarray) -> tuple[float, float, float]:
    """(AUROC, low, high) at 95 %.

    Where no pair (or every pair) is in the wrong order DeLong's error is 0, however few the
    customers. Then the bound is that of as many right answers in a row as the rarer outcome has
    rows (Clopper & Pearson 1934): 0.025 ** (1 / rows).

    >>> auroc_interval(np.array([True, True, True, False, False, False]), np.arange(6)[::-1])[:2]
    (1.0, 0.2924017738212866)
    """
    value, error = auroc(y, score)
    if error == 0 and value in (0.0, 1.0):
        bound = 0.025 ** (1 / min(int(y.sum()), int((~y).sum())))
        return (value, bound, 1.0) if value == 1.0 else (value, 0.0, 1.0 - bound)
    return value, max(0.0, value - 1.96 * error), min(1.0, value + 1.96 * error)


def ece(y: np.ndarray, p: np.ndarray, *, bins: int = 10) -> float:
    """Expected calibration error: |mean p − observed rate| of bins, each weighted by its rows."""
    off = np.bincount(_bins(p, bins), weights=y.astype(float) - p)
    return float(abs(off).sum() / len(p))


def bootstrap_ece(
    y: np.ndarray, p: np.ndarray, customers: np.ndarray, *, bins: int = 10, seed: int = 0
) -> np.ndarray:
    """The calibration error in draws of customers, (REPLICATES,), in the bins of all rows."""
    _, group = np.unique(customers, return_inverse=True)
    groups, rng = int(group.max()) + 1, np.random.default_rng(seed)
    off = np.zeros((groups, bins))
    np.add.at(off, (group, _bins(p, bins)), y - p)
    sizes = np.bincount(group, minlength=groups)
    out = np.empty(REPLICATES)
    for at in range(REPLICATES):
        times = np.bincount(rng.integers(0, groups, groups), minlength=groups)
        out[at] = abs(times @ off).sum() / (times @ sizes)
    return out


def reliability_bins(y: np.ndarray, p: np.ndarray, *, bins: int = 10) -> list[dict[str, float]]:
    """Per bin of rows, lowest p first: `predicted` (mean p), `observed` (rate of y), `rows`."""
    number = _bins(p, bins)
    parts = [number == at for at in np.unique(number)]
    return [
        {
            "predicted": float(p[part].mean()),
            "observed": float(y[part].mean()),
            "rows": int(part.sum()),
        }
        for part in parts
    ]


def _bins(p: np.ndarray, bins: int) -> np.ndarray:
    """A bin number per row, bins of about equally many rows.

    Rows with equal p always share a bin, because their order carries no information.
    """
    from scipy.stats import rankdata

    bins = max(1, min(bins, len(p)))
    return ((rankdata(p) - 0.5) * bins / max(1, len(p))).astype(int)


def stage_log_losses(outcome: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Log loss of each row for stages (index in STAGES, (rows,)) and p (rows, 7).

    Infinite where an observed stage had probability 0, which must not happen.
    """
    with np.errstate(divide="ignore"):
        return -np.log(p[np.arange(len(outcome)), outcome])


def stage_metrics(outcome: np.ndarray, p: np.ndarray) -> dict[str, Any]:
    """Log loss, ranked probability score (in the order of STAGES), accuracy and macro-F1.

    The last two judge the likeliest stage. All None without rows.
    """
    if not len(outcome):
        return {"rows": 0} | dict.fromkeys(
            ("log_loss", "ranked_probability_score", "accuracy", "macro_f1")
        )
    reached = np.arange(p.shape[1]) >= outcome[:, None]
    rps = ((np.cumsum(p, axis=1) - reached) ** 2)[:, :-1].sum(axis=1) / (p.shape[1] - 1)
    likeliest = p.argmax(axis=1)
    return {
        "rows": len(outcome),
        "log_loss": float(stage_log_losses(outcome, p).mean()),
        "ranked_probability_score": float(rps.mean()),
        "accuracy": float((likeliest == outcome).mean()),
        "macro_f1": macro_f1(outcome, likeliest),
    }


def macro_f1(outcome: np.ndarray, predicted: np.ndarray) -> float:
    """The mean F1 of the observed stages, equally weighted: 2 · hits / (observed + predicted).

    Only observed stages count, so that every model is measured on the same ones.
    """
    stages = outcome.max() + 1
    hits = np.bincount(outcome[outcome == predicted], minlength=stages)
    observed_counts = np.bincount(outcome)
    predicted_counts = np.bincount(predicted, minlength=stages)[:stages]
    there = observed_counts > 0
    return float((2 * hits[there] / (observed_counts + predicted_counts)[there]).mean())


def bootstrap_means(losses: np.ndarray, customers: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Means of each column of `losses` (rows, k) in draws of customers, (REPLICATES, k).

    Customers are drawn with replacement, so all rows of one customer move together, and so do all
    columns. The rows' order does not matter.
    """
    _, group = np.unique(customers, return_inverse=True)
    groups, rng = int(group.max()) + 1, np.random.default_rng(seed)
    sizes = np.bincount(group, minlength=groups)
    sums = np.stack(
        [np.bincount(group, weights=column, minlength=groups) for column in losses.T], axis=1
    )
    out = np.empty((REPLICATES, losses.shape[1]))
    for at in range(REPLICATES):
        times = np.bincount(rng.integers(0, groups, groups), minlength=groups)
        out[at] = (times @ sums) / (times @ sizes)
    return out


def paired_difference(
    ours: np.ndarray, theirs: np.ndarray, customers: np.ndarray, *, seed: int = 0
) -> dict[str, float]:
    """Mean of ours − theirs (losses (rows,)) with its 95 % interval; below 0 ours is better."""
    return paired_differences({"": theirs}, ours, customers, seed=seed)[""]


def paired_differences(
    theirs: dict[str, np.ndarray], ours: np.ndarray, customers: np.ndarray, *, seed: int = 0
) -> dict[str, dict[str, float]]:
    """`paired_difference` with each of several, in the same draws of customers."""
    each = np.stack([ours - other for other in theirs.values()], axis=1)
    means = bootstrap_means(each, customers, seed=seed)
    return {
        name: difference_interval(each[:, at].mean(), means[:, at])
        for at, name in enumerate(theirs)
    }


def difference_interval(value: float, means: np.ndarray) -> dict[str, float]:
    """A mean difference and the middle 95 % of its replicates."""
    low, high = np.quantile(means, (0.025, 0.975))
    return {"difference": float(value), "low": float(low), "high": float(high)}


def verdict(name: str, difference: Mapping[str, float]) -> str:
    """`better than recency by 0.0120 (0.0080 … 0.0160)`: in log loss, with the interval."""
    value, low, high = (difference[key] for key in ("difference", "low", "high"))
    if high < -NEGLIGIBLE:
        return f"better than {name} by {-value:.4f} ({-high:.4f} … {-low:.4f})"
    if low > NEGLIGIBLE:
        return f"worse than {name} by {value:.4f} ({low:.4f} … {high:.4f})"
    return f"no better than {name}: {_signed(value)} ({_signed(low)} … {_signed(high)})"


def _signed(value: float) -> str:
    return "0.0000" if abs(value) < 5e-5 else f"{value:+.4f}"


def has_skill(churn: Mapping[str, Any]) -> bool:
    """Whether the interval of the AUROC lies above one half.

    Among eligible customers where their AUROC is known, else among everyone.
    """
    known = [
        churn[who] for who in ("eligible", "everyone") if churn[who].get("auroc_low") is not None
    ]
    return bool(known) and known[0]["auroc_low"] > 0.5
