"""The oracle against the real thing, on random businesses: two clocks, versions, refunds, cancellations, clock changes.

One example is a business of a hundred customers built from one seed: one pass of the engine serves all of them.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from statistics import median, quantiles
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from features.base import define, measure
from features.contract import CONTRACT, EVENT_TABLES
from features.history import History, of
from features.outcomes import observe, reachable
from features.settings import Settings, from_mapping, instant
from features.sources import connect
from features.stages import STAGES
from features.table import build, columns_for, prospects
from serving.scorer import reachable_of
from tests import oracle
from tests.oracle import DAY, FOREVER, MINUTE, Standing, gaps_of, known, local_day, usual_gap

HOUR, EPOCH = DAY // 24, date(1970, 1, 1).toordinal()
ZONES = ("UTC", "Europe/London", "America/New_York", "Pacific/Auckland")
# Midsummer, the eve of a day of 23 hours, and the weeks after the clock changes of these zones.
DATES = ("2023-06-15", "2024-03-30", "2024-03-12", "2024-04-02", "2024-04-09", "2024-10-01", "2024-10-28", "2024-11-05")
MULTIPLES = ([1.5, 3.0, 6.0], [2.0, 4.0, 8.0], [1.25, 1.9, 2.9], [2.0, 6.0, 12.0])
TYPES = {"id": pa.string(), "text": pa.string(), "instant": pa.int64(), "money": pa.int64(), "number": pa.float64()}
# What the oracle does not say: no formula in its docstring, tested in test_btyd, or no statement of its own.
UNTOLD = {"pace_all", "p_no_activity", "customer_id", "as_of", "stage_idle", "overdue_state"}
# A seed does not shrink to anything simpler; the failing customer's rows are what helps.
few = settings(max_examples=16, deadline=None, phases=(Phase.explicit, Phase.generate))


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
            types = {column.name: TYPES.get(column.type, pa.bool_()) for column in CONTRACT[name].columns}
            columns = {column: pa.array([row[column] for row in rows], kind) for column, kind in types.items()}
            if name in EVENT_TABLES:
                days = [local_day(row["occurred_at"], self.settings.zone) for row in rows]
                columns["local_day"] = pa.array(days, pa.int32())
            connection.register("incoming", pa.table(columns))
            connection.execute(f"CREATE TABLE {name} AS SELECT * FROM incoming")
        return of(connection, self.settings)


def settings_for(archetype: str, churn: dict, business: dict | None = None, **stated) -> Settings:
    tables = {name: "SELECT 1" for name in CONTRACT if name != "contracts" or archetype == "contractual"}
    contract = {"data_until": "2026-01-01", "scales": {"csat": (1, 5), "nps": (0, 10), "review": (0, 7)}}
    stated |= {"business": {"archetype": archetype, **(business or {})}, "tables": tables}
    return from_mapping({**stated, "churn": churn, "contract": contract}, folder=Path(), where="test")


def world(seed: int, archetype: str, count: int = 100) -> World:
    rng = random.Random(seed)
    horizon, grace, more = rng.choice((2, 14, 30, 60)), rng.choice((0, 3, 10)), rng.choice((0, 5))
    chosen = settings_for(
        archetype, {"horizon_days": horizon, "grace_days": grace, "label_latency_days": grace + more, "eligible_days": rng.choice((None, 45))},
        business={"zone": rng.choice(ZONES), "currency": rng.choice(("EUR", "JPY", "KWD"))},
        activity=rng.choice(({}, {"table": "interactions", "kinds": ["visit", "usage"]})),
        stages={"multiples": rng.choice((None, rng.choice(MULTIPLES)))},
        features={"windows_days": rng.choice((None, [1, 7, 30]))},
    )  # fmt: skip
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
    """A customer's instants: a rhythm with jitter, some on one day, some in the window, some at the edges of one."""
    rng, edges = made.rng, [made.as_of, made.end, *(made.as_of - days * DAY for days in (1, 7, 14, 30, 45, 60))]
    step, at = rng.choice((DAY, 7 * DAY, 30 * DAY, 90 * DAY)), made.as_of - rng.randrange(1, 400 * 24) * HOUR
    at, grain = rng.choice(((rng.choice(edges), 1), *[(at, 1), (at, MINUTE), (at, MINUTE)] * 2))
    for _ in range(rng.choice((0, 1, 1, 2, 3, 5, 8, 12))):
        yield at // grain * grain
        at += rng.choice((step, step, int(step * 3 * rng.random()), rng.randrange(1, 4) * HOUR))
        if rng.random() < 0.08:
            yield rng.choice(edges) + rng.choice((0, 0, -1, 1))
    for _ in range(rng.choice((0, 0, 0, 1, 2, 5))):
        yield rng.randrange(made.as_of, made.end)


def recorded(rng: random.Random, at: int) -> int:
    return at + rng.choice((0, 0, 0, 0, 0, rng.randrange(48) * HOUR, rng.randrange(1, 9) * DAY, 40 * DAY, -DAY))


def add_transaction(made: World, customer: str, at: int) -> None:
    rng = made.rng
    named = f"t{len(made.tables['transactions'])}" if rng.random() < 0.4 else None
    row = add(
        made, "transactions", customer, occurred_at=at, recorded_at=recorded(rng, at), transaction_id=named,
        kind=rng.choice(("purchase",) * 6 + ("refund", "payment_failed")), category=rng.choice((None, "a", "b", "c")),
        amount=rng.choice((0, rng.randrange(100_000), rng.randrange(10**9))), discount=rng.choice((None, rng.randrange(900))),
    )  # fmt: skip
    while named and rng.random() < 0.5:
        kind, moved = rng.choice(("void", "refund", "purchase")), at + rng.randrange(-9, 9) * DAY
        changed = rng.choice(({"kind": kind}, {"kind": kind}, {"amount": 7}, {"occurred_at": moved}))
        row = row | {"recorded_at": row["recorded_at"] + rng.randrange(1, 60 * 24) * HOUR} | changed
        made.tables["transactions"].append(row)


def add_interaction(made: World, customer: str, at: int) -> None:
    kinds = ("visit", "usage") * 3 + ("login", "sent", "opened", "clicked", "call", "cancel_page", "downgrade_page")
    add(made, "interactions", customer, occurred_at=at, recorded_at=recorded(made.rng, at), kind=made.rng.choice(kinds),
        channel=made.rng.choice((None, "web", "shop")), quantity=made.rng.choice((None, made.rng.randrange(90_000) / 1000)))  # fmt: skip


def add_feedback(made: World, customer: str, at: int) -> None:
    rng, kind = made.rng, made.rng.choice(("csat", "nps", "review", "complaint"))
    later = [at + rng.randrange(1, 30 * 24 * 60) * MINUTE, *([made.as_of] if at < made.as_of else [])]
    low, high = made.settings.contract.scales.get(kind, (0, 0))
    answered = rng.choice((None, rng.choice(later), at)) if high else None
    score = None if answered is None else rng.randrange(2 * int(low), 2 * int(high) + 1) / 2
    resolved = None if high else rng.choice((None, rng.choice(later)))
    add(made, "feedback", customer, occurred_at=at, recorded_at=recorded(rng, at), kind=kind, score=score,
        answered_at=answered, resolved_at=resolved)  # fmt: skip


def add_terms(made: World, customer: str) -> None:
    """Terms in a chain: renewed at once, early, within grace, at its very end, or too late; some cancelled."""
    rng, grace = made.rng, made.settings.churn.grace_days * DAY
    at = rng.choice((made.as_of, made.as_of - rng.randrange(300) * DAY, made.as_of + rng.randrange(20) * DAY))
    for _ in range(rng.choice((0, 1, 1, 2, 3, 4))):
        while any(term["starts_at"] == at for term in oracle.of(customer, made.tables, "contracts")):
            at += 1  # of one start and plan they would be versions
        ends = at + rng.choice((30, 90, rng.randrange(1, 200))) * DAY
        if at < rng.choice((made.as_of, made.end)) and rng.random() < 0.15:
            ends = max(at + 1, rng.choice((made.as_of, made.end)))
        add_term(made, customer, at, ends)
        early, late = -rng.randrange(60) * DAY, grace + rng.choice((1, 20 * DAY))
        at = ends + rng.choice((0, 0, 0, DAY, grace, late, early, early))


def add_term(made: World, customer: str, starts: int, ends: int) -> None:
    rng = made.rng
    row = add(made, "contracts", customer, starts_at=starts, ends_at=ends, plan=rng.choice((None, "monthly", "annual")),
              recorded_at=starts + rng.choice((0, 0, -10 * DAY, DAY)), price=rng.choice((None, rng.randrange(10_000))),
              auto_renew=rng.choice((None, True, False)))  # fmt: skip
    if rng.random() < 0.4:
        when = rng.choice((made.as_of, made.end, rng.randrange(starts, ends), rng.randrange(starts, ends)))
        if rng.random() < 0.5:
            row["cancelled_at"] = when
        else:
            version = {"cancelled_at": when, "recorded_at": max(when, row["recorded_at"]) + rng.choice((1, DAY))}
            made.tables["contracts"].append(row | version | rng.choice(({}, {"ends_at": max(when, starts + 1)})))


def real(made: World) -> SimpleNamespace:
    """What the implementation says: `rows` (state, features, outcome) and `allowed` stages by customer, and the rest."""
    history = made.history()
    seen = history.as_of(made.as_of)
    definitions = define(seen, made.settings)
    base, chosen = measure(seen, definitions), columns_for(history, definitions, made.settings)
    rows = build(seen, base=base, definitions=definitions, columns=chosen)
    found = observe(history, seen, definitions=definitions, settings=made.settings)
    both = zip(rows.to_pylist(), found.rows.to_pylist(), strict=True)
    told = {one["customer_id"]: one | other for one, other in both}
    allowed = dict(zip(told, reachable_of(rows, definitions), strict=True))
    return SimpleNamespace(rows=told, allowed=allowed, definitions=definitions, base=base, late=found.late, prospects=prospects(seen))  # fmt: skip


def same(got, wanted) -> bool:
    if got is None or wanted is None or isinstance(wanted, str):
        return got == wanted
    return math.isclose(got, wanted, rel_tol=1e-9, abs_tol=1e-11)  # the floor: differences of instants since 1970


def refuse_differences(made: World, got: dict[str, oracle.Row], wanted: dict[str, oracle.Row]) -> None:
    differ = [
        (who, column, got[who][column], value if isinstance(value, str) or value is None else float(value))
        for who, row in sorted(wanted.items()) for column, value in row.items()
        if column in got[who] and not same(got[who][column], value)
    ]  # fmt: skip
    if differ:
        told = "\n".join(f"{who} {column}: real {fast!r}, oracle {slow!r}" for who, column, fast, slow in differ[:20])
        rows = {name: oracle.of(differ[0][0], made.tables, name) for name in made.tables}
        pytest.fail(f"{len(differ)} differ at as_of {made.as_of}\n{told}\n{made.settings}\n{rows}")


@few
@given(seed=st.integers(0, 2**32), archetype=st.sampled_from(("non-contractual", "contractual")))
def test_features_stages_and_outcomes(seed, archetype):
    made = world(seed, archetype)
    got = real(made)
    stated = (made.tables, made.as_of, made.settings, got.definitions)
    states, features, outcomes = oracle.states(*stated), oracle.features(*stated, got.base), oracle.outcomes(*stated)
    slow = {who: states[who] | features[who] | outcomes[who] for who in states}
    assert list(got.rows) == sorted(slow)
    assert all(got.rows[who].keys() - slow[who].keys() <= UNTOLD for who in slow)
    refuse_differences(made, got.rows, slow)
    stayers = [(who, row["outcome_stage"]) for who, row in outcomes.items() if not row["churned"]]
    missed = [(who, stage) for who, stage in stayers if not got.allowed[who][STAGES.index(stage)]]
    assert not missed, "a stayer's stage was said to be out of reach"
    refuse_other_differences(made, got, slow)


def refuse_other_differences(made: World, got: SimpleNamespace, slow: dict[str, oracle.Row]) -> None:
    """Who has no activity, money among customers, and the activity from before as_of recorded too late for it."""
    now, latency = known(made.tables, made.as_of), made.settings.churn.label_latency_days * DAY
    known_since = {row["customer_id"]: row["valid_from"] or row["acquired_at"] for row in made.tables["customers"]}
    everybody = {row["customer_id"] for rows in now.values() for row in rows}
    everybody |= {who for who, since in known_since.items() if since is not None and since < made.as_of}
    assert got.prospects == sorted(everybody - slow.keys())
    bought = [oracle.of_kind(oracle.of(who, now, "transactions"), "purchase") for who in everybody]
    totals = [sum(row["amount"] for row in rows) for rows in bought if rows]
    assert got.base.amount_quantiles == pytest.approx(quantiles(totals, n=20, method="inclusive"), rel=1e-9)
    then = known(made.tables, made.end + latency)[made.settings.activity.table]
    missed = [row for row in then if row["occurred_at"] < made.as_of <= row["recorded_at"]]
    assert got.late == len(oracle.of_kind(missed, *made.settings.activity.kinds))


LEAVING = {
    "cover ends with the window": ([(-9, 30, None)], True),
    "cancelled, and nothing follows": ([(-9, 90, 3)], True),
    "cancelled before the window, paid beyond it": ([(-9, 90, -3)], False),
    "cancelled, and renewed": ([(-9, 20, 3), (23, 90, None)], False),
    "renewed after grace": ([(-9, 20, None), (24, 90, None)], True),
    "one of two running terms cancelled, the one begun later": ([(-9, 90, None), (-5, 60, 3)], False),
    "one of two running terms cancelled, the one begun earlier": ([(-9, 90, 3), (-5, 60, None)], False),
    "all that reaches past the window is cancelled": ([(-9, 90, 3), (-5, 20, None)], True),
    "a later term cancelled, the present one runs on": ([(-9, 40, None), (33, 180, 3)], False),
}


@pytest.mark.parametrize(("terms", "churned"), LEAVING.values(), ids=LEAVING)
def test_who_leaves(terms, churned):
    assert one_customer(terms)[0]["churned"] == churned


def test_a_term_agreed_before_runs_from_its_first_instant():
    row, _ = one_customer([(0, 60, None)])
    assert (row["eligible"], row["days_left"]) == (True, 60)


def test_cancelled_tells_of_the_term_that_ends_last():
    assert one_customer([(-20, 10, -3), (-5, 60, None)])[0]["cancelled"] == 0


def test_whoever_begins_a_first_term_can_be_dormant():
    row, allowed = one_customer([(5, 90, None)], ages=(300,))
    assert (row["churned"], row["outcome_stage"], allowed[STAGES.index("dormant")]) == (False, "dormant", True)


@pytest.mark.parametrize(("ages", "periods"), [((5, 2, 1), 2), (range(2, 25, 2), 12)])
def test_periods_of_one_base_gap_end_where_the_next_begins(ages, periods):
    row, _ = one_customer((), ages)
    assert (row["gap_mean"], row["active_periods"]) == (2, periods / 12)


def one_customer(terms: Iterable[tuple], ages: Iterable[int] = (1,)) -> tuple[oracle.Row, np.ndarray]:
    """The row and the stages in reach of one customer; horizon 30 days, grace 3. Terms: start, end, cancelled, in days
    from as_of, each agreed a day before it starts. `ages` of the purchases in days."""
    chosen = settings_for("contractual", {"horizon_days": 30, "grace_days": 3, "label_latency_days": 3})
    made = World(random.Random(0), chosen, instant("2024-06-01", zone="UTC"), {name: [] for name in chosen.tables})
    for term in terms:
        starts, ends, cancelled = (None if days is None else made.as_of + days * DAY for days in term)
        cells = {"starts_at": starts, "ends_at": ends, "cancelled_at": cancelled, "recorded_at": starts - DAY}
        add(made, "contracts", "a", **cells)
    for at in (made.as_of - age * DAY for age in ages):
        add(made, "transactions", "a", occurred_at=at, recorded_at=at, amount=1, kind="purchase")
    got = real(made)
    return got.rows["a"], got.allowed["a"]


def test_ten_thousand_futures_stay_in_reach():
    rng, misses, ruled_out = random.Random(1), [], 0
    for _ in range(100):
        zone, horizon = rng.choice(ZONES), rng.choice((1, 2, 7, 30, 60))
        as_of = instant(rng.choice(DATES), zone=zone) + rng.choice((0, DAY - 1, rng.randrange(DAY)))
        base_gap, multiples = rng.choice((DAY, 20 * DAY, rng.randrange(DAY, 90 * DAY))), rng.choice(MULTIPLES)
        rules = SimpleNamespace(base_gap_us=base_gap, horizon_days=horizon, multiples=multiples)
        futures = [random_future(rng, as_of, zone, rules) for _ in range(100)]
        for until in (None, FOREVER):
            allowed = reach([past for past, _ in futures], as_of, rules, until)
            ruled_out += np.sum(~allowed[:, 2:])
            for row, (past, new) in zip(allowed, futures, strict=True):
                days = past if until and rng.random() < 0.2 else past + new
                stage = Standing(days, as_of + horizon * DAY, rules, until).stage[0]
                misses += [] if row[STAGES.index(stage)] else [(stage, zone, as_of, rules, past, new)]
    assert not misses, f"{len(misses)} futures out of reach, the first: {misses[0]}"
    assert ruled_out > 10_000


def reach(pasts: list[list[int]], as_of: int, rules: SimpleNamespace, until: int | None) -> np.ndarray:
    """`reachable` for customers with these active days; with cover (`until`) they may also do nothing."""
    n, first, last = (np.array([value(past) for past in pasts]) for value in (len, min, max))
    idle = [Standing(past, as_of + rules.horizon_days * DAY, rules, until).stage[0] for past in pasts]
    seen = {"n": n, "first_at": first, "last_at": last, "as_of": np.full(n.size, as_of), "definitions": rules}
    return reachable(**seen, stage_without_activity=np.array([STAGES.index(s) for s in idle]) if until else None)


def random_future(rng: random.Random, as_of: int, zone: str, rules: SimpleNamespace) -> tuple[list[int], list[int]]:
    """Active days before as_of, and at least one further local day in the window, some at the very edges."""
    end, days = as_of + rules.horizon_days * DAY, {}
    at = as_of - rng.choice((1, rng.randrange(1, 3 * DAY), rng.randrange(1, 12 * rules.base_gap_us)))
    for _ in range(rng.choice((1, 1, 2, 3, 4, 6, 12))):
        days.setdefault(local_day(at, zone), at)
        at -= rng.choice((DAY, rules.base_gap_us, rng.randrange(1, 6 * rules.base_gap_us)))
    # A local day's possible instants in the window; a day that was active before is no new one.
    inside = range(local_day(as_of, zone) + 1, local_day(end - 1, zone) + 1)
    midnights = [instant(date.fromordinal(EPOCH + day), zone=zone) for day in inside]
    spans = [span for span in pairwise([as_of, *midnights, end]) if local_day(span[0], zone) not in days]
    count = min(rng.choice((1, 1, 2, 3, 4, 5, 8, 99)), len(spans))
    chosen = rng.choice((sorted(rng.sample(spans, count)), spans[:count], spans[: count - 1] + spans[-1:]))
    return sorted(days.values()), [rng.choice((low, high - 1, rng.randrange(low, high))) for low, high in chosen]


def came_back(closed: list[Fraction], waiting: list[Fraction], m3: Fraction) -> tuple[int, Fraction | None]:
    """How many spells reached m3·g, and the share of them followed by activity."""
    back, out = sum(spell >= m3 for spell in closed), sum(spell >= m3 for spell in waiting)
    return back + out, Fraction(back, back + out) if back + out else None


def slow_multiples(closed: list[Fraction], waiting: list[Fraction]) -> list[Fraction]:
    if len(closed) < 500:
        return [Fraction(2), Fraction(4), Fraction(8)]
    points = quantiles(closed, n=100, method="inclusive")
    m2 = max((m1 := max(Fraction(5, 4), points[79])) * 3 / 2, points[94])
    m3 = max(m2 * 3 / 2, points[98])
    while (came_back(closed, waiting, m3)[1] or 0) > Fraction(1, 10) and m3 + Fraction(1, 4) <= 4 * m2:
        m3 += Fraction(1, 4)
    return [m1, m2, m3]


@settings(few, max_examples=40)
@given(seed=st.integers(0, 2**32), count=st.sampled_from((1, 40, 500, 500, 500)))
def test_learned_multiples(seed, count):
    made = world(seed, "non-contractual", count)
    definitions = define(made.history().as_of(made.as_of), made.settings)
    now = known(made.tables, made.as_of)[made.settings.activity.table]
    people = [sorted(days.values()) for days in oracle.activity(now, made.settings).values()]
    gaps = [gap for days in people for gap in gaps_of(days)] or [made.settings.churn.horizon_days * DAY]
    assert definitions.base_gap_us == pytest.approx(Fraction(sum(gaps), len(gaps)), abs=1)
    assert definitions.median_gap_days == pytest.approx(median(gaps) / DAY)
    base_gap = definitions.base_gap_us
    # A gap over g as it was known before the gap; a wait over g as it is.
    closed = [(days[k] - days[k - 1]) / usual_gap(days[:k], base_gap) for days in people for k in range(1, len(days))]
    waiting = [(made.as_of - days[-1]) / usual_gap(days, base_gap) for days in people]
    stated = made.settings.stages.multiples
    wanted = [Fraction(m) for m in stated] if stated else slow_multiples(closed, waiting)
    assert definitions.gaps == len(closed)
    assert definitions.multiples == pytest.approx([float(m) for m in wanted], abs=1e-6)
    reached, share = came_back(closed, waiting, wanted[2])
    assert (definitions.reached_churned, definitions.came_back) == (reached, None if share is None else float(share))
