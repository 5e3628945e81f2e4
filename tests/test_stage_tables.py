"""The stages now and the moves between them, against the oracle's stages."""

from __future__ import annotations

from collections import Counter
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.core.instants import local_date
from features.indicators import stages_over_time
from features.indicators.stage_tables import NOT_KNOWN
from features.indicators.stages_over_time import STEP_DAYS, STEPS
from features.recipes.definitions import learn_definitions
from features.recipes.stages import STAGES
from tests.support.checks import nonempty
from tests.support.indicator_worlds import (
    YEAR,
    day,
    known_money,
    orders,
    random_business,
    rows_of,
    section,
    slow_stages,
    units,
    write_business,
)
from tests.support.oracle import DAY

few = settings(max_examples=1, deadline=None)


@pytest.mark.parametrize("archetype", ["non-contractual", "contractual"])
@few
@given(seed=st.integers(0, 2**32))
def test_stages_and_moves_are_those_of_the_oracle(archetype, seed):
    made = random_business(seed, archetype)
    definitions = learn_definitions(made.history().as_of(made.as_of), made.settings)
    now = slow_stages(made, made.as_of, definitions)
    before_at = made.as_of - made.settings.churn.horizon_days * DAY
    before = slow_stages(made, before_at, definitions)
    spent = Counter()
    for row in known_money(made):
        spent[row["who"]] += row["net"] * (row["at"] >= made.as_of - YEAR)
    found = section(made, "stages_now")["stages_now"]
    assert [row["stage"] for row in found] == list(STAGES)
    for row in found:
        mine = {who: since for who, (stage, since) in now.items() if stage == row["stage"]}
        assert (row["n"], row["share"]) == (len(mine), len(mine) / len(now))
        assert row["low"] <= row["share"] <= row["high"]
        if row["money_last_year"] is not None:
            total = sum(spent[who] for who in mine)
            assert round(row["money_last_year"] * units(made)) == total
        waits = [(made.as_of - since) / DAY for since in mine.values() if since is not None]
        expected = pytest.approx(median(waits), abs=1e-9) if waits else None
        assert row["median_recency_days"] == expected
    refuse_other_moves(section(made, "migration")["migration"], before, now)


@pytest.mark.parametrize("archetype", ["non-contractual", "contractual"])
@few
@given(seed=st.integers(0, 2**32))
def test_the_stages_of_earlier_days_are_those_of_the_oracle(archetype, seed):
    made = random_business(seed, archetype, count=25)
    definitions = learn_definitions(made.history().as_of(made.as_of), made.settings)
    rows = section(made, "stages_over_time")["stages_over_time"]
    expected = []
    for step in range(STEPS, -1, -1):
        at = made.as_of - step * STEP_DAYS * DAY
        states = Counter(stage for stage, _ in slow_stages(made, at, definitions).values())
        text = local_date(at, made.settings.zone).isoformat()
        expected += [
            (text, stage, states[stage], states.total()) for stage in STAGES if states.total()
        ]
    assert [(r["day"], r["stage"], r["customers"], r["n"]) for r in rows] == expected
    for row in rows:
        assert row["share"] == row["customers"] / row["n"]
        assert row["low"] <= row["share"] <= row["high"]


def test_days_at_which_nobody_was_known_have_no_rows(tmp_path):
    bought = orders("a 2024-01-10 10", "b 2024-03-05 10")
    chosen, history = write_business(tmp_path, {"transactions": bought})
    tables = rows_of(history, chosen, day("2024-03-10"), "stages_over_time")
    rows = tables["stages_over_time"]
    counted = [(row["day"], row["n"]) for row in rows if row["stage"] == "new"]
    assert counted == [("2024-02-09", 1), ("2024-03-10", 2)]
    [row] = rows_of(history, chosen, day("2024-01-01"), "stages_over_time")["stages_over_time"]
    assert (row["missing"], row["n"]) == ("a customer who was known before as_of", 0)


def test_a_customer_whose_only_row_was_withdrawn_since_counts_before(tmp_path):
    voided = (
        "transaction_id,customer_id,occurred_at,recorded_at,amount,kind\n"
        "1,a,2024-01-10,2024-01-10,5,purchase\n1,a,2024-01-10,2024-02-20,5,void\n"
        "2,b,2024-01-10,2024-01-10,5,purchase\n"
    )
    chosen, history = write_business(tmp_path, {"transactions": voided})
    rows = rows_of(history, chosen, day("2024-03-01"), "stages_over_time")["stages_over_time"]
    assert [(r["day"], r["n"]) for r in rows if r["stage"] == "new"] == [
        ("2024-01-31", 2),
        ("2024-03-01", 1),
    ]


def test_many_customers_are_counted_in_parts(tmp_path, monkeypatch):
    """The parts are counted together: no customer is lost or counted twice."""
    made = random_business(11, count=30)
    whole = section(made, "stages_over_time")
    monkeypatch.setattr(stages_over_time, "CUSTOMERS_AT_ONCE", 7)
    assert section(made, "stages_over_time") == whole


@pytest.mark.parametrize("kind", ["shop", "subscriptions"])
def test_days_agree_with_the_other_tables_of_stages(request, kind):
    _, chosen, history = request.getfixturevalue(kind)
    churn = chosen.churn.model_copy(update={"horizon_days": 2 * STEP_DAYS})
    chosen, at = chosen.model_copy(update={"churn": churn}), history.data_until - 100 * DAY
    rows = rows_of(history, chosen, at, "stages_over_time")["stages_over_time"]
    by_day = {}
    for row in rows:
        by_day.setdefault(row["day"], {})[row["stage"]] = row["customers"]
    *_, before, _, last = by_day.values()
    now = rows_of(history, chosen, at, "stages_now")["stages_now"]
    assert last == {row["stage"]: row["n"] for row in now}
    moves = rows_of(history, chosen, at, "migration")["migration"]
    left = Counter()
    for row in moves:
        left[row["from_stage"]] += row["customers"]
    assert before == {stage: left[stage] for stage in STAGES}


def refuse_other_moves(found, before, now):
    moves = Counter(
        (before.get(who, (NOT_KNOWN,))[0], now.get(who, (NOT_KNOWN,))[0]) for who in {*before, *now}
    )
    if before:
        assert {
            (row["from_stage"], row["to_stage"]): row["customers"]
            for row in found
            if row["customers"]
        } == dict(moves)
        for row in nonempty(found):
            total = sum(n for (old, _), n in moves.items() if old == row["from_stage"])
            assert row["n"] == total
            assert row["share"] == (row["customers"] / total if total else None)
    else:
        assert [row["n"] for row in found] == [0]


def test_one_stage_and_no_past(tmp_path):
    chosen, history = write_business(tmp_path, {"transactions": orders("a 2024-01-10 10")})
    found = section_of(history, chosen, "2024-01-20")
    assert [(row["stage"], row["n"]) for row in found["stages_now"] if row["n"]] == [("new", 1)]
    [row] = found["migration"]
    assert row["missing"] == "a customer who was known 90 days before as_of"
    later = section_of(history, chosen, "2024-04-15")["migration"]
    [row] = [row for row in later if row["customers"]]
    assert (row["from_stage"], row["share"], row["n"]) == ("new", 1.0, 1)
    # Before the data there is nobody.
    early = section_of(history, chosen, "2024-01-01")
    assert [row["missing"] for row in early["stages_now"]] == [
        "a customer who was known before as_of"
    ]


def section_of(history, chosen, text):
    tables = {}
    for name in ("stages_now", "migration"):
        tables |= rows_of(history, chosen, day(text), name)
    return tables
