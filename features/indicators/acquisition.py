"""What it costs to win customers, by channel, and what they bring at the same age.

The channel of a customer is that of their row in `customers`; costs are those of `costs` by month
and the customer's own `acquisition_cost`. A month without a stated cost is not a month that cost
nothing: with one of them a channel has no cost per customer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from features.core.instants import DAY_US
from features.indicators.business_table import COUNT, NUMBER, TEXT, TableShape
from features.indicators.cohorts import acquired_sql
from features.indicators.indicator_data import IndicatorData, load, month_text
from features.indicators.intervals import Z
from features.recipes.attributes import is_current_version

Row = dict[str, Any]
EVERYBODY, UNKNOWN = "all", "(unknown)"
# A channel may have the name of one of these rows.
CHANNEL_SQL = (
    f"CASE WHEN channel IN ('{EVERYBODY}', '{UNKNOWN}') THEN channel || ' (channel)' "
    f"ELSE coalesce(nullif(trim(channel), ''), '{UNKNOWN}') END"
)
AGES = (30, 90, 180, 365)  # days since the acquisition
PAYBACK_STEP, MOST_STEPS = 30, 36  # days, and how many of them are tried
FEWEST_OLD = 10  # customers of an age, else no payback is read off them
NO_COST = "costs (a SELECT under [tables] costs), or acquisition_cost of customers"
NO_CHANNEL = "the channel of a customer (column channel of customers)"
CHANNELS = TableShape(
    "channels",
    "cost: of [tables] costs from the first month with a customer on, and acquisition_cost of "
    "customers; cost_per_customer: cost / n, null "
    "where months_without_cost (months in which customers were acquired and no cost is stated) is "
    "above 0; payback_days: the age, in steps of 30 days, at which their money × [value] margin "
    "reaches it, of the customers so old; null where it does not, or is not known",
    "customers acquired in months that are over, by channel",
    {
        "channel": TEXT,
        "cost": NUMBER,
        "months_without_cost": COUNT,
        "cost_per_customer": NUMBER,
        "payback_days": COUNT,
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
    "high: its 95 % interval; repeat_share: with a second activity within age_days",
    "customers acquired at least age_days ago, by channel",
    {"channel": TEXT, "age_days": COUNT, "money_per_customer": NUMBER, "repeat_share": NUMBER},
)
_PEOPLE = """
CREATE TABLE channel_of AS
SELECT who, {channel} AS channel, acquired_at, cohort, acquisition_cost
FROM ({acquired}) LEFT JOIN (
    SELECT who, min(channel) AS channel, min(acquisition_cost) AS acquisition_cost
    FROM incoming JOIN people USING (customer_id) GROUP BY who
) USING (who)
"""
_COSTS = """
CREATE TABLE channel_costs AS
SELECT {channel} AS channel, year(local) * 12 + month(local) - 1 AS month, sum(amount) AS cost
FROM (SELECT *, timezone('{zone}', make_timestamptz(month)) AS local FROM incoming) GROUP BY ALL
"""
_MONTHS = """
WITH acquired AS (
    SELECT channel, cohort AS month, count(*) AS n, sum(acquisition_cost) AS own
    FROM channel_of WHERE cohort < {open} GROUP BY ALL
)
SELECT channel, {text} AS month, month AS number, coalesce(n, 0) AS n, cost, own,
       CAST(coalesce(cost, 0) + coalesce(own, 0) AS BIGINT) AS total,
       cost IS NOT NULL OR coalesce(own, 0) > 0 AS is_known
FROM acquired FULL JOIN (
    SELECT * FROM channel_costs
    WHERE month < {open} AND month >= (SELECT min(cohort) FROM channel_of)
) USING (channel, month) ORDER BY channel, number
"""
_LIVES = """
SELECT who, channel, {as_of} - acquired_at AS observed, second_at - acquired_at AS second
FROM channel_of LEFT JOIN (
    SELECT who, min(occurred_at) AS second_at FROM activity WHERE position > 1 GROUP BY who
) USING (who) ORDER BY who
"""
_MONEY = """
SELECT who, occurred_at - acquired_at AS age, net FROM channel_of JOIN money USING (who)
WHERE occurred_at >= acquired_at ORDER BY who
"""


@dataclass(frozen=True)
class ChannelLives:
    """Customers and their money since they were acquired, by channel.

    `channel`: index in `names`; `observed` and `second` (of the second activity, NaN without): µs
    since the acquisition, (customers,). `owner`: the customer of a purchase or refund; `age`: µs;
    `net`: minor units, (rows,), whole numbers, so that the order of their sum says nothing.
    """

    names: list[str]
    channel: np.ndarray
    observed: np.ndarray
    second: np.ndarray
    owner: np.ndarray
    age: np.ndarray
    net: np.ndarray

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
        )

    def of(self, name: str) -> np.ndarray:
        """Which customers are of the channel, bool (customers,)."""
        if name == EVERYBODY:
            return np.ones(len(self.channel), dtype=bool)
        return self.channel == self.names.index(name)

    def money_within(self, age: int, mine: np.ndarray) -> np.ndarray:
        """The money within `age` µs of each of these customers who were acquired so long ago."""
        old = mine & (self.observed >= age)
        counts = (self.age < age) & old[self.owner]
        sums = np.bincount(self.owner[counts], self.net[counts], minlength=len(old))
        return sums[old]


def acquisition_tables(data: IndicatorData) -> dict[str, pa.Table]:
    """`channels` (all of them last), `channel_months` and `channel_ages`."""
    shapes = (CHANNELS, CHANNEL_MONTHS, CHANNEL_AGES)
    if not _load_channels(data):
        return {shape.name: shape.say_missing(NO_CHANNEL, as_of=data.as_of) for shape in shapes}
    months = data.rows(
        _MONTHS.format(open=data.first_open_month, text=month_text("month"))
    ).to_pylist()
    unit = 10**data.settings.minor_digits
    lives = ChannelLives.read(data)
    ages = list(_age_rows(lives, unit, has_money=data.has_purchase))
    channels = CHANNELS.fill_rows(_channel_rows(data, lives, months, unit), as_of=data.as_of)
    if not any(row["is_known"] for row in months):
        missing = CHANNELS.say_missing(NO_COST, as_of=data.as_of)
        channels = pa.concat_tables([channels, missing])
    return {
        "channels": channels,
        "channel_months": CHANNEL_MONTHS.fill_rows(_month_rows(months, unit), as_of=data.as_of),
        "channel_ages": CHANNEL_AGES.fill_rows(ages, as_of=data.as_of),
    }


def _load_channels(data: IndicatorData) -> bool:
    """Create `channel_of` and `channel_costs`; whether any customer has a channel."""
    customers = data.known.tables.get("customers")
    if customers is None:
        return False
    columns = ("customer_id", "channel", "acquisition_cost")
    rows = customers.filter(is_current_version()).select(*columns).collect(backend="pyarrow")
    create = _PEOPLE.format(acquired=acquired_sql(data), channel=CHANNEL_SQL)
    load(data.connection, rows.to_native(), create)
    costs = data.known.further.get("costs")
    if costs is None:
        empty = {"channel": pa.string(), "month": pa.int64(), "amount": pa.int64()}
        table = pa.schema(empty.items()).empty_table()
    else:
        table = costs.select("channel", "month", "amount").collect(backend="pyarrow").to_native()
    load(data.connection, table, _COSTS.format(zone=data.settings.zone, channel=CHANNEL_SQL))
    return bool(data.value(f"SELECT count(*) FROM channel_of WHERE channel <> '{UNKNOWN}'"))


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
    rows = []
    for name in [*dict.fromkeys(row["channel"] for row in months), EVERYBODY]:
        mine = [row for row in months if name in (EVERYBODY, row["channel"])]
        n, is_known = sum(row["n"] for row in mine), any(row["is_known"] for row in mine)
        cost = sum(row["total"] for row in mine) / unit
        without = len({row["number"] for row in mine if row["n"] and not row["is_known"]})
        each = cost / n if is_known and n and not without else None
        margin = data.settings.value.margin
        rows.append(
            {
                "channel": name,
                "n": n,
                "cost": cost if is_known else None,
                "months_without_cost": without,
                "cost_per_customer": each,
                "payback_days": None
                if each is None or each < 0
                else _payback(lives, name, each * unit / margin),
            }
        )
    return rows


def _payback(lives: ChannelLives, name: str, money: float) -> int | None:
    """The age in days at which the mean money of the customers so old reaches `money`."""
    mine = lives.of(name)
    for step in range(1, MOST_STEPS + 1):
        within = lives.money_within(step * PAYBACK_STEP * DAY_US, mine)
        if len(within) < FEWEST_OLD:
            return None
        if within.mean() >= money:
            return step * PAYBACK_STEP
    return None


def _age_rows(lives: ChannelLives, unit: int, *, has_money: bool) -> Iterator[Row]:
    """A row for each age and channel that somebody has reached, everybody last."""
    for days in AGES:
        for name in [*lives.names, EVERYBODY]:
            mine = lives.of(name)
            money = lives.money_within(days * DAY_US, mine) / unit
            if not len(money):
                continue
            old = mine & (lives.observed >= days * DAY_US)
            half = Z * float(money.std(ddof=1)) / np.sqrt(len(money)) if len(money) > 1 else None
            mean = float(money.mean())
            yield {
                "channel": name,
                "age_days": days,
                "n": len(money),
                "money_per_customer": mean if has_money else None,
                "low": None if half is None or not has_money else mean - half,
                "high": None if half is None or not has_money else mean + half,
                "repeat_share": float((lives.second[old] < days * DAY_US).mean()),
            }
