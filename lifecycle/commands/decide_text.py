"""A decided campaign in a few lines: whom, what for, what is left, and what is not known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from features.core.language import number, percent, say


def decision_text(report: Mapping[str, Any], wanted: float | None) -> str:
    """The lines of `Decision.report`; wanted: the difference that the hold-out was to show."""
    money = f" {report['currency']}" if report["currency"] else ""

    def amount(value: float) -> str:
        return f"{number(value, 0 if abs(value) >= 1000 else 2)}{money}"

    lines = [
        say(
            "campaign {name}, as of {day}: {contacted} customers to contact, {held} held out",
            name=report["campaign"],
            day=report["as_of"],
            contacted=number(report["contacted"]),
            held=number(report["held_out"]),
        ),
        say(
            "  expected profit {profit} ({low} to {high}), expected cost {cost}",
            profit=amount(report["expected_profit"]),
            low=amount(report["expected_profit_low"]),
            high=amount(report["expected_profit_high"]),
            cost=amount(report["expected_cost"]),
        ),
    ]
    for name, each in report["actions"].items():
        lines.append(
            say(
                "  {action} ({channel}): {n} customers, cost {cost}, profit {profit}; {basis}",
                action=name,
                channel=each["channel"],
                n=number(each["contacted"]),
                cost=amount(each["expected_cost"]),
                profit=amount(each["expected_profit"]),
                basis=_basis_text(each),
            )
        )
    for name, price in report["prices"].items():
        text = (
            say("  one more unit of budget would bring {price} more", price=amount(price))
            if name == "budget"
            else say(
                "  one more customer of {channel} would bring {price} more",
                channel=name,
                price=amount(price),
            )
        )
        lines.append(text)
    lines += _curve_lines(report["profit_curve"], amount)
    for reason, count in report["counts"].items():
        if count and reason != "chosen":
            lines.append(f"  {_reason_text(reason)}: {number(count)}")
    if report["later_campaigns"]:
        lines.append(
            say(
                "  decided by scores of later days, and not known here: {names}; who is held out "
                "of them may be contacted by this one",
                names=", ".join(report["later_campaigns"]),
            )
        )
    if report.get("rejected_treatments"):
        lines.append(rejected_text(report["rejected_treatments"]))
    lines.append(_hold_out_text(report, wanted))
    if report["response_not_effect"]:
        lines.append(
            say(
                "  This is a response, not an effect: what the actions change is known only beside "
                "customers who are held out."
            )
        )
    lines.append(say("  Afterwards: lifecycle measure --campaign {name}", name=report["campaign"]))
    return "\n".join(lines)


def _curve_lines(curve: Mapping[str, Any], amount: Callable[[float], str]) -> list[str]:
    """Where more contacts lose money; nothing where an action is meant for nobody."""
    if not curve["everybody"]:
        return []
    best = {"n": number(curve["best"]), "profit": amount(curve["best_profit"])}
    if curve["best"] == curve["everybody"]:
        return [say("  without limits: all {n} for whom an action is meant bring {profit}", **best)]
    return [
        say(
            "  without limits: the best {n} bring {profit}; from there on each contact loses "
            "money, and all {everybody} for whom an action is meant bring {whole}",
            everybody=number(curve["everybody"]),
            whole=amount(curve["profit_of_everybody"]),
            **best,
        )
    ]


def rejected_text(count: int) -> str:
    """A line for rows of treatments that were not read."""
    return say(
        "  {n} rows of treatments were rejected when they were read, and count for nothing: "
        "lifecycle check says why",
        n=number(count),
    )


def _basis_text(action: Mapping[str, Any]) -> str:
    """What the profit of an action rests on."""
    if action["harmful_in"] is not None:
        return say(
            "left out: campaign {name} measured that it drives customers away; a measured "
            "acceptance brings it back",
            name=action["harmful_in"],
        )
    if action["learned_from"] is not None:
        return say("effects learned from campaign {name}", name=action["learned_from"])
    basis = (
        say("a guess")
        if action["measured_on"] is None
        else say("measured on {n}", n=number(action["measured_on"]))
    )
    return say(
        "accepted by {share} of those who would leave ({basis})",
        share=percent(action["acceptance"]),
        basis=basis,
    )


def _reason_text(reason: str) -> str:
    return {
        "no consent": say("not listed: no consent"),
        "no score": say("without a score"),
        "held out of another campaign": say("held out of another campaign, so left alone"),
        "contacted lately": say("contacted lately"),
        "no action fits": say("no action is meant for them"),
        "had the action lately": say("had their action lately (cool_down_days)"),
        "no action pays": say("let go: no action that is meant for them pays"),
        "beyond the limits": say("an action would pay, but the limits are reached"),
    }[reason]


def _hold_out_text(report: Mapping[str, Any], wanted: float | None) -> str:
    difference = report["detectable_difference"]
    if difference is None:
        return say("  nobody is held out: the effect will not be known")
    text = say(
        "  the hold-out shows a difference of {points} points in the share kept in 8 of 10 such "
        "campaigns",
        points=number(100 * difference, 1),
    )
    if wanted is not None and difference > wanted + 1e-9:
        text += say(
            "; for {points} points it takes {n} customers",
            points=number(100 * wanted, 1),
            n=number(report["customers_needed"]),
        )
    return text
