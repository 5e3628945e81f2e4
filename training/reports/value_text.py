"""The figures of lifetime value in the terminal text of a training and in the card."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from training.formats import confidence, count, decimals, percent, signed
from training.reports.curve_text import by_days

Report = Mapping[str, Any]
OFF = 0.1  # of the sum; beyond it a line says so


def value_lines(evaluation: Report) -> list[str]:
    """Lines for a terminal: each horizon whose money is known, and what is not."""
    report = evaluation.get("value", {})
    if not report:
        return []
    lines = ["", f"  worth ({_question(report)})"]
    lines += [f"    {days:>5}  {_line(each)}" for days, each in by_days(report["horizons"])]
    return [*lines, *(f"    {sentence}" for sentence in _remarks(report))]


def _remarks(report: Report) -> Iterator[str]:
    """What is not known or not judged, and from how many days the value is extrapolated."""
    if "unknown" in report:
        yield f"there is no value: {report['unknown']}"
        return
    if "missing" in report:
        yield f"not judged: {report['missing']}"
    if report.get("extrapolated"):
        yield (
            f"the value of {report['days']} days is extrapolated from {report['learned_days']}: no "
            "two training dates are old enough ([training] max_dates and step_days decide)"
        )


def _question(report: Report) -> str:
    text = f"clv: {report['days']} days, {report['currency']}"
    if report["margin"] < 1:
        text += f", margin {percent(report['margin'])}"
    if report["annual_discount"] > 0:
        text += f", discount {percent(report['annual_discount'])} a year"
    return text


def _line(each: Report) -> str:
    text = (
        f"a customer brought {money(each['mean'])}, {money(each['expected'])} was expected"
        f"{_off(each)}, rank {decimals(each['rank'])}"
    )
    if each["less_baseline"]:
        text += f"; less that of {_less_best(each)}"
    inside = each["coverage_likely"]
    return text if inside is None else f"{text}; {percent(inside)} in the interval"


def _off(each: Report) -> str:
    """How far the expected sum lies from what came, where that is more than OFF."""
    if not each["mean"] > 0:
        return ""
    share = each["expected"] / each["mean"] - 1
    if abs(share) <= OFF:
        return ""
    return f" ({percent(abs(share), 0)} too {'high' if share > 0 else 'low'})"


def best_other(each: Report) -> str | None:
    """The baseline that ranks best; None without one."""
    others = each["baselines"]
    return min(others, key=lambda name: (-others[name]["rank"], name)) if others else None


def _less_best(each: Report) -> str:
    name = best_other(each)
    assert name is not None
    pair = each["less_baseline"][name]
    return f"{name} {signed(pair['difference'])}{confidence(pair['low'], pair['high'])}"


def value_section(evaluation: Report) -> list[str]:
    """The card's section; no lines without a value."""
    report = evaluation.get("value", {})
    if not report:
        return []
    lines = ["## What customers are worth", ""]
    if not report["horizons"]:
        return [
            *lines,
            f"`{_question(report)}`.",
            *(f"- {_sentence(each)}" for each in _remarks(report)),
            "",
        ]
    lines += [
        f"`{_question(report)}`. Money as it came, not discounted; rank is Spearman's correlation.",
        *(f"- {_bullet(days, each)}." for days, each in by_days(report["horizons"])),
    ]
    sentences = [*_verdicts(report["horizons"]), *map(_sentence, _remarks(report))]
    return [*lines, *([f"- {' '.join(sentences)}"] if sentences else []), ""]


def _bullet(days: str, each: Report) -> str:
    return (
        f"Within {days} ({count(each['rows'])} rows): {_line(each)}; the tenth with the highest "
        f"values brought {percent(each['top_share'])} of the money; {each['deciles']} of 10 groups "
        "by value came as expected"
    )


def _sentence(remark: str) -> str:
    return f"{remark[:1].upper()}{remark[1:]}."


def _verdicts(horizons: Report) -> Iterator[str]:
    """Which answer ranks best, at the longest horizon that is judged."""
    *_, (days, each) = by_days(horizons)
    name = best_other(each)
    if name is not None:
        pair = each["less_baseline"][name]
        if pair["low"] > 0:
            yield f"Within {days} the value ranks better than {name}: use it."
        elif pair["high"] < 0:
            yield f"Within {days} {name} ranks better: for an order of customers, use that."
        else:
            yield f"Within {days} the value and {name} rank alike."


def money(amount: float) -> str:
    """An amount with as many digits as help: 0.42, 31.2, 1,204."""
    if abs(amount) >= 100:
        return f"{amount:,.0f}"
    return f"{amount:.1f}" if abs(amount) >= 10 else f"{amount:.2f}"
