"""What customers of a channel brought and are expected to bring, over what they cost to win."""

from __future__ import annotations

import pyarrow as pa

from features.indicators.acquisition import NO_CHANNEL
from features.indicators.business_table import NUMBER, TEXT, TableShape
from features.indicators.channel_costs import (
    CHANNEL_SQL,
    EVERYBODY,
    costs_of_channels,
    load_channels,
)
from features.indicators.indicator_data import NO_MARGINS, IndicatorData, exact_sum
from serving.value.value_matrix import NO_VALUE

CHANNEL_WORTH = TableShape(
    "channel_worth",
    "money_per_customer: purchases minus refunds × [value] margin so far; mean_clv: expected money "
    "of the days of [value]; worth_per_customer: both together; worth_over_cost: that over "
    "cost_per_customer of `channels` (CLV / CAC); null where the cost is not known. An "
    "older channel has had more time to bring money: `channel_ages` compares at the same age",
    "customers with a clv, by channel",
    {
        "channel": TEXT,
        "money_per_customer": NUMBER,
        "mean_clv": NUMBER,
        "worth_per_customer": NUMBER,
        "cost_per_customer": NUMBER,
        "worth_over_cost": NUMBER,
    },
)
_WORTH = f"""
WITH each AS (
    SELECT {CHANNEL_SQL} AS channel, clv, coalesce(paid, 0) AS paid
    FROM scores LEFT JOIN stated_channel USING (who)
    LEFT JOIN (SELECT who, sum(earned) AS paid FROM money GROUP BY who) USING (who)
    WHERE clv IS NOT NULL
)
SELECT coalesce(channel, '{EVERYBODY}') AS channel, count(*) AS n,
       CAST(sum(paid) AS DOUBLE) / count(*) AS paid, {exact_sum("clv")} / count(*) AS mean_clv
FROM each GROUP BY GROUPING SETS ((channel), ()) HAVING count(*) > 0
ORDER BY grouping(channel), channel
"""


def channel_worth_table(data: IndicatorData) -> dict[str, pa.Table]:
    """`channel_worth`: a row for each channel, all of them last."""
    if not load_channels(data):
        return {"channel_worth": CHANNEL_WORTH.say_missing(NO_CHANNEL, as_of=data.as_of)}
    if not data.has_margins:
        return {"channel_worth": CHANNEL_WORTH.say_missing(NO_MARGINS, as_of=data.as_of)}
    rows = data.rows(_WORTH).to_pylist()
    if not rows:
        return {"channel_worth": CHANNEL_WORTH.say_missing(NO_VALUE, as_of=data.as_of)}
    costs = costs_of_channels(data)
    margin = data.settings.value.margin_share / 10**data.settings.minor_digits
    filled = []
    for row in rows:
        cost = costs.get(row["channel"], {}).get("cost_per_customer")
        money = row["paid"] * margin
        filled.append(
            {
                "channel": row["channel"],
                "n": row["n"],
                "money_per_customer": money,
                "mean_clv": row["mean_clv"],
                "worth_per_customer": money + row["mean_clv"],
                "cost_per_customer": cost,
                "worth_over_cost": (money + row["mean_clv"]) / cost if cost else None,
            }
        )
    return {"channel_worth": CHANNEL_WORTH.fill_rows(filled, as_of=data.as_of)}
