"""Calibration: does what is predicted happen, and how much of the error is chance or a moved rate?

An expected calibration error (ECE) is never 0: with few rows even the true p miss the rates of
their bins. `floor` tells how large it is when p is exactly true. `after_shift` tells what is left
when an oracle moves all log-odds by the one number that makes the mean right (a base rate that
moved); `after_platt` when it may change the slope too. Rows count as independent: where a customer
has rows at several as_of, intervals and floor are a little too narrow.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from features.core.instants import day_text
from features.recipes.stages import STAGES
from features.recipes.state_columns import tenure_us
from serving.scoring.parts import log_odds, sigmoid
from serving.scoring.scorer import stage_index
from training import metrics

MIN_ROWS = 100
DRAWS = 400
DRAW_BATCH = 200  # with many rows, so many batches of nearly equal p are drawn as one binomial each
TENURES = ("shortest third", "middle third", "longest third")
EDGE = 1e-12


def reliability_bins(y: np.ndarray, p: np.ndarray) -> list[dict[str, float]]:
    """Per tenth of the rows, lowest p first: `predicted`, `observed`, `rows`, `low`, `high`.

    The last two are the 95 % interval of the observed rate.
    """
    bins = metrics.reliability_bins(y, p)
    low, high = wilson_interval(
        np.array([b["observed"] * b["rows"] for b in bins]), np.array([b["rows"] for b in bins])
    )
    return [
        b | {"low": _rounded(a), "high": _rounded(z)}
        for b, a, z in zip(bins, low, high, strict=True)
    ]


def wilson_interval(count: Any, rows: Any) -> tuple[np.ndarray, np.ndarray]:
    """(low, high): the 95 % interval of count / rows (Wilson 1927), elementwise.

    `count` and `rows` are numbers or arrays; rows must be above 0.
    """
    z, share = 1.96, np.asarray(count) / rows
    middle = (share + z**2 / (2 * rows)) / (1 + z**2 / rows)
    half = z * np.sqrt(share * (1 - share) / rows + z**2 / (4 * rows**2)) / (1 + z**2 / rows)
    return np.clip(middle - half, 0, share), np.clip(middle + half, share, 1)


def calibration_report(rows: pa.Table, p: np.ndarray) -> dict[str, Any]:
    """`calibration_by_group` of labelled feature rows and their p (rows,).

    Tenure is the time since the first activity, or without one since cover began.
    """
    tenure = tenure_us(rows).astype(float)
    stage = stage_index(rows["stage"].to_numpy())
    return calibration_by_group(rows["churned"].to_numpy(), p, stage=stage, tenure=tenure)


def calibration_by_group(
    y: np.ndarray, p: np.ndarray, *, stage: np.ndarray, tenure: np.ndarray
) -> dict[str, Any]:
    """The calibration of p (rows,) for y (bool): overall, per stage and per third of tenure.

    `stage`: index in STAGES. `tenure`: any number that grows with it, NaN where unknown. Where
    there are fewer than MIN_ROWS rows or a single outcome, figures are None; `status` says why.
    """
    known = ~np.isnan(tenure)
    third = np.full(len(y), -1)
    third[known] = _thirds(tenure[known])
    by_stage = {
        STAGES[at]: calibration_figures(y[stage == at], p[stage == at]) for at in np.unique(stage)
    }
    by_tenure = {
        name: calibration_figures(y[third == at], p[third == at]) for at, name in enumerate(TENURES)
    }
    return {**calibration_figures(y, p), "stages": by_stage, "tenure": by_tenure}


def calibration_figures(y: np.ndarray, p: np.ndarray) -> dict[str, Any]:
    """rows, predicted (mean p), observed (rate with interval), ECE, its floor, and the oracles'."""
    out: dict[str, Any] = {"rows": len(y), "status": _status(y)}
    out |= dict.fromkeys(
        ("predicted", "observed", "low", "high", "ece", "floor", "after_shift", "after_platt")
    )
    if len(y):
        low, high = wilson_interval(y.sum(), len(y))
        out |= {
            "predicted": _rounded(p.mean()),
            "observed": _rounded(y.mean()),
            "low": _rounded(low),
            "high": _rounded(high),
        }
    if out["status"] == "ok":
        out |= {"ece": _rounded(metrics.ece(y, p)), "floor": ece_floor(y, p), **_oracles(y, p)}
    return out


def _status(y: np.ndarray) -> str:
    if len(y) < MIN_ROWS:
        return "too few"
    return "ok" if y.any() and not y.all() else "one outcome"


def ece_floor(y: np.ndarray, p: np.ndarray, *, seed: int = 0) -> dict[str, float]:
    """{"mean", "high"}: the ECE's mean and 95 % point if p were exactly true.

    From DRAWS simulated outcomes; of y only the length is used. Rows of one bin with nearly equal
    p are drawn as one binomial, at their mean p.
    """
    ordered = np.sort(p)
    sizes = [int(b["rows"]) for b in metrics.reliability_bins(y, p)]
    bin_of = np.repeat(np.arange(len(sizes)), sizes)
    batches = DRAW_BATCH if len(p) > 10 * DRAW_BATCH else len(p)
    batch_of = np.arange(len(p)) * batches // len(p)
    begin = np.flatnonzero(np.append(True, (np.diff(bin_of) > 0) | (np.diff(batch_of) > 0)))
    rows = np.diff(np.append(begin, len(p)))
    mean = np.clip(np.add.reduceat(ordered, begin) / rows, 0, 1)
    off = np.random.default_rng(seed).binomial(rows, mean, size=(DRAWS, len(rows))) - rows * mean
    ends = np.flatnonzero(np.append(True, np.diff(bin_of[begin]) > 0))
    drawn = abs(np.add.reduceat(off, ends, axis=1)).sum(axis=1) / len(p)
    return {"mean": _rounded(drawn.mean()), "high": _rounded(np.quantile(drawn, 0.95))}


def _oracles(y: np.ndarray, p: np.ndarray) -> dict[str, dict[str, float]]:
    """The ECE after the shift that makes the mean right, and after the best slope and shift."""
    from scipy.optimize import brentq

    margin = log_odds(np.clip(p, EDGE, 1 - EDGE))
    shift = float(brentq(lambda by: sigmoid(margin + by).mean() - y.mean(), -60, 60))
    slope, moved = _fit_slope_and_shift(margin, y, shift)
    left = [
        metrics.ece(y, sigmoid(np.clip(z, -500, 500)))
        for z in (margin + shift, slope * margin + moved)
    ]
    return {
        "after_shift": {"shift": _rounded(shift), "ece": _rounded(left[0])},
        "after_platt": {
            "slope": _rounded(slope),
            "shift": _rounded(moved),
            "ece": _rounded(left[1]),
        },
    }


def _fit_slope_and_shift(margin: np.ndarray, y: np.ndarray, shift: float) -> tuple[float, float]:
    """(slope, shift) of the least log loss; the search begins at slope 1 and the given shift."""
    from scipy.optimize import minimize

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        z = theta[0] * margin + theta[1]
        slack = sigmoid(np.clip(z, -500, 500)) - y
        value = (np.logaddexp(0.0, z) - np.where(y, z, 0.0)).mean()
        return float(value), np.array([(slack * margin).mean(), slack.mean()])

    fitted = minimize(
        loss, np.array([1.0, shift]), jac=True, method="L-BFGS-B", bounds=[(0, 20), (-60, 60)]
    )
    slope, moved = (float(x) for x in fitted.x)
    return slope, moved


def _thirds(tenure: np.ndarray) -> np.ndarray:
    """0, 1 or 2 per row, thirds of the rows; equal tenures share a third."""
    from scipy.stats import rankdata

    return ((rankdata(tenure) - 0.5) * len(TENURES) / max(1, len(tenure))).astype(int)


def rates_by_date(rows: pa.Table, *, zone: str) -> list[dict[str, Any]]:
    """Per as_of of labelled rows, oldest first: date, split, and the churn rate by population.

    Each population has its rows and the rate with its 95 % interval `low`, `high`; these three are
    None where it has no rows.
    """
    at, churned = rows["as_of"].to_numpy(), rows["churned"].to_numpy().astype(bool)
    eligible, split = rows["eligible"].to_numpy().astype(bool), rows["split"].to_numpy()
    out = []
    for instant in np.unique(at):
        here = at == instant
        date = {"as_of": day_text(int(instant), zone=zone), "split": str(split[here][0])}
        masks = {"everyone": here, "eligible": here & eligible}
        out.append({**date, **{who: _rate(churned[m]) for who, m in masks.items()}})
    return out


def _rate(churned: np.ndarray) -> dict[str, float | None]:
    if not len(churned):
        return {"rows": 0, "rate": None, "low": None, "high": None}
    low, high = wilson_interval(churned.sum(), len(churned))
    return {
        "rows": len(churned),
        "rate": _rounded(churned.mean()),
        "low": _rounded(low),
        "high": _rounded(high),
    }


def _rounded(value: float | np.ndarray) -> float:
    return round(float(value), 6)
