"""Examples as if nobody had been contacted, and what difference that makes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from features.core.settings import Settings
from features.tables.history import History
from training.campaigns.drawn import drawn_campaigns
from training.examples import Examples

STAND_IN = "stand_in"


def without_contacts(
    examples: Examples, history: History, settings: Settings
) -> tuple[Examples, dict[str, Any]]:
    """The examples with stand-ins for who was contacted, and the facts for the report.

    With `[training] contacted = "as_they_are"`, and without a campaign whose arms were drawn, the
    examples are as they were. The facts are empty without any campaign.
    """
    if examples.contacts is not None:
        return examples, {}
    campaigns = drawn_campaigns(history, settings)
    if not campaigns.drawn and not campaigns.not_drawn:
        return examples, {}
    facts: dict[str, Any] = {"contacted": settings.training.contacted, **campaigns.facts()}
    if campaigns.contacts is None:
        return examples, facts
    rows, counts = campaigns.contacts.replace(examples.rows)
    facts |= {
        "replaced": counts.replaced,
        "stand_ins": counts.stand_ins,
        "without": counts.without,
        "rate": _rate(examples.rows),
        "rate_without_contacts": _rate(rows),
    }
    if settings.training.contacted != STAND_IN:
        return examples, facts
    return replace(examples, rows=rows, contacts=campaigns.contacts), facts


def _rate(rows: pa.Table) -> float | None:
    """The share of eligible rows that left; None without any."""
    eligible = rows["eligible"].to_numpy(zero_copy_only=False)
    churned = rows["churned"].to_numpy(zero_copy_only=False)[eligible]
    return float(np.mean(churned)) if len(churned) else None
