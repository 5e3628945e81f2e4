"""What a backtest found: each date, the worst, mean and spread, what was promised before, age, and stability.

Aggregates only. Standard errors are of rows: one date has one row a customer. The difference between a validation
estimate and later truth is counted in errors of both, as if of different customers; many are the same, so the count errs
towards small. Outcome windows of dates nearer than a horizon overlap: intervals of means over dates are taken from as
many windows as follow one another, and are wide where those are few.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from features.core.instants import DAY_US
from features.core.settings import Settings
from features.recipes.stages import STAGES
from serving.scoring.scorer import stage_index
from training import metrics
from training.backtest import coverage
from training.backtest.aging import decay, populations, stability
from training.backtest.predictions_store import Kept

# (section, figure): 1 where more is better.
FIGURES = {
    ("churn", "auroc"): 1,
    ("churn", "log_loss"): -1,
    ("churn", "ece"): -1,
    ("next_stage", "log_loss"): -1,
}
KEPT = ("rows", "rate", "auroc", "auroc_low", "auroc_high", "log_loss", "ece", "top_decile_lift")
DRAWS, SEVERAL = 400, 3


def figures(rows: pa.Table, p: np.ndarray, p_next: np.ndarray) -> dict[str, Any]:
    """{"churn": {who: …}, "next_stage": {who: …}}: figures of scores beside what came, each with its standard error."""
    y, outcome = rows["churned"].to_numpy(), stage_index(rows["outcome_stage"].to_numpy())
    masks = populations(rows)
    return {
        "churn": {who: _churn(y[m], p[m]) for who, m in masks.items()},
        "next_stage": {who: _stages(outcome[m], p_next[m]) for who, m in masks.items()},
    }


def _churn(y: np.ndarray, p: np.ndarray) -> dict[str, Any]:
    found = {name: value for name, value in metrics.churn_metrics(y, p).items() if name in KEPT}
    found |= {
        "said": float(p.mean()) if len(p) else None,
        "log_loss_error": None,
        "auroc_error": None,
        "ece_error": None,
    }
    if len(y) > 1:
        found["log_loss_error"] = _error(metrics.losses(y, p))
    if found["auroc"] is not None:
        found |= {"auroc_error": metrics.auroc(y, p)[1], "ece_error": _ece_error(y, p)}
    return found


def _ece_error(y: np.ndarray, p: np.ndarray) -> float:
    """Standard deviation of the ECE when the leavers of each bin are drawn anew at the bin's rate."""
    bins = metrics.reliability(y, p)
    rows, said, left = (
        np.array([b[key] for b in bins], dtype=float) for key in ("rows", "p", "left")
    )
    drawn = (
        np.random.default_rng(0).binomial(rows.astype(int), left, size=(DRAWS, len(bins))) / rows
    )
    return float((abs(drawn - said) @ rows / rows.sum()).std())


def _stages(outcome: np.ndarray, p: np.ndarray) -> dict[str, Any]:
    found = {name: _finite(value) for name, value in metrics.stage_metrics(outcome, p).items()}
    lost = metrics.stage_losses(outcome, p)
    return found | {"log_loss_error": _finite(_error(lost)) if len(lost) > 1 else None}


def _error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def _finite(value: float | None) -> float | None:
    return value if value is not None and np.isfinite(value) else None


def account(
    found: Sequence[Kept], settings: Settings, *, name: str, warnings: Sequence[str] = ()
) -> dict[str, Any]:
    """The account of the finished dates, oldest first; None for what the dates cannot tell."""
    able = [one for one in found if one.predictions is not None]
    dates = [_date(one) for one in able]
    told = {
        "backtest": name,
        "horizon_days": settings.churn.horizon_days,
        "dates": dates,
        "left_out": [
            {"as_of": one.about["as_of"], "why": one.about["why"]}
            for one in found
            if one.predictions is None
        ],
        "windows": _windows(dates, settings),
        "warnings": list(warnings),
    }
    told["summary"] = _everywhere(
        lambda section, who, figure: _summary(dates, section, who, figure)
    )
    told["validation"] = _everywhere(
        lambda section, who, figure: _validation(told, section, who, figure)
    )
    told |= {
        "held": coverage.summary(dates),
        "decay": decay(able),
        "stability": [stability(a, b) for a, b in pairwise(able)],
    }
    who = _headline(told)
    return told | {"headline_population": who, "verdict": _verdict(told, who)}


def _everywhere(of: Any) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for section, figure in FIGURES:
        for who in metrics.POPULATIONS:
            out.setdefault(section, {}).setdefault(who, {})[figure] = of(section, who, figure)
    return out


def _date(one: Kept) -> dict[str, Any]:
    """A date's truth beside its validation estimate; `difference`: truth − estimate, and in standard errors."""
    p_next = np.column_stack([one.predictions[f"p_next_{stage}"].to_numpy() for stage in STAGES])
    truth = figures(one.predictions, one.predictions["p_churn"].to_numpy(), p_next)
    said = one.about["validation"]
    return {
        **one.about,
        **truth,
        "difference": _everywhere(lambda *at: _difference(truth, said, *at)),
    }


def _difference(
    truth: dict[str, Any], said: dict[str, Any], section: str, who: str, figure: str
) -> dict[str, Any] | None:
    now, then = truth[section][who], said[section][who]
    if now[figure] is None or then[figure] is None:
        return None
    errors = [each[f"{figure}_error"] or 0.0 for each in (now, then)]
    difference, error = now[figure] - then[figure], float(np.hypot(*errors))
    return {"difference": difference, "errors": difference / error if error else None}


def _windows(dates: Sequence[dict[str, Any]], settings: Settings) -> int:
    """How many outcome windows of these dates follow one another without overlap."""
    span, ends, count = settings.churn.horizon_days * DAY_US - DAY_US // 12, None, 0
    for one in dates:
        if ends is None or one["at"] >= ends:  # an hour or two of summer time is no overlap
            ends, count = one["at"] + span, count + 1
    return count


def _summary(
    dates: Sequence[dict[str, Any]], section: str, who: str, figure: str
) -> dict[str, Any] | None:
    """Mean, spread (standard deviation between dates), best and worst with their dates."""
    known = [
        (one[section][who][figure], one["as_of"])
        for one in dates
        if one[section][who][figure] is not None
    ]
    if not known:
        return None
    order = sorted(known, key=lambda pair: (FIGURES[section, figure] * pair[0], pair[1]))
    values = np.array([value for value, _ in known])
    (worst, worst_as_of), (best, best_as_of) = order[0], order[-1]
    return {
        "dates": len(known),
        "mean": float(values.mean()),
        "spread": float(values.std(ddof=1)) if len(known) > 1 else None,
        "worst": worst,
        "worst_as_of": worst_as_of,
        "best": best,
        "best_as_of": best_as_of,
    }


def _validation(told: dict[str, Any], section: str, who: str, figure: str) -> dict[str, Any] | None:
    """Truth − estimate over the dates: median |difference| in errors, share within two, mean with its 95 % interval."""
    known = [found for one in told["dates"] if (found := one["difference"][section][who][figure])]
    if not known:
        return None
    off = abs(np.array([found["errors"] for found in known if found["errors"] is not None]))
    values = np.array([found["difference"] for found in known])
    low, high = _interval(values, min(told["windows"], len(known)))
    return {
        "dates": len(known),
        "median_errors": float(np.median(off)) if off.size else None,
        "within_two": float((off <= 2).mean()) if off.size else None,
        "mean_difference": float(values.mean()),
        "low": low,
        "high": high,
    }


def _interval(values: np.ndarray, windows: int) -> tuple[float | None, float | None]:
    """Student's 95 % interval of the mean, as if of `windows` values; (None, None) of fewer than two."""
    from scipy.stats import t

    if windows < 2:
        return None, None
    half = float(t.ppf(0.975, windows - 1) * values.std(ddof=1) / np.sqrt(windows))
    return float(values.mean()) - half, float(values.mean()) + half


def _headline(told: dict[str, Any]) -> str:
    return "eligible" if told["summary"]["churn"]["eligible"]["auroc"] else "everyone"


def _verdict(told: dict[str, Any], who: str) -> str:
    """One sentence on level, promise, age and stability."""
    found, said = (
        told["summary"]["churn"][who]["auroc"],
        told["validation"]["churn"][who]["log_loss"],
    )
    parts = [f"no date with both outcomes among {who}"]
    if found:
        parts = [
            f"AUROC of {who} customers {found['mean']:.3f} on average of {found['dates']} dates, {found['worst']:.3f} at worst "
            f"({found['worst_as_of']})"
        ]
    if said and said["median_errors"] is not None:
        parts.append(
            f"log loss was {said['median_errors']:.1f} standard errors from its validation estimate in the median, "
            f"{bias(said)}"
        )
    if age := _told_age(told, who):
        months, lost = age["months"], age[who]["difference"]
        parts.append(
            f"a model {months:g} months old loses {lost:+.4f} log loss against a fresh one"
        )
    kept = [
        one[who]["top_decile_overlap"]
        for one in told["stability"]
        if one[who]["top_decile_overlap"] is not None
    ]
    if kept:
        parts.append(
            f"the riskiest tenth overlaps by {np.mean(kept):.0%} from one date to the next"
        )
    return "; ".join(parts) + "."


def _told_age(told: dict[str, Any], who: str) -> dict[str, Any] | None:
    """The oldest age seen on SEVERAL dates, else the oldest: one date says little."""
    known = [age for age in told["decay"] if age[who]]
    return ([age for age in known if age["pairs"] >= SEVERAL] or known or [None])[-1]


def bias(said: dict[str, Any]) -> str:
    """What the mean of truth − estimate of a loss says, in words."""
    if said["low"] is None:
        return "too few windows to tell a bias"
    if said["low"] <= 0 <= said["high"]:
        return "without a bias that shows"
    return "and the estimate flatters" if said["low"] > 0 else "and the estimate is too strict"


def tracked(told: dict[str, Any]) -> dict[str, float]:
    """For the tracking store: `<population>_<section>_<figure>_<mean, spread, worst>`, and how far the estimates were off."""
    out = {}
    for section, figure in FIGURES:
        for who in metrics.POPULATIONS:
            name = f"{who}_{section}_{figure}"
            for under, ends in (
                ("summary", ("mean", "spread", "worst")),
                ("validation", ("median_errors", "mean_difference")),
            ):
                found = told[under][section][who][figure] or {}
                out |= {f"{name}_{end}": found[end] for end in ends if found.get(end) is not None}
    return out | coverage.tracked(told["held"])


def by_date(told: dict[str, Any]) -> tuple[tuple[str, float, int], ...]:
    return tuple(_by_date(told))


def _by_date(told: dict[str, Any]) -> Iterator[tuple[str, float, int]]:
    for one in told["dates"]:
        for section, figure in FIGURES:
            for who in metrics.POPULATIONS:
                if (value := one[section][who][figure]) is not None:
                    yield f"by_date/{who}_{section}_{figure}", float(value), int(one["at"])
