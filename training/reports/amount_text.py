"""Amounts of the business in the terminal text of a training and in the card of its release."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.evaluation.baseline_comparison import OURS
from training.formats import UNKNOWN, count, decimals, percent, with_interval
from training.reports.markdown import markdown_table

Report = Mapping[str, Any]
COLUMNS = (
    "model",
    "rank correlation",
    "error of the total",
    "MAE",
    "RMSE",
    "loss: ours − its (95 % CI)",
)
NO_SKILL = (
    "No skill: the interval of the gain over the mean reaches 0. The mean and the quantiles of the "
    "training rows are served, and every row's warnings say so."
)


def headline(who: str, figures: Report) -> str:
    """`1,234 rows of eligible, mean 23.10 (41.0 % not 0), …`: the figures of one population."""
    if not figures["rows"]:
        return f"no rows of {who}, so nothing can be measured"
    text = (
        f"{count(figures['rows'])} rows of {who}, mean {_number(figures['mean'])} "
        f"({percent(figures['share_not_zero'])} not 0)"
    )
    if gain := figures.get("gain_over_mean"):
        interval = f"{percent(gain['low'])} to {percent(gain['high'])}".replace("-", "−")
        text += (
            f", explains {percent(gain['gain']).replace('-', '−')} of the mean's {figures['loss']} "
            f"(95 % CI {interval})"
        )
    return (
        f"{text}, error of the total {_signed_percent(figures['total_error'])}, "
        f"{percent(figures['coverage'])} within q10–q90 (target 80 %, more where many are 0)"
    )


def table(who: str, figures: Report) -> list[str]:
    """The table of our model and its baselines in a card; no lines without rows."""
    if not figures["rows"]:
        return []
    pairs = figures.get("paired_loss", {})
    rows = [
        (
            name,
            decimals(each["spearman"]),
            _signed_percent(each["total_error"]),
            _number(each["mae"]),
            _number(each["rmse"]),
            with_interval(pairs[name], "difference", digits=4) if name in pairs else UNKNOWN,
        )
        for name, each in [*figures["baselines"].items(), (f"**{OURS}**", figures)]
    ]
    head = (
        f"{who}: {count(figures['rows'])} rows, mean {_number(figures['mean'])}, below q10 "
        f"{percent(figures['below_q10'])}, above q90 {percent(figures['above_q90'])}; losses are "
        f"shares of the mean's {figures['loss']}"
    )
    return [f"*{head}*", "", *markdown_table(COLUMNS, rows)]


def _number(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:,.2f}"


def _signed_percent(value: float | None) -> str:
    text = percent(value)
    return text.replace("-", "−") if value is None or value < 0 else f"+{text}"
