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
    "part of that change in it, and no customers_…; n: customers with a purchase in the month",
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
# Of every customer and month with money what it changes then, and what its end changes afterwards.
_MONTHS = """
CREATE TABLE growth_months AS WITH months AS (
    SELECT who, month, sum(net) AS net, bool_or(bought) AS active
    FROM money WHERE month < {open} GROUP BY who, month
), neighbours AS (
    SELECT *, min(month) FILTER (active) OVER (PARTITION BY who) AS first_month,
           lag(month) OVER w AS month_before, lag(net) OVER w AS net_lag,
           lag(active) OVER w AS active_lag, lead(month) OVER w AS next_month
    FROM months WINDOW w AS (PARTITION BY who ORDER BY month)
), compared AS (
    SELECT who, month, net, active, first_month, next_month,
           CASE WHEN month_before = month - 1 THEN net_lag ELSE 0 END AS net_before,
           coalesce(month_before = month - 1 AND active_lag, false) AS was_active
    FROM neighbours
), named AS (
    SELECT *, CASE WHEN active AND month = first_month THEN 'new'
                   WHEN active AND NOT was_active THEN 'reactivated'
                   WHEN was_active AND NOT active THEN 'lost'
                   WHEN net < net_before THEN 'contracted' ELSE 'expanded' END AS part
    FROM compared
)
SELECT *, coalesce(next_month = month + 1, false) AS goes_on,
       CASE WHEN next_month = month + 1
            THEN lead(part) OVER (PARTITION BY who ORDER BY month)
            WHEN active THEN 'lost' WHEN net > 0 THEN 'contracted' ELSE 'expanded' END AS part_after
FROM named
"""
_CHANGES = """
CREATE VIEW growth_changes AS
SELECT who, month, net, net_before, active, part,
       net <> net_before OR active <> was_active AS counts FROM growth_months
UNION ALL
SELECT who, month + 1, 0, net, false, part_after, active OR net <> 0 FROM growth_months
WHERE NOT goes_on AND month + 1 < {open}
"""
_SUMS = """
SELECT {level} AS level, month, sum(net) AS net, sum(net_before) AS net_before,
       count(*) FILTER (active) AS n, {sums}
FROM growth_changes {people} GROUP BY ALL
"""
# The part of a customer's change that is in a category: its money now, and the end of that before.
_CATEGORY_SUMS = """
SELECT level, month, sum(net) AS net, sum(net_before) AS net_before, sum(n) AS n, {sums} FROM (
    SELECT level, month, part, sum(net) AS net, 0 AS net_before,
           count(DISTINCT who) FILTER (bought) AS n FROM growth_categories GROUP BY ALL
    UNION ALL
    SELECT level, month + 1, part_after, 0, sum(net), 0 FROM growth_categories
    WHERE month + 1 < {open} GROUP BY ALL
) GROUP BY ALL
"""
_CATEGORIES = """
CREATE TABLE growth_categories AS WITH largest AS (
    SELECT category AS name FROM money WHERE month < {open} AND category IS NOT NULL
    GROUP BY category ORDER BY sum(net) DESC, category LIMIT {most}
)
SELECT who, month, money.net, bought, part, part_after,
       CASE WHEN category IS NULL THEN '{unknown}'
            WHEN category IN (FROM largest) THEN category ELSE '{others}' END AS level
FROM money JOIN growth_months USING (who, month)
"""
_TABLE = """
WITH sums AS ({sums}), levels AS (SELECT DISTINCT level FROM sums),
months AS (SELECT unnest(range((SELECT min(month) FROM growth_months), {open})) AS month)
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
    data.connection.execute(_MONTHS.format(open=data.first_open_month))
    data.connection.execute(_CHANGES.format(open=data.first_open_month))
    sums = _SUMS.format(level=f"'{ALL}'", people="", sums=_sums(counted=True))
    tables = [_by(data, ALL, sums), _by_segment(data), _by_category(data)]
    return {"growth": pa.concat_tables(tables)}


def _by_segment(data: IndicatorData) -> pa.Table:
    if not data.has_segments:
        missing = "a segment of customers, with valid_from or in [contract] constant_attributes"
        return GROWTH.say_missing(missing, as_of=data.as_of, dimension=SEGMENT)
    level = f"coalesce(segment, '{UNKNOWN}')"
    people = "JOIN people USING (who)"
    return _by(data, SEGMENT, _SUMS.format(level=level, people=people, sums=_sums(counted=True)))


def _by_category(data: IndicatorData) -> pa.Table:
    if not data.value("SELECT count(category) FROM money"):
        missing = "a category of transactions"
        return GROWTH.say_missing(missing, as_of=data.as_of, dimension=CATEGORY)
    names = {"unknown": UNKNOWN, "others": OTHERS, "most": MOST_CATEGORIES}
    data.connection.execute(_CATEGORIES.format(open=data.first_open_month, **names))
    sums = _CATEGORY_SUMS.format(open=data.first_open_month, sums=_sums(counted=False))
    return _by(data, CATEGORY, sums)


def _sums(*, counted: bool) -> str:
    """SQL for the sum of each part, and for its customers where they are counted."""
    sums = []
    for part in PARTS:
        sign = -1 if part in LOSSES else 1
        count = f"count(*) FILTER (part = '{part}' AND counts)" if counted else "NULL"
        sums += [
            f"sum({sign} * (net - net_before)) FILTER (part = '{part}') AS {part}",
            f"{count} AS customers_{part}",
        ]
    return ", ".join(sums)


def _by(data: IndicatorData, dimension: str, sums: str) -> pa.Table:
    """A row per level and month from SQL for the sums of those that have any."""
    counts = [
        f"customers_{part}" if dimension == CATEGORY else f"coalesce(customers_{part}, 0)"
        for part in PARTS
    ]
    rows = data.rows(
        _TABLE.format(
            sums=sums,
            open=data.first_open_month,
            dimension=dimension,
            month=month_text("months.month"),
            revenue=data.units("coalesce(net, 0)"),
            before=data.units("coalesce(net_before, 0)"),
            change=data.units("coalesce(net - net_before, 0)"),
            parts=", ".join(f"{data.units(f'coalesce({part}, 0)')} AS {part}" for part in PARTS),
            counts=", ".join(
                f"{count} AS customers_{part}" for part, count in zip(PARTS, counts, strict=True)
            ),
        )
    )
    return GROWTH.fill(rows, as_of=data.as_of)
