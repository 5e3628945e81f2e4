"""The money of each horizon: a second implementation, and nothing from later."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from features.core.contract import OPEN_END_US
from features.core.settings import settings_from_mapping
from features.labels.event_times import with_horizon
from features.labels.later_money import (
    money_known_before,
    money_matrix,
    observe_money,
)
from tests.support import oracle
from tests.support.oracle_worlds import world

few = settings(max_examples=2, deadline=None, phases=(Phase.explicit, Phase.generate))


def slow_money(made, now, customer: str, days: int) -> float:
    """What a customer brought within so many days, row by row; `now`: what is known then."""
    config, at = made.settings, made.as_of
    end = at + days * oracle.DAY
    if not config.contractual:
        total = 0
        for row in oracle.of(customer, now, "transactions"):
            if at <= row["occurred_at"] < end and row["kind"] in ("purchase", "refund"):
                total += -abs(row["amount"]) if oracle.is_refund(row) else row["amount"]
        return total / 10**config.minor_digits
    money = 0.0
    for term in oracle.terms_of(oracle.of(customer, now, "contracts"), config):
        begins, ends = term["starts_at"], term["ends_at"]
        overlap = min(ends, end) - max(begins, at)
        if term["price"] is not None and ends < OPEN_END_US and overlap > 0:
            money += term["price"] * overlap / (ends - begins)
    return money / 10**config.minor_digits


@pytest.mark.parametrize("archetype", ["non-contractual", "contractual"])
@few
@given(seed=st.integers(0, 2**32))
def test_money_of_every_horizon_is_that_of_a_second_implementation(archetype, seed):
    made = world(seed, archetype)
    history, config = made.history(), made.settings
    people = pa.chunked_array([sorted({row["customer_id"] for row in made.tables["transactions"]})])
    money = observe_money(history, history.as_of(made.as_of), people, config)
    for at, days in enumerate(config.money_horizons):
        part = with_horizon(config, days)
        if made.as_of + part.outcome_window_us > history.data_until:
            assert np.isnan(money[:, at]).all()
            continue
        now = oracle.known(made.tables, made.as_of + part.outcome_window_us)
        expected = [slow_money(made, now, each, days) for each in people.to_pylist()]
        # With contracts each term is rounded to a thousandth of a minor unit.
        np.testing.assert_allclose(money[:, at], expected, rtol=0, atol=2e-3)


def test_money_that_comes_later_changes_no_label_that_was_known(trained_shop):
    """The labels as of an instant are those of data that end there."""
    rows, config = trained_shop.examples.rows, trained_shop.settings
    at = trained_shop.dates.evaluate[0]
    horizons = config.money_horizons
    money = money_known_before(
        money_matrix(rows, horizons), rows["as_of"].to_numpy(), horizons, latency_days=0, at=at
    )
    first = int(rows["as_of"].to_numpy().min())
    part = rows.filter(pa.array(rows["as_of"].to_numpy() == first))
    ended = replace(trained_shop.history, data_until=at)
    then = observe_money(ended, ended.as_of(first), part["customer_id"], config)
    np.testing.assert_array_equal(money[rows["as_of"].to_numpy() == first], then)
    assert not np.isnan(then[:, 0]).any()
    assert np.isnan(then[:, -1]).all()


def test_money_is_learned_up_to_the_days_that_are_asked(tmp_path):
    def horizons(**changes: object) -> tuple[int, ...]:
        mapping = {"tables": {"transactions": "SELECT 1"}, **changes}
        return settings_from_mapping(mapping, folder=tmp_path, where="t").money_horizons

    assert horizons() == (90, 180, 365)
    assert horizons(value={"days": 200}) == (90, 180)
    assert horizons(value={"days": 10}) == (90,)
    assert horizons(time={"horizons_days": [7]}) == (90,)
