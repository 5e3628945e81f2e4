"""Calibration: monotone, last, fitted on predictions for rows whose customer was left out, at the newest date.

Platt's p = sigmoid(slope · margin + shift), drawn towards slope 1 and shift 0 so that few rows move it little.
"""

from __future__ import annotations

import numpy as np

from serving.scorer import Calibration

SLOPE_SPREAD, SHIFT_SPREAD = 0.25, 0.75
LEAST_SLOPE = 0.05


def fit(margin: np.ndarray, churned: np.ndarray) -> Calibration:
    """Maximum a posteriori slope and shift for left-out log-odds `margin` (rows,) and outcomes (rows,)."""
    from scipy.optimize import minimize

    if not churned.any() or churned.all():
        return Calibration()

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        slope, shift = theta
        z = slope * margin + shift
        value = np.logaddexp(0.0, z).sum() - z[churned].sum()
        value += 0.5 * ((slope - 1) / SLOPE_SPREAD) ** 2 + 0.5 * (shift / SHIFT_SPREAD) ** 2
        slack = 1 / (1 + np.exp(-np.clip(z, -500, 500))) - churned
        prior = np.array([(slope - 1) / SLOPE_SPREAD**2, shift / SHIFT_SPREAD**2])
        return float(value), np.array([slack @ margin, slack.sum()]) + prior

    found = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=[(LEAST_SLOPE, 5), (-5, 5)])
    return Calibration(float(found.x[0]), float(found.x[1]))
