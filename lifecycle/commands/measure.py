"""`lifecycle measure`: what a campaign changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from features.core.errors import NotEnoughData
from features.core.language import say
from features.core.progress import print_status
from features.core.settings import Settings
from features.tables.history import History
from features.tables.sources import RowCounts
from lifecycle.commands.decide_text import rejected_text
from serving.campaigns import store as campaigns
from serving.decisions.effect_model import effects_path
from training.campaigns.campaign_rows import campaigns_of_table
from training.effects.measure import measure
from training.effects.measure_text import measurement_text
from training.effects.uplift import learn_campaign
from training.effects.uplift_text import uplift_text


def measure_campaign(
    history: History,
    settings: Settings,
    campaign: str,
    margin: float | None,
    *,
    rejected: int = 0,
) -> tuple[dict[str, Any], str]:
    """The measurement for JSON and as text; a look before all outcomes are complete is kept.

    rejected: rows of treatments that were not read.
    """
    if rejected:
        print_status(rejected_text(rejected).strip())
    print_status(say("observing the outcomes of both arms"))
    measurement = measure(history, settings, campaign, margin=margin)
    if measurement.arms.left_out["outcome not complete"]:
        campaigns.record_look(campaign, len(measurement.arms.kept))
    report = measurement.report()
    report["rejected_treatments"] = rejected
    text = measurement_text(report)
    return report, f"{text}\n{rejected_text(rejected)}" if rejected else text


def rejected_rows(counts: Mapping[str, RowCounts]) -> int:
    """How many rows of treatments were rejected when they were read."""
    of_table = counts.get("treatments")
    return 0 if of_table is None else sum(of_table.rejected.values())


def name_campaigns(history: History) -> list[str]:
    """The campaigns that were decided here or are in treatments; NotEnoughData without any."""
    names = sorted({*campaigns.list_campaigns(), *campaigns_of_table(history)})
    if not names:
        raise NotEnoughData(
            where="measure",
            got="no campaign that was decided here",
            rule="A campaign is decided by `lifecycle decide`, or is one of the table treatments.",
            fix="Type: lifecycle decide --campaign NAME --out FOLDER.",
        )
    return names


def learn_effects(
    history: History, settings: Settings, campaign: str
) -> tuple[dict[str, Any], str]:
    """What a campaign taught, for JSON and as text. The effects that are better are written."""
    print_status(say("observing the outcomes of both arms"))
    learned = learn_campaign(history, settings, campaign)
    if learned.model.actions:
        learned.model.write(effects_path())
    report = learned.report()
    return report, uplift_text(report)
