"""Synthetic raw events inside every release: a load must rebuild their rows and scores exactly.

They are nobody's data: thirty invented customers whose gaps are multiples of the population mean
gap, with every kind that the catalogue reads.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from features.core.contract import ALL_TABLES, EVENT_TABLES, OPEN_END_US, SWITCHED_TABLES
from features.core.instants import DAY_US, HOUR_US
from features.engine.prepared import ARROW_TYPES, table_columns
from features.recipes.attributes import Attribute
from features.recipes.definitions import Definitions
from features.recipes.population_stats import PopulationStats
from features.tables.history import History
from features.tables.sources import connect
from features.tables.terms import TermRules

PEOPLE, EVENTS_EACH = 30, 12
_KINDS = {
    "transactions": ("purchase", "purchase", "purchase", "refund", "payment_failed"),
    "interactions": ("visit", "usage", "sent", "opened", "call", "cancel_page"),
    "feedback": ("csat", "nps", "review", "complaint"),
}


def golden_events(
    definitions: Definitions,
    *,
    tables: tuple[str, ...],
    activity_kinds: tuple[str, ...],
    as_of: int,
) -> dict[str, pa.Table]:
    """Typed contract tables before `as_of` (µs), equal for equal arguments; ids `golden-00` …"""
    rng = np.random.default_rng(20260101)
    result = {}
    for name in tables:
        if name in EVENT_TABLES:
            result[name] = _events(rng, name, definitions, activity_kinds, as_of)
        elif name == "contracts":
            result[name] = _contracts(rng, as_of)
        elif name == "customers":
            # A generator of its own: with or without this table the others are equal.
            result[name] = _customers(np.random.default_rng(20260102), definitions, as_of)
        elif name == "treatments":
            result[name] = _treatments(np.random.default_rng(20260103), definitions, as_of)
    return result


def _ids(numbers: np.ndarray) -> list[str]:
    return [f"golden-{number:02d}" for number in numbers]


def _events(
    rng: np.random.Generator,
    name: str,
    definitions: Definitions,
    activity_kinds: tuple[str, ...],
    as_of: int,
) -> pa.Table:
    people = np.repeat(np.arange(PEOPLE), EVENTS_EACH)
    # One customer after the other waits longer: from 0.02 to about 1 population mean gap.
    scale = 0.02 + people / PEOPLE
    back = np.abs(rng.normal(0, 8, people.size)) * definitions.population_mean_gap_us * scale
    at = as_of - 1 - back.astype(np.int64)
    kinds = (*activity_kinds, *_KINDS[name]) if name == definitions.activity_table else _KINDS[name]
    columns = {
        "customer_id": pa.array(_ids(people)),
        "occurred_at": pa.array(at),
        "recorded_at": pa.array(at),
        "kind": pa.array([kinds[k] for k in rng.integers(0, len(kinds), people.size)]),
        "amount": pa.array(rng.integers(100, 90_000, people.size)),
        "quantity": pa.array(rng.integers(1, 40, people.size).astype(float)),
        "discount": pa.array(rng.integers(0, 500, people.size)),
        "category": pa.array([f"c{k}" for k in rng.integers(0, 6, people.size)]),
        "method": pa.array([("card", "invoice")[k] for k in people * 7 % 5 % 2]),
        "channel": pa.array(
            [("web", "store", "phone")[k] for k in rng.integers(0, 3, people.size)]
        ),
        "score": pa.array(rng.integers(1, 6, people.size).astype(float)),
        "answered_at": pa.array(np.minimum(at + DAY_US // 2, as_of - 1)),
        "resolved_at": pa.array(at + rng.integers(1, 30, people.size) * DAY_US // 4),
        "topic": pa.array([f"t{k % 3}" for k in range(people.size)]),
        "item": pa.array([f"i{k % 4}" for k in range(people.size)]),
        "local_day": pa.array((at // DAY_US).astype(np.int32)),
        "local_hour": pa.array((at % DAY_US // HOUR_US).astype(np.int32)),
    }
    return _typed(name, columns)


def _contracts(rng: np.random.Generator, as_of: int) -> pa.Table:
    people = np.arange(PEOPLE)
    starts = as_of - rng.integers(1, 300, PEOPLE) * DAY_US
    length = np.where(people % 4 == 0, 365, 30) * DAY_US
    cancelled = np.where(people % 5 == 0, starts + DAY_US // 2, 0)
    columns = {
        "customer_id": pa.array(_ids(people)),
        "starts_at": pa.array(starts),
        # Some are open-ended.
        "ends_at": pa.array(np.where(people % 7 == 3, OPEN_END_US, starts + length)),
        "cancelled_at": pa.array(cancelled, mask=cancelled == 0),
        "recorded_at": pa.array(starts),
        "plan": pa.array(["annual" if x % 4 == 0 else "monthly" for x in people]),
        "price": pa.array(np.where(people % 4 == 0, 9900, 990)),
        "auto_renew": pa.array((people % 3 > 0).tolist()),
    }
    return _typed("contracts", columns)


def _treatments(rng: np.random.Generator, definitions: Definitions, as_of: int) -> pa.Table:
    """Three a customer: of both arms and of none, some of them with a contact that lies ahead."""
    people = np.repeat(np.arange(PEOPLE), 3)
    longest = max(definitions.windows_days) * 2 * DAY_US
    decided = as_of - 1 - (rng.random(people.size) * longest).astype(np.int64)
    arms = ("treated", "held_out", None)
    columns = {
        "customer_id": pa.array(_ids(people)),
        "occurred_at": pa.array(decided + rng.integers(0, 20, people.size) * DAY_US),
        "recorded_at": pa.array(decided),
        "campaign": pa.array([f"k{k}" for k in rng.integers(0, 3, people.size)]),
        "arm": pa.array([arms[k] for k in rng.integers(0, 3, people.size)], pa.string()),
    }
    return _typed("treatments", columns)


def _customers(rng: np.random.Generator, definitions: Definitions, as_of: int) -> pa.Table:
    """One or two versions per customer: every learned level, an unknown level, and nulls."""
    people = np.concatenate([np.arange(PEOPLE), np.arange(0, PEOPLE, 3)])
    since = (
        as_of - np.where(np.arange(people.size) < PEOPLE, 300, 20) * DAY_US - people * DAY_US // 7
    )
    columns = {
        "customer_id": pa.array(_ids(people)),
        "valid_from": pa.array(since),
        "acquired_at": pa.array(since),
    }
    for attribute in definitions.attributes:
        number = rng.integers(0, len(attribute.columns) + 2, people.size)
        by_type: dict[str, list[object]] = {
            "text": [*(level for level, _ in attribute.columns), "a level nobody learned", None],
            "flag": [True, False, None],
            "money": [990, 125_000, None],
            "number": [0.25, -3.0, None],
        }
        values = [by_type[attribute.type][k] for k in number]
        columns[attribute.name] = pa.array(values, ARROW_TYPES[attribute.type])
    return _typed("customers", columns, definitions.attributes)


def _typed(
    name: str, columns: dict[str, pa.Array], attributes: tuple[Attribute, ...] = ()
) -> pa.Table:
    # Columns that the events do not have are null, so every column of the contract exists.
    table, rows = ALL_TABLES[name], len(columns["customer_id"])
    typed = {
        column.name: columns[column.name].cast(ARROW_TYPES[column.type])
        if column.name in columns
        else pa.nulls(rows, ARROW_TYPES[column.type])
        for column in table_columns(name, attributes)
    }
    if name in EVENT_TABLES:
        typed |= {name: columns[name] for name in ("local_day", "local_hour")}
    return pa.table(typed).sort_by([(column.name, "ascending") for column in table.columns])


def golden_history(
    tables: dict[str, pa.Table],
    *,
    definitions: Definitions,
    activity_kinds: tuple[str, ...],
    as_of: int,
) -> History:
    """A History over typed tables, in a database of its own."""
    # Small limits: golden rows are few, and a service may load a release under load.
    connection = connect(memory="1GB", threads=1)
    for name, table in tables.items():
        connection.register("incoming", table)
        connection.execute(f"CREATE TABLE {name} AS SELECT * FROM incoming")
        connection.unregister("incoming")
    return History(
        connection,
        definitions.activity_table,
        activity_kinds,
        as_of,
        tuple(name for name in tables if name not in SWITCHED_TABLES),
        terms=TermRules(definitions.grace_days * DAY_US),
        further=tuple(name for name in tables if name in SWITCHED_TABLES),
    )


def golden_population(as_of: int) -> PopulationStats:
    """Fixed population statistics, so that golden rows do not depend on a fit."""
    return PopulationStats(
        as_of,
        tuple(float(cut) * 500 for cut in range(1, 20)),
        r=0.6,
        alpha=20.0,
        a=0.8,
        b=2.5,
        items=("i0", "i1", "i2"),
        item_means=(300_000, 512_345, 700_001),
        wait_shape=1.3,
        money_p=2.0,
        money_q=3.5,
        money_v=5000.0,
        earliest_at=as_of - 900 * DAY_US,
        cohort_cuts=tuple(as_of - days * DAY_US for days in (400, 200, 60)),
        cohort_quantiles=tuple(float(cut) * 400 for cut in range(1, 77)),
    )
