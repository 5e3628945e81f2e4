"""The report of a backtest: each date, the levels, the validation's error, age, and stability.

Aggregates only. Standard errors are over rows: one date has one row per customer. The difference
between a validation estimate and the later truth is counted in errors of both, as if they were of
different customers; many are the same, so the count is too small rather than too large. Estimates
for everyone are weighed by the scored day's share of eligible customers (`scored_shares`). Outcome
windows of dates nearer than a horizon overlap. Intervals of means over dates are therefore computed
from as many windows as follow one another, and are wide where those are few.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from features.core.instants import DAY_US
from features.core.settings import Settings
from features.recipes.stages import STAGES
from training import metrics
from training.backtest import coverage, dated_curve, dated_value
from training.backtest.aging import decay_by_age, score_stability
from training.backtest.date_metrics import score_metrics
from training.backtest.predictions_store import DatePredictions
from training.backtest.scored_shares import weigh_by_scored_shares
from training.formats import decimals, signed, stored_percent

Report = dict[str, Any]
# (section, figure): 1 where more is better.
FIGURES = {
    ("churn", "auroc"): 1,
    ("churn", "log_loss"): -1,
    ("churn", "ece"): -1,
    ("next_stage", "log_loss"): -1,
}
# An age seen on fewer dates says little.
ENOUGH_DATES = 3


def build_report(
    results: Sequence[DatePredictions],
    settings: Settings,
    *,
    name: str,
    warnings: Sequence[str] = (),
) -> Report:
    """The report of finished dates, oldest first; None for what the dates cannot show."""
    predicted = [result for result in results if result.predictions is not None]
    dates = [_date(result) for result in predicted]
    windows = _windows(dates, settings)
    report: Report = {
        "backtest": name,
        "horizon_days": settings.churn.horizon_days,
        "dates": dates,
        "skipped": [
            {"as_of": result.metadata["as_of"], "why": result.metadata["why"]}
            for result in results
            if result.predictions is None
        ],
        "windows": windows,
        "warnings": list(warnings),
        "summary": _each_figure(lambda *figure: _summary(dates, *figure)),
        "validation": _each_figure(lambda *figure: _validation(dates, windows, *figure)),
        "coverage": coverage.summarise_coverage(dates),
        "curve": dated_curve.pool_curves(dates),
        "value": dated_value.pool_values(dates),
        "decay": decay_by_age(predicted),
        "stability": [score_stability(a, b) for a, b in pairwise(predicted)],
    }
    who = "eligible" if report["summary"]["churn"]["eligible"]["auroc"] else "everyone"
    return report | {"headline_population": who, "verdict": _verdict(report, who)}


def _each_figure(compute: Callable[[str, str, str], Any]) -> Report:
    """{section: {population: {figure: …}}} of `compute(section, population, figure)`."""
    out: Report = {}
    for section, figure in FIGURES:
        for who in metrics.POPULATIONS:
            out.setdefault(section, {}).setdefault(who, {})[figure] = compute(section, who, figure)
    return out


def _date(result: DatePredictions) -> Report:
    """A date's true figures, its validation estimate, and the difference truth − estimate."""
    rows = result.predictions
    p_next = np.column_stack([rows[f"p_next_{stage}"].to_numpy() for stage in STAGES])
    truth = score_metrics(rows, rows["p_churn"].to_numpy(), p_next)
    estimate = weigh_by_scored_shares(result.metadata["validation"], truth)
    difference = _each_figure(lambda *figure: _difference(truth, estimate, *figure))
    return {**result.metadata, **truth, "estimate": estimate, "difference": difference}


def _difference(
    truth: Report, validation: Report, section: str, who: str, figure: str
) -> Report | None:
    """`difference`: truth − estimate; `errors`: the same in standard errors."""
    true, estimate = truth[section][who], validation[section][who]
    if true[figure] is None or estimate[figure] is None:
        return None
    errors = [each[f"{figure}_error"] or 0.0 for each in (true, estimate)]
    difference, error = true[figure] - estimate[figure], float(np.hypot(errors[0], errors[1]))
    return {"difference": difference, "errors": difference / error if error else None}


def _windows(dates: Sequence[Report], settings: Settings) -> int:
    """How many outcome windows of these dates follow one another without overlap."""
    # Two hours less: a change to summer time is no overlap.
    span = settings.churn.horizon_days * DAY_US - DAY_US // 12
    end, windows = None, 0
    for date in dates:
        if end is None or date["at"] >= end:
            end, windows = date["at"] + span, windows + 1
    return windows


def _summary(dates: Sequence[Report], section: str, who: str, figure: str) -> Report | None:
    """Mean, spread (standard deviation between dates), best and worst with their dates."""
    known = [
        (date[section][who][figure], date["as_of"])
        for date in dates
        if date[section][who][figure] is not None
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


def _validation(
    dates: Sequence[Report], windows: int, section: str, who: str, figure: str
) -> Report | None:
    """Truth − estimate over the dates.

    Median |difference| in errors, share within two errors, mean with its 95 % interval.
    """
    known = [one for date in dates if (one := date["difference"][section][who][figure])]
    if not known:
        return None
    errors = abs(np.array([one["errors"] for one in known if one["errors"] is not None]))
    values = np.array([one["difference"] for one in known])
    low, high = _interval(values, min(windows, len(known)))
    return {
        "dates": len(known),
        "median_errors": float(np.median(errors)) if errors.size else None,
        "within_two": float((errors <= 2).mean()) if errors.size else None,
        "mean_difference": float(values.mean()),
        "low": low,
        "high": high,
    }


def _interval(values: np.ndarray, windows: int) -> tuple[float | None, float | None]:
    """Student's 95 % interval of the mean as if of `windows` values; (None, None) under two."""
    from scipy.stats import t

    if windows < 2:
        return None, None
    half = float(t.ppf(0.975, windows - 1) * values.std(ddof=1) / np.sqrt(windows))
    return float(values.mean()) - half, float(values.mean()) + half


def _verdict(report: Report, who: str) -> str:
    """One sentence on level, validation, age and stability."""
    parts = [
        _level_text(report, who),
        _validation_text(report, who),
        _age_text(report, who),
        _overlap_text(report, who),
    ]
    return "; ".join(part for part in parts if part) + "."


def _level_text(report: Report, who: str) -> str:
    level = report["summary"]["churn"][who]["auroc"]
    if not level:
        return f"no date with both outcomes among {who}"
    return (
        f"AUROC of {who} customers {decimals(level['mean'])} on average of {level['dates']} "
        f"dates, {decimals(level['worst'])} at worst ({level['worst_as_of']})"
    )


def _validation_text(report: Report, who: str) -> str:
    validation = report["validation"]["churn"][who]["log_loss"]
    if not validation or validation["median_errors"] is None:
        return ""
    return (
        f"log loss was {validation['median_errors']:.1f} standard errors from its validation "
        f"estimate in the median, {bias_text(validation)}"
    )


def _age_text(report: Report, who: str) -> str:
    """The oldest age seen on ENOUGH_DATES dates, else the oldest."""
    known = [age for age in report["decay"] if age[who]]
    if not known:
        return ""
    age = ([age for age in known if age["pairs"] >= ENOUGH_DATES] or known)[-1]
    lost = signed(age[who]["difference"])
    return f"a model {age['months']:g} months old loses {lost} log loss against a fresh one"


def _overlap_text(report: Report, who: str) -> str:
    overlaps = [
        one[who]["top_decile_overlap"]
        for one in report["stability"]
        if one[who]["top_decile_overlap"] is not None
    ]
    if not overlaps:
        return ""
    mean = stored_percent(float(np.mean(overlaps)), 0)
    return f"the riskiest tenth overlaps by {mean} from one date to the next"


def bias_text(validation: Report) -> str:
    """What the mean of truth − estimate of a loss means."""
    if validation["low"] is None:
        return "too few windows to see a bias"
    if validation["low"] <= 0 <= validation["high"]:
        return "without a visible bias"
    return "and the estimate is too " + ("optimistic" if validation["low"] > 0 else "pessimistic")


def report_metrics(report: Report) -> dict[str, float]:
    """For MLflow: `<population>_<section>_<figure>_<mean, spread, worst>`, errors, the curve."""
    out: dict[str, float] = {}
    parts = (
        ("summary", ("mean", "spread", "worst")),
        ("validation", ("median_errors", "mean_difference")),
    )
    for section, figure in FIGURES:
        for who in metrics.POPULATIONS:
            name = f"{who}_{section}_{figure}"
            for part, ends in parts:
                values = report[part][section][who][figure] or {}
                known = (end for end in ends if values.get(end) is not None)
                out |= {f"{name}_{end}": values[end] for end in known}
    out |= coverage.coverage_metrics(report["coverage"])
    pooled = dated_curve.pooled_metrics(report["curve"])
    return out | pooled | dated_value.pooled_metrics(report["value"])


def metrics_by_date(report: Report) -> tuple[tuple[str, float, int], ...]:
    """(`by_date/<population>_<section>_<figure>`, value, as_of in µs) of every date."""
    return tuple(_metrics_by_date(report))


def _metrics_by_date(report: Report) -> Iterator[tuple[str, float, int]]:
    for date in report["dates"]:
        for section, figure in FIGURES:
            for who in metrics.POPULATIONS:
                if (value := date[section][who][figure]) is not None:
                    yield f"by_date/{who}_{section}_{figure}", float(value), int(date["at"])
        for name, value in dated_curve.curve_metrics_by_date(date):
            yield f"by_date/{name}", value, int(date["at"])
