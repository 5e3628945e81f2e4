"""A measurement in a few lines: the verdict first, then what it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from features.core.language import mark, number, percent, say, term
from training.effects.measure import EFFECT, HARM, NONE, OPEN

_VERDICTS = {
    EFFECT: mark("the campaign kept more customers than would have stayed without it"),
    HARM: mark("the campaign lost customers: fewer stayed than without it"),
    NONE: mark("no effect: whatever it changed is less than {margin} points either way"),
    OPEN: mark("not enough data: {needed} customers more would show {margin} points"),
}


def measurement_text(report: Mapping[str, Any]) -> str:
    """The lines of `Measurement.report`."""
    kept, margin = report["kept"], number(100 * report["margin"], 1)
    sentence = say(
        _VERDICTS[report["verdict"]],
        margin=margin,
        needed=number(report["customers_needed_more"] or 0),
    )
    lines = [
        say("campaign {name}: {verdict}", name=report["campaign"], verdict=sentence),
        say(
            "  kept for {days} days: {treated} of the treated ({n}), {held} of the held out ({m}): "
            "{difference} points, 95% interval {low} to {high}",
            days=number(report["horizon_days"]),
            treated=percent(kept["treated"]),
            n=number(kept["n_treated"]),
            held=percent(kept["held_out"]),
            m=number(kept["n_held_out"]),
            difference=_points(kept["difference"]),
            low=_points(kept["low"]),
            high=_points(kept["high"]),
        ),
        say(
            "  as counted, without adjustment: {difference} points, {low} to {high}",
            **{name: _points(value) for name, value in report["kept_as_counted"].items()},
        ),
    ]
    if report["looked_early"]:
        lines.append(
            say(
                "  somebody looked before all outcomes were complete: this interval holds however "
                "often one looks, and is wider"
            )
        )
    lines += [*_money_lines(report), *_action_lines(report)]
    lines += [
        say("  left out: {n} ({why})", n=number(count), why=_why(reason))
        for reason, count in report["left_out"].items()
        if count
    ]
    lines.append(
        say(
            "  such data show a difference of {points} points in 8 of 10 cases",
            points=number(100 * report["detectable"], 1),
        )
    )
    if not report["arms_drawn_by_plan"]:
        lines += _arm_lines(report)
    return "\n".join(lines)


def _arm_lines(report: Mapping[str, Any]) -> list[str]:
    """What speaks for arms of the table treatments."""
    if report["arms_told_apart"] is None:
        return [
            say(
                "  arms of the table treatments: too few customers to tell whether they were "
                "drawn; if they were chosen, this is the difference of the choice"
            )
        ]
    line = say("  arms of the table treatments: nothing that was known before tells them apart")
    if report["hold_out_named"]:
        return [line]
    others = say(
        "  nobody is named as held out: everybody else stands for them, and whether who was "
        "treated was drawn is not known"
    )
    return [line, others]


def _money_lines(report: Mapping[str, Any]) -> list[str]:
    money, profit = report["money_per_customer"], report["profit"]
    if money is None:
        return []
    currency = f" {report['currency']}" if report["currency"] else ""
    lines = [
        say(
            "  money a customer, with the contact minus without: {difference}{currency}, {low} to "
            "{high}",
            difference=number(money["difference"], 2),
            low=number(money["low"], 2),
            high=number(money["high"], 2),
            currency=currency,
        )
    ]
    if profit is None:
        return [*lines, say("  no profit: what the contacts cost is not known of all of them")]
    lines.append(
        say(
            "  all of the treated, less a cost of {cost}: {value}{currency}, {low} to {high}",
            cost=number(report["cost"], 0),
            value=number(profit["value"], 0),
            low=number(profit["low"], 0),
            high=number(profit["high"], 0),
            currency=currency,
        )
    )
    ratio = report["return_on_cost"]
    if ratio is not None:
        text = {name: number(value, 2) for name, value in ratio.items()}
        lines.append(say("  profit / cost: {value}, {low} to {high}", **text))
    return lines


def _action_lines(report: Mapping[str, Any]) -> list[str]:
    lines = []
    for name, each in report["actions"].items():
        line = say(
            "  {action}, {verdict}: {difference} points, {low} to {high} ({n} treated, {m} held "
            "out)",
            action=name,
            verdict=term(each["verdict"]),
            difference=_points(each["difference"]),
            low=_points(each["low"]),
            high=_points(each["high"]),
            n=number(each["n_treated"]),
            m=number(each["n_held_out"]),
        )
        lines += [line, *_accepted_lines(each["accepted"], action=True)]
    return lines or _accepted_lines(report["accepted"])


def _accepted_lines(accepted: Mapping[str, Any] | None, *, action: bool = False) -> list[str]:
    """γ as measured, of an action or of the campaign, and how the configuration writes it."""
    if accepted is None:
        return []
    space = "    " if action else "  "
    numbers = {name: number(100 * accepted[name], 0) for name in ("share", "low", "high")}
    text = say("of 100 who would have left, {share} were kept ({low} to {high})", **numbers)
    # A share that may be nothing is no better than a guess.
    if accepted["n"] is None or accepted["low"] <= 0:
        return [f"{space}{text}"]
    setting = f"acceptance = {{ mean = {accepted['share']:.3f}, n = {accepted['n']} }}"
    measured = say("{text}; measured: {setting}", text=text, setting=setting)
    return [f"{space}{measured}"]


def _points(difference: float) -> str:
    return f"{'+' if difference > 0 else ''}{number(100 * difference, 1)}"


def _why(reason: str) -> str:
    return {
        "outcome not complete": say("their outcomes are not complete yet"),
        "no stage at the decision": say("without activity or cover at the decision"),
        "of a decision with one arm": say("of a decision that has one arm alone"),
        "contact after the horizon": say("contacted only after the horizon"),
        "in both arms": say("in both arms at one instant"),
        "arm not known": say("without an arm in the table treatments"),
    }[reason]
