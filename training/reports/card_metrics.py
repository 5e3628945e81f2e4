"""The card's tables of metrics: our model and every baseline, for everyone and for eligible."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from features.core.language import mark, say, term
from training import metrics
from training.evaluation import baseline_comparison
from training.formats import (
    UNKNOWN,
    count,
    decimals,
    percent,
    percent_with_interval,
    with_interval,
)
from training.reports.markdown import markdown_table

Report = Mapping[str, Any]
CHURN_COLUMNS = (
    mark("model"),
    mark("AUROC (95 % CI)"),
    mark("log loss"),
    mark("ours − its (95 % CI)"),
    "Brier",
    "ECE",
    mark("PR area"),
    mark("lift"),
    mark("gain"),
)
_DIFFERENCE = ("difference", "difference_low", "difference_high")
STAGE_COLUMNS = (
    mark("model"),
    mark("log loss"),
    mark("ours − its (95 % CI)"),
    mark("ranked probability score"),
    mark("accuracy"),
    "macro-F1",
    mark("recall of changes (95 % CI)"),
    mark("precision of changes"),
)


def metrics_section(evaluation: Report) -> list[str]:
    lines = [
        say("## Metrics"),
        "",
        say(
            "On dates that were not trained on. Every baseline was fitted on the same rows, and "
            "again on the eligible of them alone; each population is shown the one with the lower "
            "log loss. Log loss, Brier score and calibration error (ECE): lower is better. AUROC: "
            "½ is chance. *Ours − its*: difference in log loss; below zero our model loses less, "
            "and it counts where the interval excludes zero. Lift and gain: of the riskiest tenth "
            "and fifth."
        ),
        "",
    ]
    for who in metrics.POPULATIONS:
        report = evaluation["churn"][who]
        title = say(
            "### Churn, {who}: {rows} rows, {rate} left",
            who=term(who),
            rows=count(report["rows"]),
            rate=percent(report["rate"]),
        )
        lines += [title, *_churn_table(report)]
    # A campaign is for those who are eligible.
    lines += _campaign_profit("eligible", evaluation["churn"]["eligible"])
    for who in metrics.POPULATIONS:
        report = evaluation["next_stage"][who]
        title = say(
            "### Next stage, {who}: {changed} of {rows} rows changed",
            who=term(who),
            changed=count(report["changes"]["changed"]),
            rows=count(report["rows"]),
        )
        lines += [title, *_stage_table(report)]
    return lines


def _campaign_profit(who: str, report: Report) -> list[str]:
    """EMPC in one paragraph; nothing where one class is alone, or the release is older."""
    profit = report.get("campaign_profit")
    if profit is None:
        return []
    law, names = profit["law"], ("empc", "low", "high", "by_stage", "everybody")
    text = say(
        "EMPC, {who}: {empc} a customer (95 % interval {low} to {high}), with the riskiest {share} "
        "contacted. By the stage's rate alone it is {by_stage} (ours − its: {difference}, "
        "{difference_low} to {difference_high}); contacting everybody brings {everybody}, nobody "
        "nothing. EMPC is the expected maximum profit of a campaign (Verbraken, Verbeke, Baesens) "
        "where a customer who stays is worth {value} (V), the incentive costs {incentive} (d) and "
        "a contact {contact} (f), and the share kept of those who would leave (γ) is drawn from "
        "Beta({alpha}; {beta}). It compares models; lifecycle decide has the values and costs of "
        "the business.",
        who=term(who),
        share=percent(profit["share"]),
        **{name: decimals(profit[name], 2) for name in (*names, *_DIFFERENCE)},
        **{name: f"{value:g}" for name, value in law.items()},
    )
    return [text, ""]


def _candidates(report: Report) -> list[tuple[str, Report, Report | None]]:
    """(name, figures, our paired difference to it) of every baseline, simple first, ours last."""
    comparison = report.get("baseline_comparison") or {}
    names = [candidate["name"] for candidate in comparison.get("candidates", ())]
    differences = report.get("paired_log_loss", {})
    baselines = [
        (name, report["baselines"][name], differences.get(name))
        for name in names or report["baselines"]
        if name in report["baselines"]
    ]
    return [*baselines, (baseline_comparison.OURS, report, None)]


def _name(name: str) -> str:
    return f"**{term(name)}**" if name == baseline_comparison.OURS else term(name)


def _no_row() -> list[str]:
    return [say("No row is in it."), ""]


def _difference(pair: Report | None) -> str:
    return UNKNOWN if pair is None else with_interval(pair, "difference", digits=4)


def _churn_table(report: Report) -> list[str]:
    if not report["rows"]:
        return _no_row()
    rows = [
        (
            _name(name),
            with_interval(figures, "auroc", prefix="auroc"),
            decimals(figures["log_loss"], 4),
            _difference(pair),
            decimals(figures["brier"], 4),
            decimals(figures["ece"], 4),
            decimals(figures["average_precision"]),
            decimals(figures["top_decile_lift"]),
            percent(figures["gain_20"]),
        )
        for name, figures, pair in _candidates(report)
    ]
    return markdown_table(tuple(map(say, CHURN_COLUMNS)), rows)


def _stage_table(report: Report) -> list[str]:
    if not report["rows"]:
        return _no_row()
    no_change = report["if_nothing_changed"]
    first = (
        say("no change of stage"),
        *(UNKNOWN,) * 3,
        percent(no_change["accuracy"]),
        decimals(no_change["macro_f1"]),
        *(UNKNOWN,) * 2,
    )
    rows = [_stage_row(*candidate) for candidate in _candidates(report)]
    return markdown_table(tuple(map(say, STAGE_COLUMNS)), [first, *rows])


def _stage_row(name: str, figures: Report, pair: Report | None) -> tuple[str, ...]:
    changes = figures["changes"]
    return (
        _name(name),
        decimals(figures["log_loss"], 4),
        _difference(pair),
        decimals(figures["ranked_probability_score"], 4),
        percent(figures["accuracy"]),
        decimals(figures["macro_f1"]),
        percent_with_interval(changes, "recall"),
        percent(changes["precision"]),
    )
