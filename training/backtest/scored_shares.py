"""A validation estimate for everyone, weighed by the shares of the day that is scored.

Those who are not eligible are long gone, so their scores are nearly certain: where their share
grows, everybody's log loss falls although no score is better. The share of the scored day is known
when it is scored. Post-stratification into two strata (Holt and Smith 1979, JRSS A 142).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

Report = dict[str, Any]


def weigh_by_scored_shares(validation: Report, scored: Mapping[str, Any]) -> Report:
    """`validation` with the log losses of everyone as of the shares of eligible in `scored`.

    Both are {section: {population: {rows, log_loss, log_loss_error}}}. Unchanged where a day has
    no eligible rows, or no others. `unweighed_log_loss` holds what it was.
    """
    weighed: Report = dict(validation)
    for section in ("churn", "next_stage"):
        share = _eligible_share(scored[section])
        everyone, eligible = (validation[section][who] for who in ("everyone", "eligible"))
        if share is None or _eligible_share(validation[section]) is None:
            continue
        mean, error = _mean_and_error(everyone, eligible, share)
        figures = {"log_loss": mean, "log_loss_error": error}
        weighed[section] = {
            **validation[section],
            "everyone": {**everyone, **figures, "unweighed_log_loss": everyone["log_loss"]},
        }
    return weighed


def _eligible_share(section: Mapping[str, Any]) -> float | None:
    """The share of eligible among everyone; None where either stratum has fewer than two rows."""
    everyone, eligible = section["everyone"]["rows"], section["eligible"]["rows"]
    if eligible < 2 or everyone - eligible < 2:
        return None
    return float(eligible / everyone)


def _mean_and_error(
    everyone: Mapping[str, Any], eligible: Mapping[str, Any], share: float
) -> tuple[float, float]:
    """The mean of the two strata at this share of eligible, and its standard error."""
    n, m = everyone["rows"], eligible["rows"]
    others = n - m
    rest = (n * everyone["log_loss"] - m * eligible["log_loss"]) / others
    # Sums of squares about the means: all = within eligible + within the others + between them.
    squares, within = (
        each["rows"] * (each["rows"] - 1) * each["log_loss_error"] ** 2
        for each in (everyone, eligible)
    )
    between = m * others / n * (eligible["log_loss"] - rest) ** 2
    of_rest = max(squares - within - between, 0.0) / (others * (others - 1))
    error = np.hypot(share * eligible["log_loss_error"], (1 - share) * np.sqrt(of_rest))
    return share * eligible["log_loss"] + (1 - share) * rest, float(error)
