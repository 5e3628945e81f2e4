"""Figures that do not flatter: what is served is what is measured, and little skill is a sentence.

No skill (`metrics.has_skill`): the interval of the AUROC contains one half. Nearly none: better
than the base rate beyond the interval, but by less than NEARLY_NONE of its log loss (McFadden's
pseudo-R², McFadden 1974, is below it). The calibration error that is reported is that of the scores
that are served, and the gate refuses a release where its lower bound is above MAX_ECE.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from serving.scoring.scorer import Scorer
from training import metrics
from training.evaluation import reliability
from training.evaluation.baseline_comparison import MIN_CUSTOMERS, headline_population
from training.evaluation.gate_comparison import REFUSED
from training.formats import decimals, stored_percent

NEARLY_NONE = 0.02
MAX_ECE = 0.10
BASE_RATE = "base rate"


def served_churn_report(churn: Mapping[str, Any], served: Scorer, late: pa.Table) -> dict[str, Any]:
    """The churn section with the calibration of the scorer that is served, on the same rows.

    `churn`: the section by population. `late`: the evaluation rows. `ece_low` is the lower 95 %
    bound of the calibration error, None with too few customers or one outcome.
    """
    report = {}
    for who, figures in churn.items():
        rows = late if who == "everyone" else late.filter(late["eligible"])
        y = rows["churned"].to_numpy()
        own = dict(figures)
        if len(y):
            p = served.p_churn(rows)
            own |= {
                "calibration": reliability.calibration_report(rows, p),
                "reliability": reliability.reliability_bins(y, p),
                "ece": metrics.ece(y, p) if figures.get("auroc") is not None else None,
                "ece_low": ece_lower_bound(y, p, np.array(rows["customer_id"].to_pylist())),
            }
        report[who] = own
    return report


def ece_lower_bound(y: np.ndarray, p: np.ndarray, customers: np.ndarray) -> float | None:
    """The lower 95 % bound of the calibration error: 2 · ECE − the 97.5 % point of its draws.

    The draws are of customers with replacement (the basic bootstrap, Davison & Hinkley 1997): an
    ECE is too high by what chance adds, and each draw adds as much once more. None for fewer than
    MIN_CUSTOMERS customers, fewer than 100 rows, or one outcome.
    """
    too_few = len(np.unique(customers)) < MIN_CUSTOMERS or len(y) < reliability.MIN_ROWS
    if too_few or y.all() or not y.any():
        return None
    draws = metrics.bootstrap_ece(y, p, customers)
    return max(0.0, float(2 * metrics.ece(y, p) - np.quantile(draws, 0.975)))


def with_own_objections(gate: dict[str, Any], churn: Mapping[str, Any]) -> dict[str, Any]:
    """The gate's section with the objections that hold whatever is served, as `own`."""
    own = _own_objections(churn)
    if not own:
        return gate
    other = gate["why"] if gate["verdict"] == REFUSED else []
    return gate | {"verdict": REFUSED, "why": [*own, *other], "own": own}


def _own_objections(churn: Mapping[str, Any]) -> list[str]:
    who = headline_population(churn, figure="auroc")
    low = churn[who].get("ece_low") if who else None
    if who is None or low is None or low <= MAX_ECE:
        return []
    ece, least, most = map(stored_percent, (churn[who]["ece"], low, MAX_ECE))
    return [
        f"calibration error {ece} for {who}, at least {least} (95 % CI); more than {most} is not "
        "served: on the evaluation dates other shares left than the model predicted"
    ]


def skill_note(evaluation: Mapping[str, Any]) -> str | None:
    """A sentence where the churn model has no skill or nearly none, else None."""
    churn = evaluation["churn"]
    who = headline_population(churn, figure="auroc")
    if who is None or not metrics.has_skill(churn):
        return (
            "No skill: the churn model is not better than chance. Scores are the rates of eligible "
            "and of other customers, marked no_skill."
        )
    pair = (churn[who].get("paired_log_loss") or {}).get(BASE_RATE)
    base = churn[who]["baselines"].get(BASE_RATE)
    if pair is None or base is None or pair["high"] >= -metrics.NEGLIGIBLE:
        return None
    gain = -pair["difference"] / base["log_loss"]
    if gain >= NEARLY_NONE:
        return None
    return (
        f"Nearly no skill: the log loss of {who} is {decimals(churn[who]['log_loss'], 4)}, only "
        f"{stored_percent(gain)} below that of the base rate (under "
        f"{stored_percent(NEARLY_NONE)}). The scores hardly tell customers apart."
    )
