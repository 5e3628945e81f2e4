"""The rules of one campaign: what the configuration says, and what was typed for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from features.core.errors import BadSetting
from features.core.settings import Settings
from serving.campaigns import store as campaigns
from serving.decisions.plan import Rules


def read_rules(
    settings: Settings,
    campaign: str,
    *,
    budget: float | None,
    capacity: Mapping[str, int],
) -> Rules:
    """The rules of one campaign: the settings, and what was typed for it.

    BadSetting for a name no campaign may have, a negative budget or capacity, and for a channel
    that no action has.
    """
    decisions = settings.decisions
    budget = decisions.budget if budget is None else budget
    capacity = {**decisions.capacity, **capacity}
    channels = sorted({action.channel for action in settings.actions.values()})
    for name, most in capacity.items():
        if name not in channels or most < 0:
            raise BadSetting(
                where="--capacity",
                got=f"'{name}={most}'",
                rule="A capacity is the most customers of the channel of an action, 0 or more.",
                fix=f"Channels here: {', '.join(channels) or 'none'}.",
            )
    if budget is not None and not 0 <= budget <= 1e12:
        raise BadSetting(
            where="--budget",
            got="an amount below 0, or no amount",
            rule="A budget is money of the campaign, 0 or more.",
            fix="For example: --budget 5000.",
            values=[str(budget)],
        )
    return Rules(
        campaigns.check_campaign_name(campaign),
        settings.actions,
        decisions.hold_out,
        decisions.detectable_effect,
        rest_days=decisions.contact_days,
        held_out_days=settings.churn.horizon_days,
        budget=budget,
        capacity=capacity,
    )


def read_capacities(texts: Iterable[str]) -> dict[str, int]:
    """The most customers by channel from `channel=n` texts; a later one wins. BadSetting."""
    capacities = {}
    for text in texts:
        name, _, most = text.rpartition("=")
        if not name or not (most.isascii() and most.isdecimal()) or len(most) > 9:
            raise BadSetting(
                where="--capacity",
                got="no CHANNEL=N",
                rule="A capacity is the most customers of a channel, a whole number.",
                fix="For example: --capacity phone=200.",
                values=[text],
            )
        capacities[name] = int(most)
    return capacities
