"""How good it is, for whom, against what, and how sure that is. Everything is said for everyone and for eligible.

Intervals are 95 %: AUROC by DeLong, Delong & Clarke-Pearson 1988; differences of losses by a bootstrap over customers
(all rows of one customer move together).
"""

from __future__ import annotations

from typing import Any

import numpy as np

POPULATIONS = ("everyone", "eligible")
REPLICATES = 400
GAINS = (10, 20, 30)
SAME = 1e-9  # a difference of losses that arithmetic makes by itself


def churn_metrics(y: np.ndarray, p: np.ndarray) -> dict[str, float | None]:
    """AUROC with its interval, average precision, log loss, Brier, ECE, top-decile lift and gain of p (rows,) for y (bool).

    `gain_10`: the share of all leavers that is found among the riskiest 10 % of rows. None where y has not both classes
    (log loss and Brier: where there are no rows).
    """
    from sklearn.metrics import average_precision_score

    out: dict[str, float | None] = {"rows": len(y), "rate": float(y.mean()) if len(y) else None}
    out["log_loss"] = float(losses(y, p).mean()) if len(y) else None
    out["brier"] = float(((p - y) ** 2).mean()) if len(y) else None
    if not len(y) or y.all() or not y.any():
        names = ("auroc", "auroc_low", "auroc_high", "average_precision", "ece", "top_decile_lift")
        return out | dict.fromkeys((*names, *(f"gain_{percent}" for percent in GAINS)))
    value, error = auroc(y, p)
    return out | {
        "auroc": value,
        "auroc_low": value - 1.96 * error,
        "auroc_high": value + 1.96 * error,
        "average_precision": float(average_precision_score(y, p)),
        "ece": ece(y, p),
        "top_decile_lift": top_lift(y, p),
        **{f"gain_{percent}": gain(y, p, share=percent / 100) for percent in GAINS},
    }


def top_lift(y: np.ndarray, p: np.ndarray, *, share: float = 0.1) -> float:
    """How many times the average rate the riskiest share has."""
    return gain(y, p, share=share) / share


def gain(y: np.ndarray, p: np.ndarray, *, share: float) -> float:
    """The share of leavers among the riskiest `share` of rows; where its edge cuts through equal p, in proportion."""
    rows, left = ranked(y, p)
    return float(np.interp(share, rows / rows[-1], left / left[-1]))


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
    spread = [
        part.var(ddof=1) / part.size if part.size > 1 else 0.25
        for part in (of_positive, of_negative)
    ]
    return value, float(np.sqrt(sum(spread)))


def ece(y: np.ndarray, p: np.ndarray, *, bins: int = 10) -> float:
    """Expected calibration error: how far bins of rows are off, each weighted by its rows."""
    off = np.bincount(_bins(p, bins), weights=y.astype(float) - p)
    return float(abs(off).sum() / len(p))


def reliability(y: np.ndarray, p: np.ndarray, *, bins: int = 10) -> list[dict[str, float]]:
    """Per bin of rows, lowest p first: mean p, share that left, rows."""
    number = _bins(p, bins)
    parts = [number == at for at in np.unique(number)]
    return [
        {"p": float(p[part].mean()), "left": float(y[part].mean()), "rows": int(part.sum())}
        for part in parts
    ]


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
    """Log loss, ranked probability score over the stages in their order, accuracy and macro-F1 of the likeliest stage."""
    if not len(outcome):
        return {"rows": 0} | dict.fromkeys(
            ("log_loss", "ranked_probability_score", "accuracy", "macro_f1")
        )
    happened = np.arange(p.shape[1]) >= outcome[:, None]
    rps = ((np.cumsum(p, axis=1) - happened) ** 2)[:, :-1].sum(axis=1) / (p.shape[1] - 1)
    said = p.argmax(axis=1)
    return {
        "rows": len(outcome),
        "log_loss": float(stage_losses(outcome, p).mean()),
        "ranked_probability_score": float(rps.mean()),
        "accuracy": float((said == outcome).mean()),
        "macro_f1": macro_f1(outcome, said),
    }


def macro_f1(outcome: np.ndarray, said: np.ndarray) -> float:
    """The mean F1 of the stages that came, each counting alike: 2 · hits / (came + said).

    Over the stages that came, so that every model is measured on the same ones.
    """
    hits = np.bincount(outcome[outcome == said], minlength=outcome.max() + 1)
    came, told = (
        np.bincount(outcome),
        np.bincount(said, minlength=outcome.max() + 1)[: outcome.max() + 1],
    )
    there = came > 0
    return float((2 * hits[there] / (came + told)[there]).mean())


def resampled(lost: np.ndarray, customers: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Means of each column of `lost` (rows, k) in REPLICATES draws of customers with replacement, (REPLICATES, k).

    All rows of one customer move together, all columns move together, and the rows' order says nothing.
    """
    _, group = np.unique(customers, return_inverse=True)
    groups, rng = int(group.max()) + 1, np.random.default_rng(seed)
    sizes = np.bincount(group, minlength=groups)
    sums = np.stack(
        [np.bincount(group, weights=column, minlength=groups) for column in lost.T], axis=1
    )
    out = np.empty((REPLICATES, lost.shape[1]))
    for at in range(REPLICATES):
        times = np.bincount(rng.integers(0, groups, groups), minlength=groups)
        out[at] = (times @ sums) / (times @ sizes)
    return out


def paired(
    ours: np.ndarray, theirs: np.ndarray, customers: np.ndarray, *, seed: int = 0
) -> dict[str, float]:
    """Mean of ours − theirs with a 95 % interval from a bootstrap over customers; below 0 we lose less."""
    return paired_with({"": theirs}, ours, customers, seed=seed)[""]


def paired_with(
    theirs: dict[str, np.ndarray], ours: np.ndarray, customers: np.ndarray, *, seed: int = 0
) -> dict[str, dict[str, float]]:
    """`paired` with each of several, in the same draws of customers."""
    each = np.stack([ours - other for other in theirs.values()], axis=1)
    means = resampled(each, customers, seed=seed)
    return {name: interval(each[:, at].mean(), means[:, at]) for at, name in enumerate(theirs)}


def interval(value: float, means: np.ndarray) -> dict[str, float]:
    """A mean difference and the middle 95 % of its replicates."""
    low, high = np.quantile(means, (0.025, 0.975))
    return {"difference": float(value), "low": float(low), "high": float(high)}


def verdict(name: str, difference: dict[str, float]) -> str:
    """`better than recency by 0.0120 (0.0080 … 0.0160)`: in words, with the interval, in log loss."""
    value, low, high = (difference[of] for of in ("difference", "low", "high"))
    if high < -SAME:
        return f"better than {name} by {-value:.4f} ({-high:.4f} … {-low:.4f})"
    if low > SAME:
        return f"worse than {name} by {value:.4f} ({low:.4f} … {high:.4f})"
    return f"no better than {name}: {_signed(value)} ({_signed(low)} … {_signed(high)})"


def _signed(value: float) -> str:
    return "0.0000" if abs(value) < 5e-5 else f"{value:+.4f}"


def has_skill(churn: dict[str, Any]) -> bool:
    """Skill means that the interval of the AUROC lies above one half, among eligible if they can tell, else everyone."""
    known = [
        churn[who] for who in ("eligible", "everyone") if churn[who].get("auroc_low") is not None
    ]
    return bool(known) and known[0]["auroc_low"] > 0.5
