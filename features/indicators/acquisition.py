"""What it costs to win customers, by channel, and what they bring at the same age.

A young channel is not worse for being young: money is compared at the same age.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from features.core.instants import DAY_US
from features.indicators.business_table import COUNT, NUMBER, TEXT, TableShape
from features.indicators.channel_costs import (
    EVERYBODY,
    NO_COST,
    NOBODY,
    costs_of,
    load_channels,
    months_of_channels,
)
from features.indicators.indicator_data import IndicatorData
from features.indicators.intervals import Z

Row = dict[str, Any]
AGES = (30, 90, 180, 365)  # days since the acquisition
PAYBACK_STEP, MOST_STEPS = 30, 36  # days, and how many of them are tried
WHOLE_DAYS, EARLY_DAYS = 365, 90  # ages between which early and late money are told apart
FEWEST_OLD = 10  # customers of an age, else no payback is read off them
NO_CHANNEL = "the channel of a customer (column channel of customers)"
CHANNELS = TableShape(
    "channels",
    "cost: of [tables] costs from the first month with a customer on, and acquisition_cost of "
    "customers; cost_per_customer: cost / n, null "
    "where months_without_cost (months in which customers were acquired and no cost is stated) is "
    "above 0; payback_days: the age, in steps of 30 days, at which their money × [value] margin "
    "reaches it, of the customers so old; null where it does not, or is not known; most_cost: what "
    "a customer may cost at most, their money × margin within 365 days of those so old; "
    "early_share: of that money, what came within 90 days (above 25 % it comes early)",
    "customers acquired in months that are over, by channel",
    {
        "channel": TEXT,
        "cost": NUMBER,
        "months_without_cost": COUNT,
        "cost_per_customer": NUMBER,
        "payback_days": COUNT,
        "most_cost": NUMBER,
        "early_share": NUMBER,
    },
)
CHANNEL_MONTHS = TableShape(
    "channel_months",
    "customers acquired in the month, and its cost; null where the cost of the month is not stated",
    "customers acquired in the month through the channel",
    {"channel": TEXT, "month": TEXT, "cost": NUMBER, "cost_per_customer": NUMBER},
)
CHANNEL_AGES = TableShape(
    "channel_ages",
    "money_per_customer: purchases minus refunds within age_days of the acquisition, of customers "
    "who were acquired at least so long ago, so that no channel is worse for being young; low and "
    "high: its 95 % interval; money_over_cost: that × [value] margin over cost_per_customer of "
    "`channels`, at the same age; repeat_share: with a second activity within age_days",
    "customers acquired at least age_days ago, by channel",
    {
        "channel": TEXT,
        "age_days": COUNT,
        "money_per_customer": NUMBER,
        "money_over_cost": NUMBER,
        "repeat_share": NUMBER,
    },
)
_LIVES = """
SELECT who, channel, {as_of} - acquired_at AS observed, second_at - acquired_at AS second
FROM channel_of LEFT JOIN (
    SELECT who, min(occurred_at) AS second_at FROM activity WHERE position > 1 GROUP BY who
) USING (who) ORDER BY who
"""
_MONEY = """
SELECT who, occurred_at - acquired_at AS age, net, earned FROM channel_of JOIN money USING (who)
WHERE occurred_at >= acquired_at ORDER BY who
"""


@dataclass(frozen=True)
class ChannelLives:
    """Customers and their money since they were acquired, by channel.

    `channel`: index in `names`; `observed` and `second` (of the second activity, NaN without): µs
    since the acquisition, (customers,). `owner`: the customer of a purchase or refund; `age`: µs;
    `net` and `earned` (of IndicatorData): minor units, (rows,), whole numbers, so that the order of
    their sum says nothing.
    """

    names: list[str]
    channel: np.ndarray
    observed: np.ndarray
    second: np.ndarray
    owner: np.ndarray
    age: np.ndarray
    net: np.ndarray
    earned: np.ndarray

    @classmethod
    def read(cls, data: IndicatorData) -> ChannelLives:
        lives, money = data.rows(_LIVES.format(as_of=data.as_of)), data.rows(_MONEY)
        names, channel = np.unique(np.array(lives["channel"].to_pylist()), return_inverse=True)
        who = lives["who"].to_numpy()
        return cls(
            names.tolist(),
            channel,
            lives["observed"].to_numpy(),
            lives["second"].to_numpy().astype(float),
            np.searchsorted(who, money["who"].to_numpy()),
            money["age"].to_numpy(),
            money["net"].to_numpy().astype(float),
            money["earned"].to_numpy().astype(float),
        )

    def of(self, name: str) -> np.ndarray:
        """Which customers are of the channel, bool (customers,)."""
        if name == EVERYBODY:
            return np.ones(len(self.channel), dtype=bool)
        if name not in self.names:  # a cost was stated for it, and nobody came through it
            return np.zeros(len(self.channel), dtype=bool)
        return self.channel == self.names.index(name)

    def money_within(self, age: int, mine: np.ndarray) -> np.ndarray:
        """The money within `age` µs of each of these customers who were acquired so long ago."""
        return self._within(self.net, age, mine)

    def earned_within(self, age: int, mine: np.ndarray) -> np.ndarray:
        """What they earned within `age` µs, in the same order."""
        return self._within(self.earned, age, mine)

    def _within(self, money: np.ndarray, age: int, mine: np.ndarray) -> np.ndarray:
        old = mine & (self.observed >= age)
        counts = (self.age < age) & old[self.owner]
        sums = np.bincount(self.owner[counts], money[counts], minlength=len(old))
        return sums[old]


def acquisition_tables(data: IndicatorData) -> dict[str, pa.Table]:
    """`channels` (all of them last), `channel_months` and `channel_ages`."""
    shapes = (CHANNELS, CHANNEL_MONTHS, CHANNEL_AGES)
    if not load_channels(data):
        anybody = data.value("SELECT count(*) FROM channel_of")
        missing = NO_CHANNEL if anybody else NOBODY
        return {shape.name: shape.say_missing(missing, as_of=data.as_of) for shape in shapes}
    months = months_of_channels(data)
    unit = 10**data.settings.minor_digits
    lives = ChannelLives.read(data)
    rows = _channel_rows(data, lives, months, unit)
    cost = {row["channel"]: row["cost_per_customer"] for row in rows}
    ages = list(_age_rows(data, lives, unit, cost))
    channels = CHANNELS.fill_rows(rows, as_of=data.as_of)
    if not any(row["is_known"] for row in months):
        missing = CHANNELS.say_missing(NO_COST, as_of=data.as_of)
        channels = pa.concat_tables([channels, missing])
    return {
        "channels": channels,
        "channel_months": CHANNEL_MONTHS.fill_rows(_month_rows(months, unit), as_of=data.as_of),
        "channel_ages": CHANNEL_AGES.fill_rows(ages, as_of=data.as_of),
    }


def _month_rows(months: list[Row], unit: int) -> list[Row]:
    return [
        {
            "channel": row["channel"],
            "month": row["month"],
            "n": row["n"],
            "cost": row["total"] / unit if row["is_known"] else None,
            "cost_per_customer": row["total"] / unit / row["n"]
            if row["is_known"] and row["n"]
            else None,
        }
        for row in months
    ]


def _channel_rows(
    data: IndicatorData, lives: ChannelLives, months: list[Row], unit: int
) -> list[Row]:
    margin, rows = data.settings.value.margin_share, []
    has_money = data.has_purchase and data.has_margins
    for name in [*dict.fromkeys(row["channel"] for row in months), EVERYBODY]:
        costs = costs_of(months, name, unit)
        each = costs["cost_per_customer"]
        rows.append(
            {
                "channel": name,
                **costs,
                "payback_days": None
                if each is None or each < 0 or not data.has_margins
                else _payback(lives, name, each * unit / margin),
                **_whole_and_early(lives, name, margin / unit, has_money=has_money),
            }
        )
    return rows


def _whole_and_early(
    lives: ChannelLives, name: str, worth: float, *, has_money: bool
) -> dict[str, float | None]:
    """What a customer may cost at most, and the share of it that comes early.

    `worth`: of one minor unit of money. Null where fewer than FEWEST_OLD customers are so old.
    """
    old = lives.of(name) & (lives.observed >= WHOLE_DAYS * DAY_US)
    if old.sum() < FEWEST_OLD or not has_money:
        return {"most_cost": None, "early_share": None}
    whole = lives.earned_within(WHOLE_DAYS * DAY_US, old).sum()
    early = lives.earned_within(EARLY_DAYS * DAY_US, old).sum()
    return {
        "most_cost": float(whole * worth / old.sum()),
        "early_share": float(early / whole) if whole > 0 else None,
    }


def _payback(lives: ChannelLives, name: str, money: float) -> int | None:
    """The age in days at which the customers so old have earned `money` on average."""
    mine = lives.of(name)
    for step in range(1, MOST_STEPS + 1):
        within = lives.earned_within(step * PAYBACK_STEP * DAY_US, mine)
        if len(within) < FEWEST_OLD:
            return None
        if within.mean() >= money:
            return step * PAYBACK_STEP
    return None


def _age_rows(
    data: IndicatorData, lives: ChannelLives, unit: int, cost: Mapping[str, float | None]
) -> Iterator[Row]:
    """A row for each age and channel that somebody has reached, everybody last.

    `cost`: of a customer, by channel; None where it is not known.
    """
    has_money, margin = data.has_purchase, data.settings.value.margin_share
    earns = has_money and data.has_margins
    for days in AGES:
        for name in [*lives.names, EVERYBODY]:
            mine = lives.of(name)
            money = lives.money_within(days * DAY_US, mine) / unit
            if not len(money):
                continue
            old = mine & (lives.observed >= days * DAY_US)
            half = Z * float(money.std(ddof=1)) / np.sqrt(len(money)) if len(money) > 1 else None
            mean, each = float(money.mean()), cost.get(name)
            earned = float((lives.earned_within(days * DAY_US, mine) / unit).mean())
            yield {
                "channel": name,
                "age_days": days,
                "n": len(money),
                "money_per_customer": mean if has_money else None,
                "money_over_cost": earned * margin / each if earns and each else None,
                "low": None if half is None or not has_money else mean - half,
                "high": None if half is None or not has_money else mean + half,
                "repeat_share": float((lives.second[old] < days * DAY_US).mean()),
            }
