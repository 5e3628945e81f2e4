"""Amounts of the business in the terminal text of a training and in the card of its release."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from features.core.language import mark, say, term
from training.evaluation.baseline_comparison import OURS
from training.formats import UNKNOWN, count, decimals, percent, with_interval
from training.reports.markdown import markdown_table

Report = Mapping[str, Any]
COLUMNS = (
    mark("model"),
    mark("rank correlation"),
    mark("error of the total"),
    "MAE",
    "RMSE",
    mark("loss: ours − its (95 % CI)"),
)
NO_SKILL = mark(
    "No skill: the interval of the gain over the mean reaches 0. The mean and the quantiles of the "
    "training rows are served, and every row's warnings say so."
)


def headline(who: str, figures: Report) -> str:
    """`1,234 rows of eligible, mean 23.10 (41.0 % not 0), …`: the figures of one population."""
    if not figures["rows"]:
        return say("no rows of {who}, so nothing can be measured", who=term(who))
    text = say(
        "{rows} rows of {who}, mean {mean} ({share} not 0)",
        rows=count(figures["rows"]),
        who=term(who),
        mean=_number(figures["mean"]),
        share=percent(figures["share_not_zero"]),
    )
    if gain := figures.get("gain_over_mean"):
        shares = {name: percent(gain[name]).replace("-", "−") for name in ("gain", "low", "high")}
        text += say(
            ", explains {gain} of the mean's {loss} (95 % CI {low} to {high})",
            loss=term(figures["loss"]),
            **shares,
        )
    return text + say(
        ", error of the total {error}, {coverage} within q10–q90 (target 80 %, more where many are "
        "0)",
        error=_signed_percent(figures["total_error"]),
        coverage=percent(figures["coverage"]),
    )


def table(who: str, figures: Report) -> list[str]:
    """The table of our model and its baselines in a card; no lines without rows."""
    if not figures["rows"]:
        return []
    pairs = figures.get("paired_loss", {})
    rows = [
        (
            name if name.startswith("*") else term(name),
            decimals(each["spearman"]),
            _signed_percent(each["total_error"]),
            _number(each["mae"]),
            _number(each["rmse"]),
            with_interval(pairs[name], "difference", digits=4) if name in pairs else UNKNOWN,
        )
        for name, each in [*figures["baselines"].items(), (f"**{term(OURS)}**", figures)]
    ]
    head = say(
        "{who}: {rows} rows, mean {mean}, below q10 {below}, above q90 {above}; losses are shares "
        "of the mean's {loss}",
        who=term(who),
        rows=count(figures["rows"]),
        mean=_number(figures["mean"]),
        below=percent(figures["below_q10"]),
        above=percent(figures["above_q90"]),
        loss=term(figures["loss"]),
    )
    return [f"*{head}*", "", *markdown_table(tuple(map(say, COLUMNS)), rows)]


def _number(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:,.2f}"


def _signed_percent(value: float | None) -> str:
    text = percent(value)
    return text.replace("-", "−") if value is None or value < 0 else f"+{text}"
