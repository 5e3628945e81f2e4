"""Actions that a campaign measured to drive customers away."""

from __future__ import annotations

from dataclasses import replace

from features.core.errors import BadSetting, NotEnoughData, ReleaseRefused
from features.core.settings import Settings
from features.tables.history import History
from serving.campaigns import store as campaigns
from training.campaigns.campaign_rows import campaigns_of_table
from training.effects.measure import HARM, measure


def harmful_actions(history: History, settings: Settings, as_of: int) -> dict[str, str]:
    """Of each action of the configuration whose newest measurement is harm: the campaign.

    By what was known before `as_of` (µs UTC). Campaigns without complete outcomes, or whose arms
    were not drawn, say nothing.
    """
    then = replace(history, data_until=min(history.data_until, as_of))
    reports = []
    for name in sorted({*campaigns.list_campaigns(), *campaigns_of_table(then)}):
        try:
            reports.append(measure(then, settings, name).report())
        except (BadSetting, NotEnoughData, ReleaseRefused):
            continue
    newest: dict[str, tuple[str, str]] = {}
    for report in sorted(reports, key=lambda each: (max(each["decided"]), each["campaign"])):
        for action, each in report["actions"].items():
            newest[action] = (each["verdict"], report["campaign"])
    return {
        action: campaign
        for action, (verdict, campaign) in newest.items()
        if verdict == HARM and action in settings.actions
    }
