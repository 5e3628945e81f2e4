"""Campaigns that were not drawn: how many of complete_journey's does `measure` take for an effect?

Every household that got a campaign is treated, nobody is named as held out, and the campaigns went
to chosen households. Of those with complete outcomes each should be refused with its numbers, or
have no verdict.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd

from features.core.errors import BadSetting, NotEnoughData
from features.core.settings import data_folder, settings_from_mapping
from features.tables.history import load_history
from training.campaigns.campaign_rows import campaigns_of_table
from training.effects.measure import EFFECT, HARM
from training.effects.measure import measure as measure_campaign

NOT_COMPLETE, REFUSED, SMALL = "outcomes not complete", "told apart", "too few to tell"


def measure() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        counts = _verdicts(Path(folder))
    taken = counts[EFFECT] + counts[HARM]
    complete = sum(counts.values()) - counts[NOT_COMPLETE]
    return {
        "chosen_campaigns_taken_for_an_effect": {
            "value": taken,
            "wanted": "0",
            "holds": taken == 0,
            "campaigns": complete,
            "told_apart": counts[REFUSED],
            "too_few_to_tell": counts[SMALL],
            "without_a_verdict": complete - counts[REFUSED] - counts[SMALL] - taken,
        }
    }


def _verdicts(folder: Path) -> Counter[str]:
    """How many campaigns got which verdict, or were refused why."""
    source = data_folder() / "complete_journey"
    sent = pd.read_csv(source / "campaigns.csv", dtype=str)
    sent = sent.merge(pd.read_csv(source / "campaign_descriptions.csv", dtype=str))
    sent.to_csv(folder / "sent.csv", index=False)
    settings = settings_from_mapping(_config(source), folder=folder, where="benchmark")
    history, _ = load_history(settings)
    counts: Counter[str] = Counter()
    for name in campaigns_of_table(history):
        try:
            counts[measure_campaign(history, settings, name).verdict] += 1
        except BadSetting:
            counts[REFUSED] += 1
        except NotEnoughData as error:
            counts[SMALL if "named as held out" in error.got else NOT_COMPLETE] += 1
    return counts


def _config(source: Path) -> dict[str, Any]:
    return {
        "business": {"zone": "America/New_York", "currency": "USD"},
        "churn": {"horizon_days": 30},
        "files": {
            "lines": str(source / "transactions_sample.parquet"),
            "sent": "sent.csv",
        },
        "tables": {
            "transactions": "SELECT household_id AS customer_id, sales_value AS amount, "
            "transaction_timestamp AS occurred_at FROM lines WHERE sales_value > 0",
            "treatments": "SELECT household_id AS customer_id, start_date AS occurred_at, "
            "campaign_id AS campaign FROM sent",
        },
    }
