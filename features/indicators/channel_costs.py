"""Which channel customers came through, and what it cost to win them, by month.

The channel of a customer is that of their row in `customers`; costs are those of `costs` by month
and the customer's own `acquisition_cost`. A month without a stated cost is not a month that cost
nothing: with one of them a channel has no cost per customer.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from features.indicators.cohorts import acquired_sql
from features.indicators.indicator_data import IndicatorData, load, month_text
from features.recipes.attributes import is_current_version

Row = dict[str, Any]
EVERYBODY, UNKNOWN = "all", "(unknown)"
# A channel may have the name of one of these rows.
CHANNEL_SQL = (
    f"CASE WHEN channel IN ('{EVERYBODY}', '{UNKNOWN}') THEN channel || ' (channel)' "
    f"ELSE coalesce(nullif(trim(channel), ''), '{UNKNOWN}') END"
)
NOBODY = "a customer who was acquired in a month that is over"
NO_COST = "costs (a SELECT under [tables] costs), or acquisition_cost of customers"
_OWN_CHANNEL = """
CREATE TABLE stated_channel AS
SELECT who, min(channel) AS channel, min(acquisition_cost) AS acquisition_cost
FROM incoming JOIN people USING (customer_id) GROUP BY who
"""
_PEOPLE = """
CREATE TABLE channel_of AS
SELECT who, {channel} AS channel, acquired_at, cohort, acquisition_cost
FROM ({acquired}) LEFT JOIN stated_channel USING (who)
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


def load_channels(data: IndicatorData) -> bool:
    """Create `stated_channel`, `channel_of` (of who was acquired) and `channel_costs`.

    Whether any customer who was acquired has a channel.

    Without a table of customers the channel of everybody is unknown.
    """
    customers = data.known.tables.get("customers")
    columns = ("customer_id", "channel", "acquisition_cost")
    if data.has_table("channel_of"):
        return _has_channel(data)
    if customers is None:
        fields = (("customer_id", pa.string()), ("channel", pa.string()))
        table = pa.schema([*fields, ("acquisition_cost", pa.int64())]).empty_table()
    else:
        rows = customers.filter(is_current_version()).select(*columns).collect(backend="pyarrow")
        table = rows.to_native()
    load(data.connection, table, _OWN_CHANNEL)
    people = _PEOPLE.format(acquired=acquired_sql(data), channel=CHANNEL_SQL)
    data.connection.execute(people)
    costs = data.known.further.get("costs")
    if costs is None:
        empty = {"channel": pa.string(), "month": pa.int64(), "amount": pa.int64()}
        table = pa.schema(empty.items()).empty_table()
    else:
        table = costs.select("channel", "month", "amount").collect(backend="pyarrow").to_native()
    load(data.connection, table, _COSTS.format(zone=data.settings.zone, channel=CHANNEL_SQL))
    return _has_channel(data)


def _has_channel(data: IndicatorData) -> bool:
    return bool(data.value(f"SELECT count(*) FROM channel_of WHERE channel <> '{UNKNOWN}'"))


def months_of_channels(data: IndicatorData) -> list[Row]:
    """n, cost, own and total (minor units) of each channel and month that is over."""
    sql = _MONTHS.format(open=data.first_open_month, text=month_text("month"))
    return data.rows(sql).to_pylist()


def costs_of_channels(data: IndicatorData) -> dict[str, Row]:
    """n, cost, months_without_cost and cost_per_customer of each channel, EVERYBODY last.

    `load_channels` has to come before.
    """
    months = months_of_channels(data)
    names = [*dict.fromkeys(row["channel"] for row in months), EVERYBODY]
    return {name: costs_of(months, name, 10**data.settings.minor_digits) for name in names}


def cost_of_all(data: IndicatorData) -> tuple[Row, str | None]:
    """The costs of everybody, and what is missing where there is no cost of a customer."""
    load_channels(data)
    everybody = costs_of_channels(data)[EVERYBODY]
    if not everybody["n"]:
        return everybody, NOBODY
    if everybody["cost"] is None:
        return everybody, NO_COST
    if everybody["cost_per_customer"] is None:
        months = everybody["months_without_cost"]
        return everybody, f"the cost of {months} months in which customers were acquired"
    return everybody, None


def costs_of(months: list[Row], name: str, unit: int) -> Row:
    """n, cost, months_without_cost and cost_per_customer of a channel, or of EVERYBODY."""
    mine = [row for row in months if name in (EVERYBODY, row["channel"])]
    n, is_known = sum(row["n"] for row in mine), any(row["is_known"] for row in mine)
    cost = sum(row["total"] for row in mine) / unit
    without = len({row["number"] for row in mine if row["n"] and not row["is_known"]})
    return {
        "n": n,
        "cost": cost if is_known else None,
        "months_without_cost": without,
        "cost_per_customer": cost / n if is_known and n and not without else None,
    }
