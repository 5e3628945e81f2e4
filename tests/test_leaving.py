"""How customers left, against a count by hand."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.core.instants import DAY_US
from features.indicators.leaving import NO_VOICE
from features.recipes.definitions import learn_definitions
from tests.support import oracle
from tests.support.indicator_worlds import (
    day,
    orders,
    random_business,
    rows_of,
    section,
    write_business,
)

few = settings(max_examples=2, deadline=None)


@pytest.mark.parametrize("archetype", ["non-contractual", "contractual"])
@few
@given(seed=st.integers(0, 2**32))
def test_the_ways_of_leaving_are_those_counted_by_hand(archetype, seed):
    made = random_business(seed, archetype)
    config, churn = made.settings, made.settings.churn
    definitions = learn_definitions(made.history().as_of(made.as_of), config)
    begin = made.as_of - config.outcome_window_us
    end = begin + churn.horizon_days * DAY_US
    states = oracle.states(made.tables, begin, config, definitions)
    outcomes = oracle.outcomes(made.tables, begin, config, definitions)
    left = [who for who, row in outcomes.items() if row["churned"] and states[who]["eligible"]]
    now = oracle.known(made.tables, made.as_of)
    cause = contract_cause if archetype == "contractual" else voice
    expected = Counter(cause(who, now, begin, end, made) for who in left)
    found = section(made, "leaving")["leaving"]
    assert {row["cause"]: row["n"] for row in found if row["n"]} == dict(expected)
    assert sum(row["n"] for row in found) == len(left)
    assert all(row["missing"] for row in found) == (not left)
    shares = [row for row in found if row["share"] is not None]
    assert len(shares) == (len(found) if left else 0)
    for row in shares:
        assert row["share"] == row["n"] / len(left)
        assert row["low"] <= row["share"] <= row["high"]


def test_where_customers_could_say_nothing_nobody_is_called_silent(tmp_path):
    made = write_business(tmp_path, {"transactions": orders("a 2024-01-01 1", "b 2024-05-01 1")})
    [row] = rows_of(made[1], made[0], day("2024-06-01"), "leaving")["leaving"]
    assert row["missing"] == NO_VOICE
    sent = "customer_id,occurred_at,kind\na,2024-01-02,sent\n"
    tables = {"transactions": orders("a 2024-01-01 1", "b 2024-05-01 1"), "interactions": sent}
    made = write_business(tmp_path, tables)
    [row] = rows_of(made[1], made[0], day("2024-06-01"), "leaving")["leaving"]
    assert row["missing"] == NO_VOICE


def contract_cause(who, now, begin, end, made):
    if oracle.cancelled(who, now, begin, end, made.settings):
        return "cancelled"
    for row in oracle.of(who, now, "transactions"):
        if row["kind"] == "payment_failed" and begin - 30 * DAY_US <= row["occurred_at"] < end:
            return "payment failed"
    return "lapsed"


def voice(who, now, begin, end, made):
    config = made.settings
    days = oracle.activity(
        [row for row in now[config.activity.table] if row["occurred_at"] < end], config
    )
    if who not in days:  # a correction took all activity back
        return "silent"
    since = max(days[who].values()) - 30 * DAY_US
    scales = config.contract.scales
    for row in oracle.of(who, now, "feedback"):
        low = False
        if row["kind"] in scales and row["score"] is not None:
            bottom, top = scales[row["kind"]]
            low = round((row["score"] - bottom) / (top - bottom) * 1e6) <= 250_000
        if since <= row["occurred_at"] < end and (row["kind"] == "complaint" or low):
            return "voiced"
    for row in oracle.of(who, now, "interactions"):
        if row["kind"] == "cancel_page" and since <= row["occurred_at"] < end:
            return "voiced"
    return "silent"
