"""The release's evaluation as tables of the page: can its probabilities be believed?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from features.indicators.business_table import NUMBER, TEXT, TableShape

WHO = {
    "eligible": "eligible customers of the evaluation dates",
    "everyone": "all customers of the evaluation dates",
}
OURS = "our model"
NO_EVALUATION = "a release that was evaluated: lifecycle train"
MODEL_FIGURES = TableShape(
    "model_figures",
    "auroc: the probability that of two customers the one who left had the higher p_churn (one "
    "half is chance), with its 95 % interval; pairs_of_100: in how many of 100 such pairs; "
    "log_loss: lower is better; lift: how often the "
    "riskiest tenth left, over the rate; rate: the share that left. Dates that were not trained on",
    "",
    {
        "who": TEXT,
        "model": TEXT,
        "auroc": NUMBER,
        "pairs_of_100": NUMBER,
        "log_loss": NUMBER,
        "lift": NUMBER,
        "rate": NUMBER,
    },
)
CALIBRATION = TableShape(
    "calibration",
    "customers of the evaluation dates in ten groups by p_churn: predicted: its mean; observed: "
    "the share that left, with its 95 % interval; of_100: how many of 100 such customers left",
    WHO["eligible"],
    {"predicted": NUMBER, "observed": NUMBER, "of_100": NUMBER},
)
GAINS = TableShape(
    "gains",
    "recall: of those who left, the share among the riskiest contacted customers by p_churn; "
    "baseline_recall: the same by the best simple baseline",
    WHO["eligible"],
    {"contacted": NUMBER, "recall": NUMBER, "baseline_recall": NUMBER, "baseline": TEXT},
)
CHURN_RATES = TableShape(
    "churn_rates",
    "rate: the share of the customers eligible at the date who left within the horizon, with its "
    "95 % interval; split: what the date was used for",
    "customers eligible at the date",
    {"date": TEXT, "rate": NUMBER, "split": TEXT},
)
SHAPES = {each.name: each for each in (MODEL_FIGURES, CALIBRATION, GAINS, CHURN_RATES)}
_SHARES = (0.1, 0.2, 0.3)


def model_tables(evaluation: Mapping[str, Any] | None, *, as_of: int) -> dict[str, pa.Table]:
    """Each of SHAPES from evaluation.json of a release; without one each says what to type."""
    churn = (evaluation or {}).get("churn")
    if not churn:
        return {
            name: shape.say_missing(NO_EVALUATION, as_of=as_of) for name, shape in SHAPES.items()
        }
    rows = {
        "model_figures": [row for who in WHO for row in _figures(who, churn.get(who))],
        "calibration": _calibration(churn.get("eligible")),
        "gains": _gains(churn.get("eligible")),
        "churn_rates": _rates((evaluation or {}).get("rates") or []),
    }
    return {
        name: SHAPES[name].fill_rows(each, as_of=as_of)
        if each
        else SHAPES[name].say_missing("eligible customers with both outcomes", as_of=as_of)
        for name, each in rows.items()
    }


def _figures(who: str, report: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    if not report or not report.get("rows"):
        return []
    models = {OURS: report, **{name: one for name, one in report["baselines"].items() if one}}
    return [
        {
            "population": WHO[who],
            "who": who,
            "model": name,
            "auroc": one.get("auroc"),
            "pairs_of_100": None if one.get("auroc") is None else 100 * one["auroc"],
            "log_loss": one.get("log_loss"),
            "lift": one.get("top_decile_lift"),
            "rate": one.get("rate"),
            "n": report["rows"],
            "low": one.get("auroc_low"),
            "high": one.get("auroc_high"),
        }
        for name, one in models.items()
    ]


def _calibration(report: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    return [
        {
            "predicted": group["predicted"],
            "observed": group["observed"],
            "of_100": 100 * group["observed"],
            "n": group["rows"],
            "low": group["low"],
            "high": group["high"],
        }
        for group in (report or {}).get("reliability") or []
    ]


def _gains(report: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    name = best_baseline(report)
    if not report or name is None or report.get("gain_10") is None:
        return []
    baseline = report["baselines"][name]
    return [
        {
            "contacted": share,
            "recall": report[f"gain_{share:.0%}"[:-1]],
            "baseline_recall": baseline[f"gain_{share:.0%}"[:-1]],
            "baseline": name,
            "n": report["rows"],
        }
        for share in _SHARES
    ]


def best_baseline(report: Mapping[str, Any] | None) -> str | None:
    """The simple baseline with the highest AUROC; None without one."""
    known = {
        name: one["auroc"]
        for name, one in ((report or {}).get("baselines") or {}).items()
        if one and one.get("auroc") is not None
    }
    # By name first, so that equal baselines always give the same one.
    return max(sorted(known), key=lambda name: known[name]) if known else None


def _rates(dates: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "date": one["as_of"],
            "rate": one["eligible"]["rate"],
            "split": one["split"],
            "n": one["eligible"]["rows"],
            "low": one["eligible"]["low"],
            "high": one["eligible"]["high"],
        }
        for one in dates
        if one.get("eligible") and one["eligible"].get("rate") is not None
    ]
