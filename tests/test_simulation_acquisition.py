"""The simulated costs of channels and referrals: complete, possible in time, and of equal draws."""

from __future__ import annotations

import pyarrow.compute as pc
import pytest

from lifecycle.simulation import simulate


@pytest.fixture(scope="module")
def businesses():
    return simulate(customers=300, days=500, seed=5, actions=True), simulate(
        customers=300, days=500, seed=5
    )


def test_every_referred_customer_has_one_referrer_who_was_there(businesses):
    shop, _ = businesses
    customers = {row["customer_id"]: row for row in shop.tables["customers"].to_pylist()}
    referrals = shop.tables["referrals"].to_pylist()
    came = {name for name, row in customers.items() if row["channel"] == "referral"}
    assert {row["referred_id"] for row in referrals} == came - {"000001"}
    assert len(referrals) == len({row["referred_id"] for row in referrals})
    for row in referrals:
        assert customers[row["referrer_id"]]["acquired_at"] < row["occurred_at"]
        assert customers[row["referred_id"]]["acquired_at"] == row["occurred_at"]


def test_every_channel_costs_something_in_every_month(businesses):
    costs = businesses[0].tables["costs"]
    months = set(costs["month"].to_pylist())
    assert costs.num_rows == 4 * len(months) == 4 * 17
    assert pc.min(costs["amount"]).as_py() > 0


def test_the_other_tables_do_not_change(businesses):
    shop, plain = businesses
    assert set(shop.tables) - set(plain.tables) == {"treatments", "costs", "referrals"}
    assert shop.tables["customers"].equals(plain.tables["customers"])
