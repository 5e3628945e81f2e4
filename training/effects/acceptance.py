"""γ as a campaign measured it: of those who would have left, the share that the action kept.

    γ = (share kept of the treated − share kept of the held out) / risk

risk: the mean of the scores of the day, where a plan has them, because the configuration multiplies
γ by the score; else the share of the held out who left.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from training.effects.difference import Difference, Z


@dataclass(frozen=True)
class Accepted:
    """share: γ, below 0 where fewer stayed. low, high: its 95 % interval. n: how many customers a
    plain count would need for an interval as wide, None where γ is no share.
    """

    share: float
    low: float
    high: float
    n: int | None

    def report(self) -> dict[str, float | int | None]:
        """For JSON; n is that of `acceptance = { mean, n }` in the configuration."""
        return {"share": self.share, "low": self.low, "high": self.high, "n": self.n}


def measured_acceptance(kept: Difference, risk: np.ndarray | None) -> Accepted | None:
    """γ of the customers of `kept`; None where nobody would have left.

    risk (n,): their scores, NaN where there is none; None without scores. A risk that was counted
    widens the interval: as far as it can, because its covariance with the adjusted difference is
    not known.
    """
    share, variance = 1.0 - kept.held_out, 0.0
    if risk is not None and np.isfinite(risk).any():
        share = float(np.nanmean(risk))
    elif kept.n_held_out:
        variance = share * (1 - share) / kept.n_held_out
    if share <= 0:
        return None
    gamma = kept.value / share
    # Of γ = d / r: var d + γ² var r − 2 γ cov(d, r), with a covariance between 0 and var r.
    widest = gamma**2 - 2 * min(gamma, 0.0)
    error = math.sqrt(kept.error**2 + widest * variance) / share
    n = None
    if 0 < gamma < 1 and error > 0:
        n = max(1, round(gamma * (1 - gamma) / error**2))
    return Accepted(gamma, gamma - Z * error, gamma + Z * error, n)
