"""Actions of a business in a test, and its settings with them."""

from __future__ import annotations

import pyarrow as pa

from features.core.action_schema import Action
from features.core.settings import Settings
from serving.decisions import campaigns
from tests.support.businesses import Business

ACTIONS = {
    "call": Action(when="risk >= 0.2", channel="phone", contact_cost=6, acceptance=0.3),
    "voucher": Action(
        when="not stage = churned",
        channel="email",
        contact_cost=0.2,
        incentive=5,
        acceptance={"mean": 0.2, "n": 150},
    ),
}


def settings_of(business: Business, **decisions: object) -> Settings:
    settings = business.settings
    of_decisions = settings.decisions.model_copy(update=decisions)
    return settings.model_copy(update={"actions": ACTIONS, "decisions": of_decisions})


def no_contacts() -> pa.Table:
    return campaigns.SCHEMA.empty_table()
