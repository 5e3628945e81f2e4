"""What a campaign taught, in a few lines: of each action the verdict first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from features.core.language import number, percent, say
from features.indicators.intervals import Z


def uplift_text(report: Mapping[str, Any]) -> str:
    """The lines of `Learned.report`."""
    lines = [say("campaign {name}", name=report["campaign"])]
    currency = f" {report['currency']}" if report["currency"] else ""
    for name, each in report["actions"].items():
        lines.append(f"  {name}: {_verdict(each)}")
        lines += _action_lines(each, currency)
    lines += [
        say("  {name}: too few customers of an arm ({n} in both)", name=name, n=number(count))
        for name, count in report["too_few"].items()
    ]
    served = report["served"]
    lines.append(
        say("  lifecycle decide uses the effects of {names}", names=", ".join(served))
        if served
        else say("  lifecycle decide uses none of them: acceptances stand as they are configured")
    )
    return "\n".join(lines)


def _verdict(action: Mapping[str, Any]) -> str:
    gain = action["gain_over_risk"]
    if gain["value"] is None:
        return say("not priced: [actions] has no action of this name")
    if gain["low"] > 0 and action["served"]:
        return say("sending by the effect is better than sending by risk")
    if action["served"] and gain["value"] <= 0:
        return say(
            "sending by the effect looks no better than sending by risk, and is not surely worse"
        )
    if action["served"]:
        return say("sending by the effect looks better than sending by risk, and may be no better")
    return say("sending by the effect is not better than sending by risk")


def _action_lines(action: Mapping[str, Any], currency: str) -> list[str]:
    lines = [
        say(
            "    all together {effect} points ({low} to {high}); {n} treated, {m} held out",
            effect=_points(action["effect"]),
            low=_points(action["effect_low"]),
            high=_points(action["effect_high"]),
            n=number(action["treated"]),
            m=number(action["held_out"]),
        )
    ]
    gain = action["gain_over_risk"]
    if gain["value"] is not None:
        lines.append(
            say(
                "    beside sending by risk {gain}{currency} a customer ({low} to {high})",
                gain=number(gain["value"], 2),
                low=number(gain["low"], 2),
                high=number(gain["high"], 2),
                currency=currency,
            )
        )
    lines.append(
        say(
            "    order by effect: Qini area {area} ({low} to {high}; a random order has 0)",
            area=number(action["qini"], 4),
            low=number(action["qini_low"], 4),
            high=number(action["qini_high"], 4),
        )
    )
    others = [
        f"{name} {number(area, 4)}" for name, area in sorted(action["qini_of_others"].items())
    ]
    lines.append(say("    the usual learners: {areas}", areas=", ".join(others)))
    best, worst = action["deciles"][0], action["deciles"][-1]
    for label, each in ((say("best tenth"), best), (say("last tenth"), worst)):
        lines.append(
            say(
                "    {label} of {n}: expected {expected} points, measured {measured} ± {error}",
                label=label,
                n=number(each["n"]),
                expected=_points(each["expected"]),
                measured=_points(each["measured"]),
                error=percent(Z * each["error"]),
            )
        )
    return lines


def _points(difference: float) -> str:
    return f"{'+' if difference > 0 else ''}{number(100 * difference, 1)}"
