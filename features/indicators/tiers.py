"""Tiers of customers by their money of the last 365 days, and who changed tier, and why.

A tier is a share of the customers from the top, or a range of money (`[value] tiers`). Customers
without a purchase in the 365 days are `inactive`. Equal money is the same tier: a customer is in
the first tier whose share, with those above it, is larger than the share of customers with more.
"""

from __future__ import annotations

import pyarrow as pa

from features.core.instants import DAY_US
from features.core.value_rules import PARTS, tier_parts
from features.indicators.business_table import COUNT, NUMBER, TEXT, TableShape
from features.indicators.indicator_data import NO_PURCHASE, YEAR_DAYS, IndicatorData

INACTIVE, NO_CUSTOMER = "inactive", "no purchase"
TIERS = TableShape(
    "tiers",
    f"money: purchases minus refunds of the last {YEAR_DAYS} days; share: of the customers with a "
    "purchase in them; inactive: without one",
    "customers with a purchase, by tier",
    {
        "tier": TEXT,
        "place": COUNT,
        "share": NUMBER,
        "money": NUMBER,
        "money_share": NUMBER,
        "lowest_money": NUMBER,
    },
)
TIER_CHANGES = TableShape(
    "tier_changes",
    f"tiers as known {YEAR_DAYS} days before as_of and at as_of, each by the {YEAR_DAYS} days "
    "before; cause: recency (no purchase in one of the years), count (of days with a purchase), "
    "amount (pieces per such day, or money where pieces are not known), price (money per piece), "
    "others (money did not move that way, the other customers' did)",
    "customers with a purchase known at either date",
    {
        "from_tier": TEXT,
        "to_tier": TEXT,
        "direction": TEXT,
        "cause": TEXT,
        "money_from": NUMBER,
        "money_to": NUMBER,
    },
)
_YEARS = """
CREATE OR REPLACE TABLE {name} AS WITH years AS (
    SELECT who, count(*) FILTER (bought) AS ever,
           coalesce(sum(net) FILTER (recent), 0) AS money,
           count(DISTINCT local_day) FILTER (bought AND recent) AS days,
           CASE WHEN count(*) FILTER (bought AND recent)
                   = count(*) FILTER (bought AND recent AND thousandths > 0)
                THEN sum(thousandths) FILTER (bought AND recent) END AS pieces
    FROM (SELECT *, occurred_at >= {since} AS recent FROM {money}) GROUP BY who
), ranked AS (
    SELECT *, days > 0 AS active,
           rank() OVER (PARTITION BY days > 0 ORDER BY money DESC) - 1 AS above,
           count(*) OVER (PARTITION BY days > 0) AS everybody
    FROM years WHERE ever > 0
)
SELECT who, money, days, pieces, active,
       CASE WHEN active THEN {place} ELSE {inactive} END AS place
FROM ranked
"""
_CHANGES = """
WITH both_dates AS (
    SELECT coalesce(f.who, t.who) AS who, f.place AS from_place, t.place AS to_place,
           f.money AS money_from, t.money AS money_to, f.active AND t.active AS compared,
           f.active AS was_active, t.active AS is_active,
           CASE WHEN t.place < f.place THEN 1 WHEN t.place > f.place THEN -1 ELSE 0 END AS sign,
           f.days AS days_from, t.days AS days_to, f.pieces AS pieces_from, t.pieces AS pieces_to
    FROM tiers_before AS f FULL JOIN tiers_now AS t ON f.who = t.who
), logs AS (
    SELECT *, coalesce(pieces_from > 0 AND pieces_to > 0, false) AS by_piece,
           compared AND money_from > 0 AND money_to > 0 AS positive
    FROM both_dates
), effects AS (
    SELECT *, sign * CASE WHEN positive THEN round(ln(days_to / days_from), 9) END AS of_count,
           sign * CASE WHEN positive AND by_piece
                       THEN round(ln((pieces_to / days_to) / (pieces_from / days_from)), 9)
                       WHEN positive
                       THEN round(ln((money_to / days_to) / (money_from / days_from)), 9)
                  END AS of_amount,
           sign * CASE WHEN positive AND by_piece
                       THEN round(ln((money_to / pieces_to) / (money_from / pieces_from)), 9)
                       ELSE 0 END AS of_price
    FROM logs
)
SELECT coalesce(from_place, {nobody}) AS from_place, coalesce(to_place, {nobody}) AS to_place,
       CASE WHEN from_place IS NULL THEN 'new' WHEN to_place IS NULL THEN 'withdrawn'
            WHEN sign > 0 THEN 'up' WHEN sign < 0 THEN 'down' ELSE 'same' END AS direction,
       CASE WHEN from_place IS NULL THEN 'first purchase' WHEN to_place IS NULL THEN 'correction'
            WHEN sign = 0 THEN NULL WHEN was_active <> is_active THEN 'recency'
            WHEN sign * (money_to - money_from) <= 0 THEN 'others'
            WHEN NOT positive THEN 'amount'
            WHEN of_count >= of_amount AND of_count >= of_price THEN 'count'
            WHEN of_amount >= of_price THEN 'amount' ELSE 'price' END AS cause,
       count(*) AS n, {money_from} AS money_from, {money_to} AS money_to
FROM effects GROUP BY ALL
"""


def tier_tables(data: IndicatorData) -> dict[str, pa.Table]:
    """`tiers`, from the highest down, and `tier_changes` from 365 days before as_of to as_of.

    All customers with a purchase are in one row of each, those who did not change included.
    """
    if not data.has_purchase:
        return {
            shape.name: shape.say_missing(NO_PURCHASE, as_of=data.as_of)
            for shape in (TIERS, TIER_CHANGES)
        }
    tables = {"tiers": _tiers_now(data)}
    tables["tier_changes"] = _tier_changes(data)
    return tables


def load_tiers(data: IndicatorData) -> None:
    """Create `tiers_now`, and `tier_of`: who, place and tier of each customer with a purchase."""
    if data.has_table("tier_of"):
        return
    _place_customers(data, "tiers_now", money="money", at=data.as_of)
    data.connection.execute(
        f"CREATE TABLE tier_of AS SELECT who, place, tier FROM tiers_now JOIN "
        f"({_named_places(data)}) USING (place)"
    )


def _tiers_now(data: IndicatorData) -> pa.Table:
    load_tiers(data)
    names = _named_places(data)
    active = "(SELECT count(*) FROM tiers_now WHERE active)"
    total = "(SELECT sum(money) FROM tiers_now)"
    rows = data.rows(
        f"SELECT tier, place, count(who) AS n, {data.units('coalesce(sum(money), 0)')} AS money, "
        f"CASE WHEN tier <> '{INACTIVE}' AND {active} > 0 THEN count(who) / {active} END AS share, "
        f"CASE WHEN {total} > 0 THEN CAST(coalesce(sum(money), 0) AS DOUBLE) / {total} END "
        f"AS money_share, {data.units('min(money)')} AS lowest_money "
        f"FROM ({names}) LEFT JOIN tiers_now USING (place) WHERE tier <> '{NO_CUSTOMER}' "
        "GROUP BY tier, place ORDER BY place"
    )
    return TIERS.fill(rows, as_of=data.as_of)


def _tier_changes(data: IndicatorData) -> pa.Table:
    before = data.load_money_at(data.year_ago)
    if not data.value(f"SELECT count(*) FROM {before} WHERE bought"):
        missing = f"a purchase that was known {YEAR_DAYS} days before as_of"
        return TIER_CHANGES.say_missing(missing, as_of=data.as_of)
    _place_customers(data, "tiers_before", money=before, at=data.year_ago)
    nobody = len(data.settings.value.tiers) + 2
    changes = _CHANGES.format(
        nobody=nobody,
        money_from=data.units("coalesce(sum(money_from), 0)"),
        money_to=data.units("coalesce(sum(money_to), 0)"),
    )
    names = _named_places(data)
    rows = data.rows(
        f"SELECT f.tier AS from_tier, t.tier AS to_tier, direction, cause, n, money_from, money_to "
        f"FROM ({changes}) AS changes JOIN ({names}) AS f ON f.place = from_place "
        f"JOIN ({names}) AS t ON t.place = to_place ORDER BY from_place, to_place, cause"
    )
    return TIER_CHANGES.fill(rows, as_of=data.as_of)


def _place_customers(data: IndicatorData, name: str, *, money: str, at: int) -> None:
    """Create the table `name`: each customer's tier at `at` by the 365 days before it."""
    since = at - YEAR_DAYS * DAY_US
    inactive = len(data.settings.value.tiers) + 1
    data.connection.execute(
        _YEARS.format(
            name=name, money=money, since=since, place=_place_sql(data), inactive=inactive
        )
    )


def _place_sql(data: IndicatorData) -> str:
    """SQL for the number of an active customer's tier, 1 for the highest."""
    tiers = data.settings.value.tiers
    floors = [value[0] for value in tiers.values() if isinstance(value, list)]
    units = 10**data.settings.minor_digits
    if floors:
        tests = [f"money >= CAST({floor * units!r} AS DOUBLE)" for floor in floors[:-1]]
    else:
        tests = [f"above * {PARTS} < {end} * everybody" for end in tier_parts(tiers)[:-1]]
    cases = " ".join(f"WHEN {test} THEN {place}" for place, test in enumerate(tests, start=1))
    return f"CASE {cases} ELSE {len(tiers)} END" if cases else "1"


def _named_places(data: IndicatorData) -> str:
    """SQL for the tiers by number, those without a tier at the end."""
    names = [*data.settings.value.tiers, INACTIVE, NO_CUSTOMER]
    rows = ", ".join(
        f"({place}, '{name.replace(chr(39), chr(39) * 2)}')"
        for place, name in enumerate(names, start=1)
    )
    return f"SELECT * FROM (VALUES {rows}) AS names(place, tier)"
