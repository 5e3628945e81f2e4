"""The figures of lifetime value in the terminal text of a training and in the card."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

from features.core.config_schema import MARGIN_COLUMN
from features.core.language import say, term
from training.formats import confidence, count, decimals, percent, signed
from training.reports.curve_text import by_days

Report = Mapping[str, Any]
OFF = 0.1  # of the sum; beyond it a line says so


def value_lines(evaluation: Report) -> list[str]:
    """Lines for a terminal: each horizon whose money is known, and what is not."""
    report = evaluation.get("value", {})
    if not report:
        return []
    lines = ["", say("  worth ({question})", question=_question(report))]
    lines += [f"    {days:>5}  {_line(each)}" for days, each in by_days(report["horizons"])]
    return [*lines, *(f"    {sentence}" for sentence in _remarks(report))]


def _remarks(report: Report) -> Iterator[str]:
    """What is not known or not judged, and from how many days the value is extrapolated."""
    if "unknown" in report:
        yield say("there is no value: {why}", why=report["unknown"])
        return
    if "missing" in report:
        yield say("not judged: {why}", why=report["missing"])
    if report.get("extrapolated"):
        yield say(
            "the value of {days} days is extrapolated from {learned_days}: no two training dates "
            "are old enough ([training] max_dates and step_days decide)",
            days=report["days"],
            learned_days=report["learned_days"],
        )


def _question(report: Report) -> str:
    text = say("clv: {days} days, {currency}", days=report["days"], currency=report["currency"])
    if report["margin"] == MARGIN_COLUMN:
        text += say(", margin of each row")
    elif report["margin"] < 1:
        text += say(", margin {margin}", margin=percent(report["margin"]))
    if report["annual_discount"] > 0:
        text += say(", discount {discount} a year", discount=percent(report["annual_discount"]))
    return text


def _line(each: Report) -> str:
    text = say(
        "a customer brought {amount}, {expected} was expected{off}, rank {rank}",
        amount=money(each["mean"]),
        expected=money(each["expected"]),
        off=_off(each),
        rank=decimals(each["rank"]),
    )
    if each["less_baseline"]:
        text += say("; less that of {baseline}", baseline=_less_best(each))
    inside = each["coverage_likely"]
    return (
        text if inside is None else text + say("; {share} in the interval", share=percent(inside))
    )


def _off(each: Report) -> str:
    """How far the expected sum lies from what came, where that is more than OFF."""
    if not each["mean"] > 0:
        return ""
    share = each["expected"] / each["mean"] - 1
    if abs(share) <= OFF:
        return ""
    off = percent(abs(share), 0)
    return (
        say(" ({share} too high)", share=off) if share > 0 else say(" ({share} too low)", share=off)
    )


def best_other(each: Report) -> str | None:
    """The baseline that ranks best; None without one."""
    others = each["baselines"]
    return min(others, key=lambda name: (-others[name]["rank"], name)) if others else None


def _less_best(each: Report) -> str:
    name = best_other(each)
    assert name is not None
    pair = each["less_baseline"][name]
    interval = confidence(pair["low"], pair["high"])
    return f"{term(name)} {signed(pair['difference'])}{interval}"


def value_section(evaluation: Report) -> list[str]:
    """The card's section; no lines without a value."""
    report = evaluation.get("value", {})
    if not report:
        return []
    lines = [say("## What customers are worth"), ""]
    if not report["horizons"]:
        return [
            *lines,
            say("`{question}`.", question=_question(report)),
            *(f"- {_sentence(each)}" for each in _remarks(report)),
            "",
        ]
    lines += [
        say(
            "`{question}`. Money as it came, not discounted; rank is Spearman's correlation.",
            question=_question(report),
        ),
        *(f"- {_bullet(days, each)}" for days, each in by_days(report["horizons"])),
    ]
    sentences = [*_verdicts(report["horizons"]), *map(_sentence, _remarks(report))]
    text = functools.reduce(_one_after_another, sentences) if sentences else ""
    return [*lines, *[f"- {text}"] * bool(text), ""]


def _one_after_another(first: str, then: str) -> str:
    return say("{first} {then}", first=first, then=then)


def _bullet(days: str, each: Report) -> str:
    return say(
        "Within {days} ({rows} rows): {figures}; the tenth with the highest values brought {share} "
        "of the money; {deciles} of 10 groups by value came as expected.",
        days=days,
        rows=count(each["rows"]),
        figures=_line(each),
        share=percent(each["top_share"]),
        deciles=each["deciles"],
    )


def _sentence(remark: str) -> str:
    return say("{text}.", text=f"{remark[:1].upper()}{remark[1:]}")


def _verdicts(horizons: Report) -> Iterator[str]:
    """Which answer ranks best, at the longest horizon that is judged."""
    *_, (days, each) = by_days(horizons)
    name = best_other(each)
    if name is not None:
        pair, names = each["less_baseline"][name], {"days": days, "name": term(name)}
        if pair["low"] > 0:
            yield say("Within {days} the value ranks better than {name}: use it.", **names)
        elif pair["high"] < 0:
            yield say(
                "Within {days} {name} ranks better: for an order of customers, use that.", **names
            )
        else:
            yield say("Within {days} the value and {name} rank alike.", **names)


def money(amount: float) -> str:
    """An amount with as many digits as help: 0.42, 31.2, 1,204."""
    if abs(amount) >= 100:
        return f"{amount:,.0f}"
    return f"{amount:.1f}" if abs(amount) >= 10 else f"{amount:.2f}"
