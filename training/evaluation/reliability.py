"""Does what we say happen? Calibration beside what chance alone would leave, and beside the rate's own history.

An expected calibration error (ECE) is never 0: with few rows even the true p miss their bins' shares. `floor` says how
large it is when p is exactly true; `after_shift` what is left when an oracle moves all log-odds by the one number that
makes the mean right (a base rate that moved); `after_platt` when it may bend the slope too. Rows count as independent:
where a customer stands in several as_of, intervals and floor are a little too narrow.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from features.core.instants import day_text
from features.recipes.stages import STAGES
from serving.scoring.parts import log_odds, sigmoid
from serving.scoring.scorer import stage_index
from training import metrics

FEWEST = 100
DRAWS = 400
STRANDS = 200  # rows of nearly equal p are drawn together
TENURES = ("shortest third", "middle third", "longest third")
EDGE = 1e-12


def bins(y: np.ndarray, p: np.ndarray) -> list[dict[str, float]]:
    """Per tenth of the rows, lowest p first: mean p, share that left with its 95 % interval `low`, `high`, and rows."""
    found = metrics.reliability(y, p)
    low, high = wilson(
        np.array([b["left"] * b["rows"] for b in found]), np.array([b["rows"] for b in found])
    )
    return [
        b | {"low": _short(a), "high": _short(z)} for b, a, z in zip(found, low, high, strict=True)
    ]


def wilson(count: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(low, high): Wilson's 95 % interval of count / rows, elementwise; rows must be above 0."""
    z, share = 1.96, np.asarray(count) / rows
    middle = (share + z**2 / (2 * rows)) / (1 + z**2 / rows)
    half = z * np.sqrt(share * (1 - share) / rows + z**2 / (4 * rows**2)) / (1 + z**2 / rows)
    return np.clip(middle - half, 0, share), np.clip(middle + half, share, 1)


def account(rows: pa.Table, p: np.ndarray) -> dict[str, Any]:
    """`about` of labelled feature rows and what was said of them: tenure is the time since the first activity."""
    tenure = rows["as_of"].to_numpy() - rows["first_at"].to_numpy().astype(float)
    return about(
        rows["churned"].to_numpy(), p, stage=stage_index(rows["stage"].to_numpy()), tenure=tenure
    )


def about(y: np.ndarray, p: np.ndarray, *, stage: np.ndarray, tenure: np.ndarray) -> dict[str, Any]:
    """The calibration of p (rows,) for y (bool), as a whole, per stage (index in STAGES) and per third of tenure.

    `tenure`: any number that grows with it, NaN where unknown. Where there are fewer than FEWEST rows, or one outcome
    alone, figures are None and `told` says why.
    """
    known = ~np.isnan(tenure)
    third = np.full(len(y), -1)
    third[known] = _thirds(tenure[known])
    return {
        **figures(y, p),
        "stages": {STAGES[at]: figures(y[stage == at], p[stage == at]) for at in np.unique(stage)},
        "tenure": {
            name: figures(y[third == at], p[third == at]) for at, name in enumerate(TENURES)
        },
    }


def figures(y: np.ndarray, p: np.ndarray) -> dict[str, Any]:
    """rows, said (mean p), left (share with interval), ECE, its floor, and what oracles would leave of it."""
    out: dict[str, Any] = {"rows": len(y), "told": _told(y)}
    out |= dict.fromkeys(
        ("said", "left", "low", "high", "ece", "floor", "after_shift", "after_platt")
    )
    if len(y):
        low, high = wilson(y.sum(), len(y))
        out |= {
            "said": _short(p.mean()),
            "left": _short(y.mean()),
            "low": _short(low),
            "high": _short(high),
        }
    if out["told"] == "ok":
        out |= {"ece": _short(metrics.ece(y, p)), "floor": floor(y, p), **_oracles(y, p)}
    return out


def _told(y: np.ndarray) -> str:
    if len(y) < FEWEST:
        return "too few"
    return "ok" if y.any() and not y.all() else "one outcome"


def floor(y: np.ndarray, p: np.ndarray, *, seed: int = 0) -> dict[str, float]:
    """{"mean", "high"}: the ECE's mean and 95 % point if p were exactly true; y is not looked at but for its length.

    By DRAWS drawn outcomes. Rows of one bin with nearly equal p are drawn as one binomial, at their mean p.
    """
    ordered = np.sort(p)
    sizes = [b["rows"] for b in metrics.reliability(y, p)]
    of_bin, strands = (
        np.repeat(np.arange(len(sizes)), sizes),
        STRANDS if len(p) > 10 * STRANDS else len(p),
    )
    strand = np.arange(len(p)) * strands // len(p)
    begin = np.flatnonzero(np.append(True, (np.diff(of_bin) > 0) | (np.diff(strand) > 0)))
    rows = np.diff(np.append(begin, len(p)))
    mean = np.clip(np.add.reduceat(ordered, begin) / rows, 0, 1)
    off = np.random.default_rng(seed).binomial(rows, mean, size=(DRAWS, len(rows))) - rows * mean
    ends = np.flatnonzero(np.append(True, np.diff(of_bin[begin]) > 0))
    drawn = abs(np.add.reduceat(off, ends, axis=1)).sum(axis=1) / len(p)
    return {"mean": _short(drawn.mean()), "high": _short(np.quantile(drawn, 0.95))}


def _oracles(y: np.ndarray, p: np.ndarray) -> dict[str, dict[str, float]]:
    """What is left of the ECE after the shift that makes the mean right, and after the likeliest slope and shift."""
    from scipy.optimize import brentq, minimize

    margin = log_odds(np.clip(p, EDGE, 1 - EDGE))
    shift = float(brentq(lambda by: sigmoid(margin + by).mean() - y.mean(), -60, 60))

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        said = theta[0] * margin + theta[1]
        slack = sigmoid(np.clip(said, -500, 500)) - y
        value = (np.logaddexp(0.0, said) - np.where(y, said, 0.0)).mean()
        return float(value), np.array([(slack * margin).mean(), slack.mean()])

    found = minimize(
        loss, np.array([1.0, shift]), jac=True, method="L-BFGS-B", bounds=[(0, 20), (-60, 60)]
    )
    slope, moved = (float(x) for x in found.x)
    left = [
        metrics.ece(y, sigmoid(np.clip(z, -500, 500)))
        for z in (margin + shift, slope * margin + moved)
    ]
    return {
        "after_shift": {"shift": _short(shift), "ece": _short(left[0])},
        "after_platt": {"slope": _short(slope), "shift": _short(moved), "ece": _short(left[1])},
    }


def _thirds(tenure: np.ndarray) -> np.ndarray:
    """0, 1 or 2 per row, thirds of the rows; equal tenures stand together."""
    from scipy.stats import rankdata

    return ((rankdata(tenure) - 0.5) * len(TENURES) / max(1, len(tenure))).astype(int)


def rates(rows: pa.Table, *, zone: str) -> list[dict[str, Any]]:
    """Per as_of of labelled rows, oldest first: its date, split, and of each population rows and share that left.

    Each share has its 95 % interval `low`, `high`; all three are None where nobody is.
    """
    at, churned = rows["as_of"].to_numpy(), rows["churned"].to_numpy().astype(bool)
    eligible, split = rows["eligible"].to_numpy().astype(bool), rows["split"].to_numpy()
    out = []
    for instant in np.unique(at):
        here = at == instant
        told = {
            who: _rate(churned[m]) for who, m in (("everyone", here), ("eligible", here & eligible))
        }
        out.append(
            {"as_of": day_text(int(instant), zone=zone), "split": str(split[here][0]), **told}
        )
    return out


def _rate(churned: np.ndarray) -> dict[str, float | None]:
    if not len(churned):
        return {"rows": 0, "rate": None, "low": None, "high": None}
    low, high = wilson(churned.sum(), len(churned))
    return {
        "rows": len(churned),
        "rate": _short(churned.mean()),
        "low": _short(low),
        "high": _short(high),
    }


def _short(value: float) -> float:
    return round(float(value), 6)
