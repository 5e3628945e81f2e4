"""Kaplan–Meier: the share that has not ended yet, where some are only observed until now."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from features.indicators.intervals import Z, wilson

# The share is a product of rounded factors: it may miss one half by its last bits.
_ONE_HALF = 0.5 * (1 + 1e-12)


@dataclass(frozen=True)
class SurvivalCurve:
    """The curve at some times: share, its 95 % interval and how many are observed, (times,) each.

    share, low and high are NaN at times that nobody was observed for, unless all had ended before.
    """

    share: np.ndarray
    low: np.ndarray
    high: np.ndarray
    at_risk: np.ndarray


def survival_curve(duration: np.ndarray, ended: np.ndarray, times: np.ndarray) -> SurvivalCurve:
    """The share with a duration longer than each of `times` (Kaplan & Meier 1958).

    duration (rows,): until the end, or until now where `ended` (rows,) is False. The interval is
    Greenwood's on the scale of log(−log S); without an end yet, or after the last, it is Wilson's
    of those observed.
    """
    order = np.argsort(duration, kind="stable")
    duration, ended = duration[order], ended[order]
    moments, starts = np.unique(duration, return_index=True)
    at_risk = len(duration) - starts
    ends = np.add.reduceat(ended.astype(np.int64), starts) if len(starts) else starts
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.cumprod(1 - ends / at_risk)
        variance = np.cumsum(ends / (at_risk * (at_risk - ends)))
    place = np.searchsorted(moments, times, side="right") - 1
    before = place < 0
    place = np.maximum(place, 0)
    s = np.where(before, 1.0, share[place]) if len(share) else np.full(len(times), np.nan)
    v = np.where(before, 0.0, variance[place]) if len(share) else s
    observed = len(duration) - np.searchsorted(duration, times, side="left")
    low, high = _interval(s, v, observed, len(duration))
    known = (observed > 0) | (s == 0)
    s, low, high = (np.where(known, each, np.nan) for each in (s, low, high))
    return SurvivalCurve(s, low, high, observed)


def median_time(duration: np.ndarray, ended: np.ndarray) -> tuple[float, float, float]:
    """The first time by which half have ended, and the interval in which the curve's has one half.

    NaN where the curve does not fall so far. (Brookmeyer & Crowley 1982)
    """
    moments = np.unique(duration[ended])
    curve = survival_curve(duration, ended, moments)
    return (
        _first(moments, curve.share <= _ONE_HALF),
        _first(moments, curve.low <= _ONE_HALF),
        _first(moments, curve.high <= _ONE_HALF),
    )


def _first(moments: np.ndarray, reached: np.ndarray) -> float:
    return float(moments[np.argmax(reached)]) if reached.any() else float("nan")


def _interval(
    share: np.ndarray, variance: np.ndarray, observed: np.ndarray, everybody: int
) -> tuple[np.ndarray, np.ndarray]:
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = Z * np.sqrt(variance) / np.log(share)
        low, high = share ** np.exp(-spread), share ** np.exp(spread)
    none_low, _ = wilson(observed, observed)
    _, all_high = wilson(np.zeros(len(share)), np.full(len(share), everybody))
    low = np.where(share == 1, none_low, np.where(share == 0, 0.0, low))
    return low, np.where(share == 1, 1.0, np.where(share == 0, all_high, high))
