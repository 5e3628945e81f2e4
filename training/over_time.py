"""What a training says of time: the evaluation of the curve and of lifetime value."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from features.core.settings import Settings
from training.curve import evaluated_curve
from training.evaluation.curve import evaluate_curve
from training.examples import Examples
from training.plan import Plan
from training.value import value_report


def over_time_report(
    train: pa.Table,
    p: np.ndarray,
    test: pa.Table,
    p_test: np.ndarray,
    examples: Examples,
    plan: Plan,
    settings: Settings,
) -> dict[str, Any]:
    """{"curve": …, "value": …}: those of the training rows, judged on the evaluation dates.

    p, p_test: P(churn) of both, from a fit that had not seen the row.
    """
    curve, events = evaluated_curve(train, p, examples, plan, settings)
    return {
        "curve": evaluate_curve(curve, train, events, test, p_test, examples),
        "value": value_report(train, p, curve, test, p_test, examples, plan, settings),
    }
