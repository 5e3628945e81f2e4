"""Contracts as they are lived: cover alone, renewals, plan changes, trials, withdrawals."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from features.core.contract import CONTRACT, OPEN_END_US
from features.core.instants import instant
from features.core.settings import Settings, settings_from_mapping
from features.engine.additive_columns import build_columns
from features.engine.build import build
from features.engine.business_columns import columns_for
from features.engine.many_dates import build_many
from features.engine.pairs import build_pairs
from features.engine.prepared import PreparedFeatures
from features.labels.outcomes import observe_outcomes
from features.recipes.cover import current_cover
from features.recipes.definitions import learn_definitions
from features.recipes.population_stats import population_stats
from features.recipes.stages import STAGES
from features.tables.history import load_history
from features.tables.terms import TermRules
from tests.support import oracle, simulated_contracts
from tests.support.oracle import DAY
from tests.support.oracle_worlds import World, add, real, settings_for, world

seldom = settings(max_examples=2, deadline=None, phases=(Phase.explicit, Phase.generate))


@seldom
@given(seed=st.integers(0, 2**32))
def test_labels_equal_a_walk_through_each_life_hour_by_hour(seed):
    rng = random.Random(seed)
    grace = rng.choice((0, 0, 1, 3))
    chosen = settings_for(
        "contractual",
        {
            "horizon_days": rng.choice((7, 30)),
            "grace_days": grace,
            "label_latency_days": grace + rng.choice((0, 0, 2)),
        },
        business={"zone": rng.choice(("UTC", "Europe/London"))},
        contract=rng.choice(({}, {"cancelled_terms": "end"})),
    )
    # The second is the day after clocks went back in London: an hour more.
    as_of = instant(rng.choice(("2024-06-15", "2024-10-28")), zone=chosen.zone)
    made = World(rng, chosen, as_of, {name: [] for name in chosen.tables})
    simulated_contracts.populate(made, 60)
    history = made.history()
    known = history.as_of(as_of)
    definitions = learn_definitions(known, chosen)
    rows = observe_outcomes(history, known, definitions=definitions, settings=chosen).rows
    lives = {row["customer_id"]: [] for row in made.tables["contracts"]}
    for row in made.tables["contracts"]:
        lives[row["customer_id"]].append(row)
    wrong = [
        (row["customer_id"], row["churned"], lives.get(row["customer_id"]))
        for row in rows.to_pylist()
        if row["churned"] != simulated_contracts.leaves(lives[row["customer_id"]], as_of, chosen)
    ]
    assert not wrong, f"{len(wrong)} labels differ, the first: {wrong[0]} at {as_of}"
    assert 0 < sum(rows["churned"].to_pylist()) < rows.num_rows


# Every builder gives the same rows ---------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.long
def test_every_builder_gives_covered_customers_the_same_rows_to_the_bit():
    made = world(11, "contractual", 30)
    for number in range(5):
        starts = made.as_of - (20 + 30 * number) * DAY
        cells = {"starts_at": starts, "ends_at": made.as_of + 9 * DAY, "recorded_at": starts}
        add(made, "contracts", f"covered-{number}", plan="annual", **cells)
    history, instants = made.history(), [made.as_of - 30 * DAY, made.as_of]
    definitions = learn_definitions(history.as_of(instants[0]), made.settings)
    # Planning the columns is what takes long; tests/test_many.py has them all.
    columns = columns_for(history, definitions, made.settings)[::8]
    populations = [population_stats(history.as_of(at), definitions) for at in instants]
    alone = [
        build(history.as_of(one.as_of), population=one, definitions=definitions, columns=columns)
        for one in populations
    ]
    assert all(pc.sum(pc.equal(rows["n"], 0)).as_py() >= 4 for rows in alone)
    shared = {"definitions": definitions, "populations": populations, "columns": columns}
    many = build_many(history, **shared)
    assert all(one.equals(other) for one, other in zip(alone, many, strict=True))
    stacked = pa.concat_tables(alone).combine_chunks()
    pairs = build_pairs(history, stacked.select(["customer_id", "as_of"]), **shared)
    assert pairs.rows.combine_chunks().equals(
        stacked.sort_by([("as_of", "ascending"), ("customer_id", "ascending")])
    )
    names = ["customer_id", "as_of", *(column.name for column in columns)]
    bare = build_pairs(history, stacked.select(["customer_id", "as_of"]), **shared, state=False)
    assert bare.rows.combine_chunks().equals(pairs.rows.combine_chunks().select(names))
    assert build_columns(history, **shared).combine_chunks().equals(stacked.select(names))
    prepared = PreparedFeatures(
        definitions=definitions,
        population=populations[1],
        columns=columns,
        tables=history.names,
        activity_kinds=history.activity_kinds,
        terms=TermRules.from_settings(made.settings),
    )
    events = {
        name: history.connection.table(name).to_arrow_table().select(list(CONTRACT[name].names))
        for name in history.names
    }
    assert prepared.build(events, as_of=made.as_of).equals(alone[1])


# Stages ------------------------------------------------------------------------------------------

# Horizon 30 days, so the population mean gap is 30 days, and the multiples are 2, 4, 8.
ALONE = {
    "at the start": ([(0, 90, None)], "new", "cover_alone"),
    "before m1": ([(-59, 90, None)], "new", "cover_alone"),
    "from m1 on": ([(-60, 90, None)], "at_risk", "overdue_at_risk"),
    "from m2 on": ([(-120, 90, None)], "dormant", "overdue_dormant"),
    "from m3 on": ([(-240, 90, None)], "dormant", "overdue_churned"),
    "since the start of unbroken cover": ([(-80, -50, None), (-48, 90, None)], "at_risk", None),
    "since the last break": ([(-80, -50, None), (-40, 90, None)], "new", "cover_alone"),
    "cover ended": ([(-80, -50, None)], "churned", "no_cover"),
}


def people(cases: dict[str, list[dict]], *, active: bool = True, grace: int = 0, **contract):
    """The row and the stages in reach of one customer per case, all of one business: horizon 30
    days, a purchase a day before as_of where `active`. Instants of terms in days from as_of.
    """
    churn = {"horizon_days": 30, "grace_days": grace, "label_latency_days": grace}
    chosen = settings_for("contractual", churn, contract=contract)
    at = instant("2024-06-01", zone="UTC")
    made = World(random.Random(0), chosen, at, {name: [] for name in chosen.tables})
    for customer, terms in cases.items():
        for cells in terms:
            instants = {name: at + int(cells[name] * DAY) for name in cells if name.endswith("_at")}
            row = {
                "recorded_at": instants["starts_at"],
                "ends_at": oracle.OPEN,
                **cells,
                **instants,
            }
            add(made, "contracts", customer, **row)
        if active:
            cells = {"occurred_at": at - DAY, "recorded_at": at - DAY, "amount": 1}
            add(made, "transactions", customer, kind="purchase", **cells)
    got = real(made, ("recency", "value", "cover"))
    return {customer: (got.rows[customer], got.allowed[customer]) for customer in cases}


def term(starts, ends, **cells):
    return {"starts_at": starts, "ends_at": ends, **cells}


def test_covered_without_activity_counts_from_the_start_of_unbroken_cover():
    cases = {
        name: [term(starts, ends, recorded_at=-300) for starts, ends, _ in terms]
        for name, (terms, _, _) in ALONE.items()
    }
    for name, (row, allowed) in people(cases, active=False, grace=3).items():
        _, stage, rule = ALONE[name]
        assert (row["stage"], row["stage_rule"]) == (stage, rule or row["stage_rule"]), name
        assert (row["n"], row["streak"], row["first_at"], row["last_at"]) == (0, 0, None, None)
        assert (row["recency"], row["p_alive"]) == (None, None)
        assert row["eligible"] == (stage != "churned")
        assert allowed[STAGES.index("new")]


NIGHT = {
    "it renews by itself": ([term(-30, 0, auto_renew=True)], True),
    "it was renewed before": ([term(-60, -30), term(-30, 0)], True),
    "it never was": ([term(-30, 0)], False),
    "a pause before it": ([term(-80, -50), term(-30, 0)], False),
    "cancelled": ([term(-30, 0, auto_renew=True, cancelled_at=-9)], False),
    "a day later": ([term(-31, -1, auto_renew=True)], False),
    "less than a day later": ([term(-31, -0.99, auto_renew=True)], True),
}


def test_nobody_who_renews_is_churned_on_the_night_of_renewal():
    rows = people({name: terms for name, (terms, _) in NIGHT.items()})
    # Renewed at this very instant and recorded then: nothing of it is read.
    renewed = people({name: [*terms, term(0, 30)] for name, (terms, _) in NIGHT.items()})
    for name, (row, _) in rows.items():
        covered = NIGHT[name][1]
        assert (row["eligible"], row["stage"] == "churned") == (covered, not covered), name
        later = renewed[name][0]
        assert row == {**later, "churned": row["churned"], "outcome_stage": row["outcome_stage"]}


def test_grace_longer_than_a_day_is_how_long_it_runs_on():
    cases = {"within": [term(-34, -4, auto_renew=True)], "after": [term(-35, -5, auto_renew=True)]}
    rows = people(cases, grace=5)
    assert (rows["within"][0]["eligible"], rows["after"][0]["eligible"]) == (True, False)


OUTCOMES = {
    "the window ends on the night of renewal": (
        [term(-30, 0, auto_renew=True), term(0, 30, auto_renew=True)],
        False,
    ),
    "and the day of renewal is over": (
        [term(-31, -1, auto_renew=True), term(-1, 29, auto_renew=True)],
        True,
    ),
    "renewed late on that day": ([term(-28, 2, auto_renew=True), term(2.9, 60)], False),
    "renewed after it": ([term(-28, 2, auto_renew=True), term(3.1, 60)], True),
    "it runs on at as_of, and is not renewed": ([term(-30, 0, auto_renew=True)], True),
    "it runs on at as_of, and is renewed": ([term(-30, 0, auto_renew=True), term(0.5, 60)], False),
    "another plan": ([term(-30, 90, plan="a", cancelled_at=5), term(5, 365, plan="b")], False),
    "a trial that ran out": ([term(-30, 60), term(-1, 5, plan="trial")], False),
    "a trial alone is no renewal": ([term(-30, 5), term(5, 60, plan="Free trial")], True),
    "withdrawn": ([term(-30, 90, cancelled_at=5)], True),
    "the next term withdrawn before as_of": ([term(-30, 5), term(5, 60, cancelled_at=-2)], True),
    "withdrawn from open-ended cover": ([{"starts_at": -30, "cancelled_at": 5}], True),
    "open-ended": ([{"starts_at": -30}], False),
}


def test_who_leaves():
    rows = people({name: terms for name, (terms, _) in OUTCOMES.items()})
    churned = {name: row["churned"] for name, (row, _) in rows.items()}
    assert churned == {name: churned for name, (_, churned) in OUTCOMES.items()}


PAID, OPEN = [term(-30, 60, cancelled_at=-1)], [{"starts_at": -30, "cancelled_at": -1}]


def test_what_is_left_after_a_withdrawal():
    rows = people({"paid": PAID, "open": OPEN})
    row, _ = rows["paid"]
    assert (row["eligible"], row["has_cancelled"], row["churned"]) == (True, True, False)
    assert row["days_left"] == 60
    assert rows["open"][0]["stage_rule"] == "no_cover"
    assert people({"paid": PAID}, cancelled_terms="end")["paid"][0]["stage_rule"] == "no_cover"


def test_a_term_withdrawn_before_it_begins_never_was_cover():
    cases = {
        "before": [term(-80, -50), term(-30, 60, cancelled_at=-31)],
        "at the start": [term(-80, -50), term(-30, 60, cancelled_at=-30)],
    }
    rows = {name: row for name, (row, _) in people(cases, active=False).items()}
    assert rows["before"]["stage_rule"] == "no_cover"
    assert (rows["at the start"]["days_left"], rows["at the start"]["has_cancelled"]) == (60, True)


def test_who_has_cancelled_is_told_from_who_can_be_kept():
    given_up = term(-30, 60, cancelled_at=-2, plan="a")
    cases = {
        "cancelled": [given_up],
        "cancelled, not known yet": [term(-30, 60, cancelled_at=1)],
        "a plan change": [given_up, term(-2, 28, plan="b")],
        "renewed ahead": [given_up, term(60, 90, recorded_at=-1)],
        "gone already": [term(-90, -60, cancelled_at=-70)],
    }
    rows = people(cases)
    assert [name for name in cases if rows[name][0]["has_cancelled"]] == ["cancelled"]


def test_a_trial_is_a_term_only_where_the_settings_say_so():
    trial = {"trial": [term(-5, 9, plan="trial")], "taster": [term(-5, 9, plan="taster")]}

    def covered(**contract) -> list[str]:
        return [name for name, (row, _) in people(trial, **contract).items() if row["terms"]]

    assert covered() == ["taster"]
    assert covered(trial_plans=[]) == ["trial", "taster"]
    assert covered(trial_plans=["taster"]) == ["trial"]


def test_open_ended_cover_has_no_days_left():
    row, _ = people({"a": [{"starts_at": -30, "price": 900}]})["a"]
    assert (row["days_left"], row["term_days"], row["price_per_day"]) == (None, None, None)
    assert (row["eligible"], row["can_end"], row["cover_until"]) == (True, 0, 2**63 - 1)


# Read from files ---------------------------------------------------------------------------------

CSV = """member,start,end,cancelled,plan,fee
a,2024-01-01,,,flex,20
b,2024-01-01,9999-12-31,,flex,20
c,2024-01-01,2099-12-31 23:59:59,,flex,20
d,2024-01-01,2098-12-31,2024-02-01,flex,20
e,2024-01-01,never,,flex,20
f,2024-01-01,1969-01-01,,flex,20
"""
SELECT = (
    "SELECT member AS customer_id, start AS starts_at, {end} plan, fee AS price, "
    "cancelled AS cancelled_at FROM files.terms"
)


def business(folder: Path, contracts: str, *, text: str = CSV, **sections) -> Settings:
    (folder / "terms.csv").write_text(text)
    (folder / "orders.csv").write_text("member,day,paid\na,2024-01-05,9\na,2024-03-05,9\n")
    orders = "SELECT member AS customer_id, day AS occurred_at, paid AS amount FROM files.orders"
    mapping = {
        "business": {"archetype": "contractual", "zone": "Europe/London"},
        "files": {"terms": "terms.csv", "orders": "orders.csv"},
        "tables": {"transactions": orders, "contracts": contracts},
    }
    return settings_from_mapping({**mapping, **sections}, folder=folder, where="test")


def test_blank_ends_and_ends_far_away_are_no_ends(tmp_path):
    chosen = business(tmp_path, SELECT.format(end='"end" AS ends_at,'))
    history, counts = load_history(chosen)
    ends = history.connection.execute("SELECT customer_id, ends_at FROM contracts").fetchall()
    assert {who for who, end in ends if end == OPEN_END_US} == {"a", "b", "c"}
    assert counts["contracts"].rejected == {"ends_at_before_1970": 1, "ends_at_not_an_instant": 1}
    assert history.as_of(instant("2024-02-02", zone="UTC"))


def test_a_business_that_never_writes_an_end_needs_no_column(tmp_path):
    history, counts = load_history(business(tmp_path, SELECT.format(end="")))
    assert counts["contracts"].kept == 6
    known = history.as_of(instant("2024-03-01", zone="Europe/London"))
    cover = current_cover(known).sort("customer_id").collect(backend="pyarrow").to_native()
    until = dict(
        zip(cover["customer_id"].to_pylist(), cover["cover_until"].to_pylist(), strict=True)
    )
    assert until.pop("d") == instant("2024-02-01", zone="Europe/London")  # withdrawn
    assert set(until.values()) == {2**63 - 1}
