"""The three public data sets of the quality figures, and their evaluation dates.

The dates follow from the span alone: the last three mature steps of 30 days are evaluated. Each is
learned from up to six earlier steps whose windows close by then (embargo), none before a horizon of
history. What all models share (windows, stages) is learned before the earliest of the three.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import pyarrow as pa

from benchmarks.features.environment import ROOT
from features.core.instants import day_text
from features.core.settings import Settings, data_folder, load_settings, settings_from_mapping
from features.tables import history as histories
from features.tables.history import History
from training import examples, plan

NAMES = ("online_retail", "cdnow", "complete_journey")
EVALUATED, TRAINED, STEP_DAYS = 3, 6, 30

# A basket is a transaction (of the sampled lines alone: 75,000 of 1,469,307); a campaign is a
# message on its first day, and the coupons of a day are an answer to it. The date of the
# demographics is not known, so they are not used.
COMPLETE_JOURNEY = {
    "business": {"name": "The Complete Journey", "zone": "America/New_York", "currency": "USD"},
    "files": {
        name: f"${{LIFECYCLE_DATA}}/complete_journey/{file}"
        for name, file in (
            ("lines", "transactions_sample.parquet"),
            ("products", "products.parquet"),
            ("sends", "campaigns.csv"),
            ("campaigns", "campaign_descriptions.csv"),
            ("redeemed", "coupon_redemptions.csv"),
        )
    },
    "tables": {
        "transactions": """
SELECT basket_id AS transaction_id, household_id AS customer_id,
       min(transaction_timestamp) AS occurred_at, round(sum(sales_value), 2) AS amount,
       CASE WHEN sum(sales_value) > 0 THEN 'purchase' ELSE 'void' END AS kind,
       sum(quantity) AS quantity, arg_max(department, (sales_value, department)) AS category,
       round(sum(retail_disc + coupon_disc + coupon_match_disc), 2) AS discount,
       min(store_id) AS channel
FROM lines LEFT JOIN products USING (product_id) GROUP BY basket_id, household_id""",
        "interactions": """
SELECT household_id AS customer_id, start_date AS occurred_at, 'sent' AS kind,
       campaign_type AS channel, 1 AS quantity
FROM sends JOIN campaigns USING (campaign_id)
UNION ALL
SELECT household_id, redemption_date, 'clicked', campaign_type, count(*)
FROM redeemed JOIN campaigns USING (campaign_id) GROUP BY ALL""",
    },
    "churn": {"horizon_days": 90},
}


@dataclass(frozen=True)
class Round:
    """One evaluation date, its training dates, and the catalogue's columns that a model may use."""

    at: int
    train: tuple[int, ...]
    modelled: tuple[str, ...]


@dataclass(frozen=True)
class Retailer:
    """One data set.

    `rows` are those of customers at risk (the eligible) at every date, with the catalogue's columns
    and `churned`.
    """

    name: str
    settings: Settings
    history: History
    example_set: examples.Examples
    rows: pa.Table
    rounds: tuple[Round, ...]

    @property
    def families(self) -> dict[str, str]:
        return {column.name: column.feature.family for column in self.example_set.columns}


def missing_data() -> list[str]:
    return [name for name in NAMES if not (data_folder() / name).is_dir()]


def load_retailer(name: str) -> Retailer:
    settings = _settings(name)
    history, _ = histories.load_history(settings)
    newest = plan.make_plan(history, settings).evaluate[0]
    plans = [
        plan.make_plan(history, _settings_at(settings, newest, steps))
        for steps in reversed(range(EVALUATED))
    ]
    train = sorted({at for one in plans for at in one.train})
    every = plan.Plan(tuple(train), tuple(one.evaluate[0] for one in plans), ())
    example_set = examples.make_examples(history, settings, every)
    first = plan.first_activity(history)
    rounds = [
        Round(
            one.evaluate[0],
            one.train,
            examples.supported_columns(example_set.columns, first=first, dates=one.train),
        )
        for one in plans
    ]
    return Retailer(
        name,
        settings,
        history,
        example_set,
        example_set.rows.filter(example_set.rows["eligible"]),
        tuple(rounds),
    )


def _settings(name: str) -> Settings:
    if name != "complete_journey":
        settings = load_settings(ROOT / "examples" / f"{name}.toml")
    else:
        settings = settings_from_mapping(COMPLETE_JOURNEY, folder=ROOT, where=name)
    training = settings.training.model_copy(update={"max_dates": TRAINED, "step_days": STEP_DAYS})
    return settings.model_copy(update={"training": training})


def _settings_at(settings: Settings, newest: int, steps: int) -> Settings:
    chosen = date.fromisoformat(day_text(newest, zone=settings.zone)) - timedelta(
        days=steps * STEP_DAYS
    )
    return settings.model_copy(
        update={"training": settings.training.model_copy(update={"evaluate": [chosen]})}
    )
