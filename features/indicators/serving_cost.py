"""What it costs to serve customers, and what more those like the best of their like could bring.

The cost of a contact is stated (`[value] service_costs`); nothing here guesses one.
"""

from __future__ import annotations

from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa

from features.indicators.business_table import NUMBER, TEXT, TableShape
from features.indicators.indicator_data import (
    NO_MARGINS,
    NO_PURCHASE,
    YEAR_DAYS,
    IndicatorData,
    load,
)
from features.indicators.intervals import wilson
from features.indicators.tiers import load_tiers

EVERYBODY = "all"
NO_COSTS = "[value] service_costs, such as { complaint = 12.0, call = 4.0 }"
BEST, FEWEST = 0.9, 20
AGES = ("under 1 year", "1 to 2 years", "2 years and more")
NO_LIKE = f"{FEWEST} customers with a purchase who are alike"
COST_TO_SERVE = TableShape(
    "cost_to_serve",
    f"of the last {YEAR_DAYS} days: margin: purchases minus refunds, times [value] margin; "
    "service_cost: rows of feedback and interactions by the cost of their kind ([value] "
    "service_costs); after_service: margin less service_cost; below_zero: share of customers of "
    "whom less than nothing is left, with its 95 % Wilson interval",
    "customers with a purchase, by tier",
    {
        "tier": TEXT,
        "margin": NUMBER,
        "service_cost": NUMBER,
        "after_service": NUMBER,
        "below_zero": NUMBER,
    },
)
POTENTIAL = TableShape(
    "potential",
    f"money of the last {YEAR_DAYS} days, purchases minus refunds: median_money; best_money: nine "
    "in ten of the group bring less; potential: what the others lack to it, summed over the group. "
    "A distance and no forecast: nothing says that they could be moved",
    f"customers with a purchase in the last {YEAR_DAYS} days, by segment and time since the first; "
    f"groups of {FEWEST} and more",
    {
        "segment": TEXT,
        "customer_for": TEXT,
        "median_money": NUMBER,
        "best_money": NUMBER,
        "potential": NUMBER,
    },
)
_SERVED = """
SELECT tier, place, money.earned, coalesce(cost, 0) AS cost
FROM (
    SELECT who, coalesce(sum(earned) FILTER (occurred_at >= {year_ago}), 0) AS earned
    FROM money GROUP BY who HAVING bool_or(bought)
) AS money JOIN tier_of USING (who) LEFT JOIN (
    SELECT who, sum(cost) AS cost FROM contact_costs GROUP BY who
) USING (who) ORDER BY place, who
"""
_LIKE = """
SELECT coalesce(segment, '') AS segment, least(({as_of} - first_at) // {year}, 2) AS age, net
FROM (
    SELECT who, min(occurred_at) FILTER (bought) AS first_at,
           sum(net) FILTER (occurred_at >= {year_ago}) AS net,
           bool_or(bought AND occurred_at >= {year_ago}) AS active
    FROM money GROUP BY who
) JOIN people USING (who) WHERE active ORDER BY who
"""


def serving_cost_tables(data: IndicatorData) -> dict[str, pa.Table]:
    """`cost_to_serve`, from the highest tier down and all last, and `potential`."""
    if not data.has_purchase:
        return {
            shape.name: shape.say_missing(NO_PURCHASE, as_of=data.as_of)
            for shape in (COST_TO_SERVE, POTENTIAL)
        }
    return {"cost_to_serve": _cost_to_serve(data), "potential": _potential(data)}


def _cost_to_serve(data: IndicatorData) -> pa.Table:
    costs = data.settings.value.service_costs
    if not costs:
        return COST_TO_SERVE.say_missing(NO_COSTS, as_of=data.as_of)
    if not data.has_margins:
        return COST_TO_SERVE.say_missing(NO_MARGINS, as_of=data.as_of)
    absent = _load_contacts(data, costs)
    load_tiers(data)
    served = data.rows(_SERVED.format(year_ago=data.year_ago))
    unit = 10**data.settings.minor_digits
    tier = np.array(served["tier"].to_pylist())
    margin = served["earned"].to_numpy().astype(float) / unit * data.settings.value.margin_share
    cost = served["cost"].to_numpy().astype(float)
    rows = [_served_row(name, tier == name, margin, cost) for name in dict.fromkeys(tier.tolist())]
    rows.append(_served_row(EVERYBODY, np.ones(len(tier), dtype=bool), margin, cost))
    tables = [COST_TO_SERVE.fill_rows(rows, as_of=data.as_of)]
    if absent:
        missing = f"feedback or interactions of kind {', '.join(absent)} ([value] service_costs)"
        tables.append(COST_TO_SERVE.say_missing(missing, as_of=data.as_of))
    return pa.concat_tables(tables)


def _served_row(
    name: str, mine: np.ndarray, margin: np.ndarray, cost: np.ndarray
) -> dict[str, Any]:
    left = margin[mine] - cost[mine]
    below = int((left < 0).sum())
    [low], [high] = wilson(np.array([below]), np.array([len(left)]))
    return {
        "tier": name,
        "margin": float(margin[mine].sum()),
        "service_cost": float(cost[mine].sum()),
        "after_service": float(left.sum()),
        "below_zero": below / len(left),
        "n": len(left),
        "low": float(low),
        "high": float(high),
    }


def _load_contacts(data: IndicatorData, costs: dict[str, float]) -> list[str]:
    """Create `contact_costs` of the last year; the stated kinds that no row has."""
    tables, seen = [], set()
    for name in ("feedback", "interactions"):
        if name not in data.known.tables:
            continue
        rows = data.known.tables[name].filter(nw.col("kind").is_in(list(costs)))
        kinds = rows.select("kind").unique().collect(backend="pyarrow").to_native()["kind"]
        seen |= set(kinds.to_pylist())
        rows = rows.filter(nw.col("occurred_at") >= data.year_ago).select("customer_id", "kind")
        tables.append(rows.collect(backend="pyarrow").to_native())
    fields = pa.schema([("customer_id", pa.string()), ("kind", pa.string())])
    contacts = pa.concat_tables([table.cast(fields) for table in tables] or [fields.empty_table()])
    cost = pa.array([costs[kind] for kind in contacts["kind"].to_pylist()], pa.float64())
    load(
        data.connection,
        contacts.append_column("cost", cost),
        "CREATE TABLE contact_costs AS SELECT who, cost FROM incoming JOIN people "
        "USING (customer_id)",
    )
    return [kind for kind in costs if kind not in seen]


def _potential(data: IndicatorData) -> pa.Table:
    year = data.as_of - data.year_ago
    rows = data.rows(_LIKE.format(as_of=data.as_of, year_ago=data.year_ago, year=year))
    segment, age = np.array(rows["segment"].to_pylist()), rows["age"].to_numpy()
    money = rows["net"].to_numpy().astype(float) / 10**data.settings.minor_digits
    filled = []
    for name in np.unique(segment):
        for place, text in enumerate(AGES):
            mine = money[(segment == name) & (age == place)]
            if len(mine) < FEWEST:
                continue
            best = float(np.quantile(mine, BEST))
            filled.append(
                {
                    "segment": str(name) or None,
                    "customer_for": text,
                    "n": len(mine),
                    "median_money": float(np.median(mine)),
                    "best_money": best,
                    "potential": float(np.maximum(best - mine, 0).sum()),
                }
            )
    if not filled:
        return POTENTIAL.say_missing(NO_LIKE, as_of=data.as_of)
    return POTENTIAL.fill_rows(filled, as_of=data.as_of)
