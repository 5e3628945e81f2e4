"""Random businesses for the oracle: two clocks, versions, refunds, cancellations, clock changes.

`real` tells what the implementation says of one.

One example is a business of a hundred customers built from one seed: one pass of the engine serves
all of them.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa

from features.catalogue import FAMILIES
from features.core.contract import CONTRACT, EVENT_TABLES
from features.core.instants import instant
from features.core.settings import Settings, settings_from_mapping
from features.engine.build import build, prospects
from features.engine.business_columns import columns_for
from features.labels.outcomes import observe_outcomes
from features.recipes.definitions import learn_definitions
from features.recipes.population_stats import population_stats
from features.tables.history import History, history_from_connection
from features.tables.sources import connect
from serving.scoring.scorer import reachable_from_rows
from tests.support import oracle
from tests.support.businesses import with_features_off
from tests.support.oracle import DAY, MINUTE, local_day
from tests.support.oracle_engagement import local_hour

HOUR = DAY // 24
ZONES = ("UTC", "Europe/London", "America/New_York", "Pacific/Auckland")
# Midsummer, the eve of a day of 23 hours, and the weeks after the clock changes of these zones.
DATES = (
    "2023-06-15",
    "2024-03-30",
    "2024-03-12",
    "2024-04-02",
    "2024-04-09",
    "2024-10-01",
    "2024-10-28",
    "2024-11-05",
)
MULTIPLES = ([1.5, 3.0, 6.0], [2.0, 4.0, 8.0], [1.25, 1.9, 2.9], [2.0, 6.0, 12.0])
SOON = (0, MINUTE, 30 * MINUTE, 30 * MINUTE + 1, DAY, DAY + 1)
TYPES = {
    "id": pa.string(),
    "text": pa.string(),
    "instant": pa.int64(),
    "money": pa.int64(),
    "number": pa.float64(),
}


@dataclass(frozen=True)
class World:
    rng: random.Random
    settings: Settings
    as_of: int
    tables: oracle.Tables

    @property
    def end(self) -> int:
        return self.as_of + self.settings.churn.horizon_days * DAY

    def history(self) -> History:
        connection = connect(memory="1GB", threads=1)
        for name, rows in self.tables.items():
            types = {
                column.name: TYPES.get(column.type, pa.bool_()) for column in CONTRACT[name].columns
            }
            columns = {
                column: pa.array([row[column] for row in rows], kind)
                for column, kind in types.items()
            }
            if name in EVENT_TABLES:
                days = [local_day(row["occurred_at"], self.settings.zone) for row in rows]
                columns["local_day"] = pa.array(days, pa.int32())
                hours = [local_hour(row["occurred_at"], self.settings.zone) for row in rows]
                columns["local_hour"] = pa.array(hours, pa.int32())
            connection.register("incoming", pa.table(columns))
            connection.execute(f"CREATE TABLE {name} AS SELECT * FROM incoming")
        return history_from_connection(connection, self.settings)


def settings_for(archetype: str, churn: dict, business: dict | None = None, **stated) -> Settings:
    tables = {
        name: "SELECT 1" for name in CONTRACT if name != "contracts" or archetype == "contractual"
    }
    contract = {
        "data_until": "2026-01-01",
        # Few customers are quiet for weeks, which is no silent feed here.
        "fresh_until": {
            name: "2026-01-01"
            for name in ("transactions", "interactions", "contracts")
            if name in tables
        },
        "scales": {"csat": (1, 5), "nps": (0, 10), "review": (0, 7)},
        **stated.pop("contract", {}),
    }
    stated |= {"business": {"archetype": archetype, **(business or {})}, "tables": tables}
    return settings_from_mapping(
        {**stated, "churn": churn, "contract": contract}, folder=Path(), where="test"
    )


def world(seed: int, archetype: str, count: int = 100) -> World:
    rng = random.Random(seed)
    horizon, grace, more = rng.choice((2, 14, 30, 60)), rng.choice((0, 3, 10)), rng.choice((0, 5))
    chosen = settings_for(
        archetype,
        {
            "horizon_days": horizon,
            "grace_days": grace,
            "label_latency_days": grace + more,
            "eligible_days": rng.choice((None, 45)),
        },
        business={"zone": rng.choice(ZONES), "currency": rng.choice(("EUR", "JPY", "KWD"))},
        activity=rng.choice(({}, {"table": "interactions", "kinds": ["visit", "usage"]})),
        stages={"multiples": rng.choice((None, rng.choice(MULTIPLES)))},
        features={"windows_days": rng.choice((None, [1, 7, 30]))},
        satisfaction={"resolve_within_hours": rng.choice((1, 24, 48.5, 240))},
        contract=rng.choice(({}, {}, {"cancelled_terms": "end"}, {"trial_plans": ["monthly"]})),
    )
    as_of = instant(rng.choice(DATES), zone=chosen.zone)
    as_of += rng.choice((0, 0, rng.randrange(1440) * MINUTE, rng.randrange(DAY)))
    made = World(rng, chosen, as_of, {name: [] for name in chosen.tables})
    for number in range(count):
        add_customer(made, f"{number:04d}")
    for rows in made.tables.values():
        rng.shuffle(rows)
    return made


def add(made: World, name: str, customer: str, **cells) -> oracle.Row:
    row = dict.fromkeys(CONTRACT[name].names) | {"customer_id": customer} | cells
    made.tables[name].append(row)
    return row


def add_customer(made: World, customer: str) -> None:
    rng = made.rng
    since = made.as_of + rng.randrange(-400, 9) * DAY
    valid_from, acquired_at = rng.choice((None, since)), rng.choice((None, since, made.as_of))
    add(made, "customers", customer, valid_from=valid_from, acquired_at=acquired_at)
    for maker in (add_transaction, add_interaction, add_feedback):
        for at in moments(made) if rng.random() < 0.9 else ():
            maker(made, customer, at)
    if made.settings.contractual:
        add_terms(made, customer)


def moments(made: World) -> Iterator[int]:
    """A customer's instants: a rhythm with jitter, some on one day, some in the window, some at the
    edges of one.
    """
    rng, edges = (
        made.rng,
        [made.as_of, made.end, *(made.as_of - days * DAY for days in (1, 7, 14, 30, 45, 60))],
    )
    step, at = (
        rng.choice((DAY, 7 * DAY, 30 * DAY, 90 * DAY)),
        made.as_of - rng.randrange(1, 400 * 24) * HOUR,
    )
    at, grain = rng.choice(((rng.choice(edges), 1), *[(at, 1), (at, MINUTE), (at, MINUTE)] * 2))
    for _ in range(rng.choice((0, 1, 1, 2, 3, 5, 8, 12))):
        yield at // grain * grain
        at += rng.choice((step, step, int(step * 3 * rng.random()), rng.randrange(1, 4) * HOUR))
        if rng.random() < 0.08:
            yield rng.choice(edges) + rng.choice((0, 0, -1, 1))
    for _ in range(rng.choice((0, 0, 0, 1, 2, 5))):
        yield rng.randrange(made.as_of, made.end)


def recorded(rng: random.Random, at: int) -> int:
    return at + rng.choice(
        (0, 0, 0, 0, 0, rng.randrange(48) * HOUR, rng.randrange(1, 9) * DAY, 40 * DAY, -DAY)
    )


def add_transaction(made: World, customer: str, at: int) -> None:
    rng = made.rng
    named = f"t{len(made.tables['transactions'])}" if rng.random() < 0.4 else None
    row = add(
        made,
        "transactions",
        customer,
        occurred_at=at,
        recorded_at=recorded(rng, at),
        transaction_id=named,
        kind=rng.choice(("purchase",) * 6 + ("refund", "payment_failed")),
        category=rng.choice((None, "a", "b", "c")),
        amount=rng.choice((0, rng.randrange(100_000), rng.randrange(10**9))),
        discount=rng.choice((None, rng.randrange(900))),
        method=rng.choice((None, "card", "card", "invoice")),
    )
    while named and rng.random() < 0.5:
        kind, moved = rng.choice(("void", "refund", "purchase")), at + rng.randrange(-9, 9) * DAY
        changed = rng.choice(
            ({"kind": kind}, {"kind": kind}, {"amount": 7}, {"occurred_at": moved})
        )
        row = row | {"recorded_at": row["recorded_at"] + rng.randrange(1, 60 * 24) * HOUR} | changed
        made.tables["transactions"].append(row)


def add_interaction(made: World, customer: str, at: int) -> None:
    kinds = ("visit", "usage") * 3 + (
        "login",
        "sent",
        "opened",
        "clicked",
        "call",
        "cancel_page",
        "downgrade_page",
    )
    add(
        made,
        "interactions",
        customer,
        occurred_at=at,
        recorded_at=recorded(made.rng, at),
        kind=made.rng.choice(kinds),
        channel=made.rng.choice((None, "web", "web", "shop", "app")),
        quantity=made.rng.choice((None, made.rng.randrange(90_000) / 1000)),
    )
    # Often another soon, also just inside and just outside of a session and of a day.
    if made.rng.random() < 0.45:
        soon = made.rng.choice(
            (made.rng.choice(SOON), made.rng.randrange(HOUR), made.rng.randrange(DAY))
        )
        add_interaction(made, customer, at + soon)


def add_feedback(made: World, customer: str, at: int) -> None:
    rng, kind = made.rng, made.rng.choice(("csat", "nps", "review", "complaint"))
    later = [
        at + rng.randrange(1, 30 * 24 * 60) * MINUTE,
        *([made.as_of] if at < made.as_of else []),
    ]
    low, high = made.settings.contract.scales.get(kind, (0, 0))
    answered = rng.choice((None, rng.choice(later), at)) if high else None
    score = None if answered is None else rng.randrange(2 * int(low), 2 * int(high) + 1) / 2
    resolved = None if high else rng.choice((None, rng.choice(later)))
    add(
        made,
        "feedback",
        customer,
        occurred_at=at,
        recorded_at=recorded(rng, at),
        kind=kind,
        score=score,
        answered_at=answered,
        resolved_at=resolved,
        topic=rng.choice((None, "a", "a", "b")),
        item=rng.choice((None, "it's 7.5", "0.1", f"{rng.randrange(40)}")),
    )


def add_terms(made: World, customer: str) -> None:
    """Terms in a chain: renewed at once, early, within grace, at its very end, or too late; some
    cancelled.
    """
    rng, grace = made.rng, made.settings.churn.grace_days * DAY
    at = rng.choice(
        (made.as_of, made.as_of - rng.randrange(300) * DAY, made.as_of + rng.randrange(20) * DAY)
    )
    for _ in range(rng.choice((0, 1, 1, 2, 3, 4))):
        while any(
            term["starts_at"] == at for term in oracle.of(customer, made.tables, "contracts")
        ):
            at += 1  # of one start and plan they would be versions
        ends = at + rng.choice((30, 90, rng.randrange(1, 200))) * DAY
        if at < rng.choice((made.as_of, made.end)) and rng.random() < 0.15:
            ends = max(at + 1, rng.choice((made.as_of, made.end)))
        if rng.random() < 0.1:
            # A renewing term whose local day after the end is over at the edge, or just not.
            edge = rng.choice((made.as_of, made.end, made.end + latency_of(made)))
            ends = max(at + 1, edge - DAY + rng.choice((-1, 0, 1)) * rng.choice((1, HOUR)))
        ends = rng.choice((*[ends] * 9, oracle.OPEN))
        add_term(made, customer, at, ends)
        ends = min(ends, at + 40 * DAY)
        early, late = -rng.randrange(60) * DAY, grace + rng.choice((1, 20 * DAY))
        at = ends + rng.choice((0, 0, 0, DAY, grace, late, early, early))


def latency_of(made: World) -> int:
    return made.settings.churn.label_latency_days * DAY


def add_term(made: World, customer: str, starts: int, ends: int) -> None:
    rng = made.rng
    row = add(
        made,
        "contracts",
        customer,
        starts_at=starts,
        ends_at=ends,
        plan=rng.choice((None, "monthly", "annual", "annual", "Free trial", "trialled")),
        recorded_at=starts + rng.choice((0, 0, -10 * DAY, DAY)),
        price=rng.choice((None, rng.randrange(10_000))),
        auto_renew=rng.choice((None, True, False)),
    )
    if rng.random() < 0.4:
        when = rng.choice(
            (
                made.as_of,
                made.end,
                *(rng.randrange(starts, min(ends, starts + 400 * DAY)) for _ in "12"),
            )
        )
        if rng.random() < 0.5:
            row["cancelled_at"] = when
        else:
            version = {
                "cancelled_at": when,
                "recorded_at": max(when, row["recorded_at"]) + rng.choice((1, DAY)),
            }
            made.tables["contracts"].append(
                row | version | rng.choice(({}, {"ends_at": max(when, starts + 1)}))
            )


def real(made: World, families: Collection[str] | None = None) -> SimpleNamespace:
    """What the implementation says: `rows` (state, features, outcome) and `allowed` stages by
    customer, and the rest.

    `families`: the features of these alone. Planning all of them is what takes long.
    """
    if families is not None:
        off = [name for name in FAMILIES if name not in families]
        made = replace(made, settings=with_features_off(made.settings, off))
    history = made.history()
    seen = history.as_of(made.as_of)
    definitions = learn_definitions(seen, made.settings)
    base, chosen = (
        population_stats(seen, definitions),
        columns_for(history, definitions, made.settings),
    )
    rows = build(seen, population=base, definitions=definitions, columns=chosen)
    found = observe_outcomes(history, seen, definitions=definitions, settings=made.settings)
    both = zip(rows.to_pylist(), found.rows.to_pylist(), strict=True)
    told = {one["customer_id"]: one | other for one, other in both}
    allowed = dict(zip(told, reachable_from_rows(rows, definitions), strict=True))
    return SimpleNamespace(
        rows=told,
        allowed=allowed,
        definitions=definitions,
        base=base,
        late=found.late,
        prospects=prospects(seen, contractual=made.settings.contractual),
    )


def one_customer(
    terms: Iterable[tuple], ages: Iterable[int] = (1,), *, agreed: int = 1
) -> tuple[oracle.Row, np.ndarray]:
    """The row and the stages in reach of one customer, who is alone: see `each_customer`."""
    return each_customer({"a": terms}, ages, agreed=agreed)["a"]


def each_customer(
    cases: Mapping[str, Iterable[tuple]], ages: Iterable[int] = (1,), *, agreed: int = 1
) -> dict[str, tuple[oracle.Row, np.ndarray]]:
    """The row and the stages in reach of a customer per case; horizon 30 days, grace 3. Terms:
    start, end, cancelled, in days from as_of, each `agreed` days before it starts. `ages` of the
    purchases in days."""
    chosen = settings_for(
        "contractual", {"horizon_days": 30, "grace_days": 3, "label_latency_days": 3}
    )
    made = World(
        random.Random(0),
        chosen,
        instant("2024-06-01", zone="UTC"),
        {name: [] for name in chosen.tables},
    )
    ages = list(ages)
    for who, terms in cases.items():
        for term in terms:
            starts, ends, cancelled = (
                None if days is None else made.as_of + int(days * DAY) for days in term
            )
            cells = {
                "starts_at": starts,
                "ends_at": oracle.OPEN if ends is None else ends,
                "cancelled_at": cancelled,
                "recorded_at": starts - agreed * DAY,
            }
            add(made, "contracts", who, **cells)
        for at in (made.as_of - age * DAY for age in ages):
            cells = {"occurred_at": at, "recorded_at": at, "amount": 1, "kind": "purchase"}
            add(made, "transactions", who, **cells)
    got = real(made, ("recency", "rhythm", "frequency", "cover"))
    return {who: (got.rows[who], got.allowed[who]) for who in cases}
