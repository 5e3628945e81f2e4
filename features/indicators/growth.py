"""Growth accounting: why this month's revenue differs from the last one's (Hsu 2015).

    change = new + reactivated + expanded − contracted − lost

Each customer's change of revenue from month to month goes into one of the five:

    new          the first month with a purchase
    reactivated  a purchase, none in the month before, one earlier
    lost         a purchase in the month before and none in this one
    contracted   all others whose revenue fell
    expanded     all others

Revenue is purchases minus refunds, so a month with refunds alone counts as contracted or expanded,
and a new customer's revenue can be below 0. Sums are whole minor units: they are exact. The parts
of a segment or category are the same changes, by the customer's segment now and by the category
bought, so that each of the five sums to its total.
"""

from __future__ import annotations

import pyarrow as pa

from features.indicators.business_table import COUNT, NUMBER, TEXT, TableShape
from features.indicators.indicator_data import NO_PURCHASE, IndicatorData, month_text

PARTS = ("new", "reactivated", "expanded", "contracted", "lost")
LOSSES = ("contracted", "lost")
ALL, SEGMENT, CATEGORY = "all", "segment", "category"
MOST_CATEGORIES = 20
UNKNOWN, OTHERS = "(not known)", "(others)"
GROWTH = TableShape(
    "growth",
    "change of revenue (purchases minus refunds) from the month before = new + reactivated + "
    "expanded − contracted − lost, by what the customer did in both months; of a category: the "
    "part of that change in it; n: customers with a purchase in the month",
    "customers with a purchase or refund",
    {
        "dimension": TEXT,
        "level": TEXT,
        "month": TEXT,
        "revenue": NUMBER,
        "revenue_before": NUMBER,
        "change": NUMBER,
        **dict.fromkeys(PARTS, NUMBER),
        **{f"customers_{part}": COUNT for part in PARTS},
    },
)
_CHANGES = """
CREATE TABLE growth_changes AS WITH months AS (
    SELECT who, month, sum(net) AS net, bool_or(bought) AS active,
           min(month) FILTER (bool_or(bought)) OVER (PARTITION BY who) AS first_month
    FROM money WHERE month < {open} GROUP BY who, month
), changes AS (
    SELECT coalesce(now.who, before.who) AS who, coalesce(now.month, before.month + 1) AS month,
           coalesce(now.net, 0) AS net, coalesce(before.net, 0) AS net_before,
           coalesce(now.active, false) AS active, coalesce(before.active, false) AS was_active,
           coalesce(now.first_month, before.first_month) AS first_month
    FROM months AS now FULL JOIN months AS before
    ON now.who = before.who AND now.month = before.month + 1
)
SELECT *, CASE WHEN active AND month = first_month THEN 'new'
               WHEN active AND NOT was_active THEN 'reactivated'
               WHEN was_active AND NOT active THEN 'lost'
               WHEN net < net_before THEN 'contracted' ELSE 'expanded' END AS part
FROM changes WHERE month < {open}
"""
_CATEGORIES = """
CREATE TABLE growth_by_category AS WITH named AS (
    SELECT *, coalesce(category, '{unknown}') AS name FROM money WHERE month < {open}
), largest AS (
    SELECT name FROM named GROUP BY name ORDER BY sum(net) DESC, name LIMIT {most}
), months AS (
    SELECT who, month, CASE WHEN name IN (FROM largest) THEN name ELSE '{others}' END AS level,
           sum(net) AS net, bool_or(bought) AS active
    FROM named GROUP BY ALL
), changes AS (
    SELECT coalesce(now.who, before.who) AS who, coalesce(now.month, before.month + 1) AS month,
           coalesce(now.level, before.level) AS level, coalesce(now.net, 0) AS net,
           coalesce(before.net, 0) AS net_before, coalesce(now.active, false) AS active,
           coalesce(before.active, false) AS was_active
    FROM months AS now FULL JOIN months AS before
    ON now.who = before.who AND now.level = before.level AND now.month = before.month + 1
)
SELECT changes.*, part FROM changes JOIN growth_changes USING (who, month)
"""
_TABLE = """
WITH levels AS (SELECT DISTINCT level FROM {changes}),
months AS (SELECT unnest(range((SELECT min(month) FROM growth_changes), {open})) AS month),
sums AS (
    SELECT level, month, sum(net) AS net, sum(net_before) AS net_before,
           count(DISTINCT who) FILTER (active) AS n, {sums}
    FROM {changes} GROUP BY level, month
)
SELECT '{dimension}' AS dimension, levels.level, {month} AS month,
       {revenue} AS revenue, {before} AS revenue_before, {change} AS change, {parts},
       coalesce(n, 0) AS n, {counts}
FROM levels CROSS JOIN months LEFT JOIN sums
ON sums.level = levels.level AND sums.month = months.month
ORDER BY levels.level, months.month
"""


def growth_table(data: IndicatorData) -> dict[str, pa.Table]:
    """`growth`: a row per complete month, of all customers, of each segment and of each category.

    Of more than 20 categories those with the most revenue, the rest as one.
    """
    first = "(SELECT min(month) FROM money WHERE bought)"
    if not data.value(f"SELECT coalesce({first} < {data.first_open_month}, false)"):
        missing = (
            f"a complete month; {NO_PURCHASE}" if not data.has_purchase else "a complete month"
        )
        return {"growth": GROWTH.say_missing(missing, as_of=data.as_of, dimension=ALL)}
    data.connection.execute(_CHANGES.format(open=data.first_open_month))
    tables = [_by(data, ALL, f"(SELECT *, '{ALL}' AS level FROM growth_changes)")]
    return {"growth": pa.concat_tables([*tables, _by_segment(data), _by_category(data)])}


def _by_segment(data: IndicatorData) -> pa.Table:
    if not data.has_segments:
        missing = "a segment of customers, with valid_from or in [contract] constant_attributes"
        return GROWTH.say_missing(missing, as_of=data.as_of, dimension=SEGMENT)
    level = f"coalesce(segment, '{UNKNOWN}')"
    changes = f"(SELECT c.*, {level} AS level FROM growth_changes AS c JOIN people USING (who))"
    return _by(data, SEGMENT, changes)


def _by_category(data: IndicatorData) -> pa.Table:
    if not data.value("SELECT count(category) FROM money"):
        missing = "a category of transactions"
        return GROWTH.say_missing(missing, as_of=data.as_of, dimension=CATEGORY)
    data.connection.execute(
        _CATEGORIES.format(
            unknown=UNKNOWN, others=OTHERS, most=MOST_CATEGORIES, open=data.first_open_month
        )
    )
    return _by(data, CATEGORY, "growth_by_category")


def _by(data: IndicatorData, dimension: str, changes: str) -> pa.Table:
    signs = {part: -1 if part in LOSSES else 1 for part in PARTS}
    # One category can rise as another falls: that is of `expanded` too, and nobody is counted.
    change, counts = "(net - net_before)", "(net <> net_before OR active <> was_active)"
    sums = [
        f"sum({sign} * {change}) FILTER (part = '{part}') AS {part}, "
        f"count(DISTINCT who) FILTER (part = '{part}' AND {counts}) AS customers_{part}"
        for part, sign in signs.items()
    ]
    rows = data.rows(
        _TABLE.format(
            changes=changes,
            open=data.first_open_month,
            sums=", ".join(sums),
            dimension=dimension,
            month=month_text("months.month"),
            revenue=data.units("coalesce(net, 0)"),
            before=data.units("coalesce(net_before, 0)"),
            change=data.units("coalesce(net - net_before, 0)"),
            parts=", ".join(f"{data.units(f'coalesce({part}, 0)')} AS {part}" for part in PARTS),
            counts=", ".join(
                f"coalesce(customers_{part}, 0) AS customers_{part}" for part in PARTS
            ),
        )
    )
    return GROWTH.fill(rows, as_of=data.as_of)
