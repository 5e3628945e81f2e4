"""What goes with later money: a planted driver is found and stable, a planted noise is not."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest
import scipy.stats

from features.indicators.value_drivers import (
    DRIVERS,
    TOO_SHORT,
    _correlation,
    _drawn_falls,
    _judge,
    _stable,
)
from tests.support.indicator_worlds import day, orders, rows_of, write_business


def drivers(tmp_path, transactions, at="2024-12-01", more=None):
    made = {"transactions": transactions, **(more or {})}
    chosen, history = write_business(tmp_path, made, churn={"horizon_days": 60})
    return rows_of(history, chosen, day(at), "value_drivers")["value_drivers"]


@pytest.fixture(scope="module")
def world():
    """Customers whose own rate and own price last; 240 of them over two years."""
    rng = np.random.default_rng(4)
    rows = []
    for k in range(240):
        rate, price = rng.gamma(1, 1 / 40), rng.lognormal(3, 1)
        at = float(rng.integers(0, 200))
        while at < 700:
            when = date(2023, 1, 1) + timedelta(days=int(at))
            rows.append(f"c{k} {when} {price * rng.uniform(0.8, 1.2):.2f}")
            at += 1 + rng.exponential(1 / rate)
    return orders(*rows)


def test_how_often_and_how_much_is_found_at_every_instant(tmp_path, world):
    rows = drivers(tmp_path, world)
    instants = list(dict.fromkeys(row["instant"] for row in rows))
    assert instants == ["2024-10-02", "2024-08-03", "2024-06-04"]
    for name in ("days with a purchase", "money of such a day"):
        mine = [row for row in rows if row["driver"] == name]
        assert len(mine) == 3
        assert {row["direction"] for row in mine} == {"more money"}
    often = [row for row in rows if row["driver"] == "days with a purchase"]
    assert {row["stable"] for row in often} == {"yes"}
    assert all(row["low"] <= row["importance"] <= row["high"] for row in rows)
    assert all(row["rank_correlation"] > 0.4 for row in rows)
    # Nobody complained and nothing was given back: what does not vary is no driver.
    assert not {"complaints of the last year", "share given back"} & {r["driver"] for r in rows}


def test_of_what_came_after_an_instant_only_the_money_counts(tmp_path, world):
    """Purchases after the last window change nothing; in it they change labels alone."""
    before = drivers(tmp_path, world)
    again = drivers(tmp_path, world + "c0,2024-12-02,99999,purchase\nc1,2024-12-05,9,refund\n")
    assert before == again


def test_a_driver_without_meaning_has_an_interval_with_0():
    rng = np.random.default_rng(1)
    inputs = rng.normal(size=(2, 800, len(DRIVERS)))
    later = np.exp(inputs[:, :, 1] + rng.normal(size=(2, 800)))
    rows = _judge("now", (inputs[0], later[0]), (inputs[1], later[1]))
    found = {row["driver"]: row for row in rows}
    real = found[DRIVERS[1]]
    assert real["direction"] == "more money"
    assert real["low"] > 0.3
    assert real["importance"] == pytest.approx(real["rank_correlation"], abs=0.1)
    others = [row for name, row in found.items() if name != DRIVERS[1]]
    assert sum(row["low"] <= 0 <= row["high"] for row in others) >= len(others) - 1
    assert abs(np.mean([row["importance"] for row in others])) < 0.01


def test_the_falls_of_draws_are_those_of_correlations_of_the_draws():
    rng = np.random.default_rng(2)
    a, b, later = (scipy.stats.rankdata(rng.normal(size=60)) for _ in range(3))
    falls = _drawn_falls(later, a, [b], np.random.default_rng(9))
    again = np.random.default_rng(9)
    for fall in falls[0].tolist():
        drawn = again.integers(0, 60, 60)
        each = [np.corrcoef(of[drawn], later[drawn])[0, 1] for of in (a, b)]
        assert fall == pytest.approx(each[0] - each[1])
    assert _correlation(a, np.ones(60)) == 0


def test_one_instant_says_nothing_of_stability():
    row = {"driver": "x", "direction": "+", "low": 0.1}
    assert _stable([row]) == {"x": None}
    assert _stable([row, row]) == {"x": "yes"}
    assert _stable([row, row | {"direction": "−"}]) == {"x": "no"}
    assert _stable([row, row | {"low": -0.1}]) == {"x": "no"}


def test_a_short_history_says_so(tmp_path):
    [row] = drivers(tmp_path, orders("a 2024-01-01 1", "b 2024-02-01 1"))
    assert row["missing"] == TOO_SHORT
