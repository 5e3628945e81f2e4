"""Population facts: the few numbers of each customer from which population statistics are fitted.

They are gathered one group of customers after the other, wherever the groups are read, and put one
below the other. No id is among them. A customer with activity costs some 60 bytes, and each day
with activity 9 more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import narwhals as nw
import numpy as np
import pyarrow as pa

from features.recipes.definitions import Definitions
from features.recipes.item_means import item_sums, join_item_sums
from features.recipes.stages import usual_gap
from features.tables.history import Known

Facts = Mapping[str, pa.Table]


def population_facts(known: Known, definitions: Definitions) -> dict[str, pa.Table]:
    """The facts of the customers of `known`, as tables by name; rows in no certain order.

    active: one row per customer with activity: first_at, last_at, acquired (µs UTC; acquired null
    before it), days (with activity). waits: in usual gaps of their customer, is_closed where
    activity ended it. spent: `total` of each customer who purchased, in minor units. buyers: days,
    acquired, total and `spent` (without negative amounts) of those with both. items: item, total
    (of scores in millionths) and count of its answers. Without transactions neither spent nor
    buyers.
    """
    days = known.activity.sort("customer_id", "occurred_at").collect(backend="pyarrow").to_native()
    people = _people(known, definitions)
    facts = {
        "active": _active(days, people),
        "waits": _waits(days, known.instant, definitions),
        "items": item_sums(known, definitions.scales),
    }
    if "transactions" not in known.tables:
        return facts
    spent = known.materialise(_spent(known))
    buyers = people.join(spent, on="customer_id", how="inner")
    columns = ("days", "acquired", "total", "spent")
    return {
        **facts,
        "spent": spent.select("total").collect(backend="pyarrow").to_native(),
        "buyers": buyers.select(*columns).collect(backend="pyarrow").to_native(),
    }


def join_facts(facts: Iterable[Facts]) -> dict[str, pa.Table]:
    """The facts of disjoint groups of customers as those of all of them; at least one group."""
    groups = list(facts)
    joined = {name: pa.concat_tables([each[name] for each in groups]) for name in groups[0]}
    return {**joined, "items": join_item_sums(joined["items"])}


def _people(known: Known, definitions: Definitions) -> nw.LazyFrame:
    first = nw.col("position") == (1 if definitions.acquired == "first_activity" else 2)
    acquired = nw.when(first).then(nw.col("occurred_at")).min()
    people = known.activity.group_by("customer_id").agg(
        days=nw.col("occurred_at").count(), acquired=acquired
    )
    return known.materialise(people.sort("customer_id"))


def _active(days: pa.Table, people: nw.LazyFrame) -> pa.Table:
    at, position = days["occurred_at"].to_numpy(), days["position"].to_numpy()
    last = days["from_end"].to_numpy() == 1
    acquired = people.select("acquired").collect(backend="pyarrow").to_native()["acquired"]
    return pa.table(
        {
            "first_at": pa.array(at[position == 1], pa.int64()),
            "last_at": pa.array(at[last], pa.int64()),
            "days": pa.array(position[last], pa.int64()),
            "acquired": acquired,
        }
    )


def _waits(days: pa.Table, as_of: int, definitions: Definitions) -> pa.Table:
    """Completed gaps and open waits, each in usual gaps of its customer."""
    at, last = days["occurred_at"].to_numpy(), days["from_end"].to_numpy() == 1
    count = days["position"].to_numpy()[last]
    gap = days["gap"].to_numpy(zero_copy_only=False).astype(np.float64)
    first = at[days["position"].to_numpy() == 1]
    usual = usual_gap(
        first=first,
        last=at[last],
        count=count,
        population_mean_gap_us=definitions.population_mean_gap_us,
    )
    gaps, open_waits = gap / np.repeat(usual, count), (as_of - at[last]) / usual
    completed = gaps[~np.isnan(gap)]
    waits = np.concatenate([completed, open_waits])
    is_closed = np.arange(waits.size) < completed.size
    return pa.table({"wait": pa.array(waits, pa.float64()), "is_closed": is_closed})


def _spent(known: Known) -> nw.LazyFrame:
    """Money of each customer's purchases: `total`, and `spent` without negative amounts."""
    bought = known.tables["transactions"].filter(nw.col("kind") == "purchase")
    spent = nw.when(nw.col("amount") > 0).then(nw.col("amount")).otherwise(nw.lit(0)).sum()
    return bought.group_by("customer_id").agg(
        total=nw.col("amount").sum().cast(nw.Float64), spent=spent.cast(nw.Float64)
    )
