"""The models of waits and money find what made the data, are blind to order, and total."""

from __future__ import annotations

import math
from statistics import quantiles

import numpy as np
import pytest
from scipy import special

from features.core.instants import DAY_US
from features.recipes import value_models
from features.recipes.definitions import learn_definitions
from features.recipes.population_stats import population_stats


@pytest.mark.parametrize("shape", [0.7, 1.0, 2.5])
def test_the_shape_of_waits_is_found_through_censoring(shape):
    rng = np.random.default_rng(3)
    waits, ends = 1.7 * rng.weibull(shape, 40_000), rng.exponential(2.0, 40_000)
    found = value_models.weibull_shape(np.minimum(waits, ends), waits <= ends)
    assert found == pytest.approx(shape, rel=0.03)


def test_the_shape_solves_the_likelihood_and_is_blind_to_order():
    rng = np.random.default_rng(4)
    waits, closed = rng.gamma(2.0, 1.0, 500), rng.random(500) < 0.6
    shape = value_models.weibull_shape(waits, closed)

    def likelihood(k):
        return (
            closed.sum() * (math.log(k) - math.log((waits**k).sum()))
            + k * np.log(waits[closed]).sum()
        )

    assert likelihood(shape) > max(likelihood(shape * 0.999), likelihood(shape * 1.001))
    mixed = rng.permutation(500)
    assert value_models.weibull_shape(waits[mixed], closed[mixed]) == shape


def test_waits_without_a_gap_are_neutral_and_gaps_all_alike_bounded():
    assert value_models.weibull_shape(np.array([3.0, 4.0]), np.array([False, False])) == 1
    assert value_models.weibull_shape(np.array([]), np.array([], dtype=bool)) == 1
    assert value_models.weibull_shape(np.ones(5), np.ones(5, dtype=bool)) == 16
    wide = np.array([1e-9, 1e-6, 1e-3, 1.0, 1e250])
    assert value_models.weibull_shape(wide, np.array([True] * 4 + [False])) == 1 / 16


def test_money_finds_what_made_it():
    rng = np.random.default_rng(5)
    p, q, v = 6.0, 4.0, 15.0
    days = rng.integers(1, 9, 30_000)
    totals = rng.gamma(p * days, 1 / rng.gamma(q, 1 / v, days.size))
    found = value_models.gamma_gamma(totals, days.astype(float))
    assert found == pytest.approx((p, q, v), rel=0.08)
    assert found[0] * found[2] / (found[1] - 1) == pytest.approx(p * v / (q - 1), rel=0.02)


def test_money_is_a_likelihood_maximum_blind_to_order_and_unit():
    rng = np.random.default_rng(6)
    days, totals = rng.integers(1, 5, 400).astype(float), rng.lognormal(3, 1, 400)
    p, q, v = value_models.gamma_gamma(totals, days)

    def likelihood(p, q, v):
        return (
            q * math.log(v)
            - special.betaln(p * days, q)
            + p * days * np.log(totals)
            - (p * days + q) * np.log(v + totals)
        ).sum()

    for k in range(3):
        for step in (0.99, 1.01):
            moved = [value * step if i == k else value for i, value in enumerate((p, q, v))]
            assert likelihood(p, q, v) > likelihood(*moved)
    mixed = rng.permutation(400)
    assert value_models.gamma_gamma(totals[mixed], days[mixed]) == (p, q, v)
    assert value_models.gamma_gamma(totals * 100, days) == pytest.approx((p, q, v * 100), rel=1e-4)


@pytest.mark.parametrize("totals", [[5.0], [7.0, 7.0, 7.0], [1e-2, 1e15], [0.0, 3.0]])
def test_few_spenders_give_finite_positive_money(totals):
    p, q, v = value_models.gamma_gamma(np.array(totals), np.ones(len(totals)))
    assert all(map(math.isfinite, (p, q, v)))
    assert (p > 0, q > 1, v > 0) == (True, True, True)


def test_nobody_and_nothing_spent_are_neutral():
    assert value_models.gamma_gamma(np.array([]), np.array([])) == (1, 2, 0)
    assert value_models.gamma_gamma(np.array([0.0]), np.array([3.0])) == (1, 2, 0)
    assert value_models.cohort_cuts(np.array([], dtype=np.int64)) == (0, 0, 0)


def test_quarters_by_acquisition():
    assert value_models.cohort_cuts(np.array([8, 1, 7, 2, 6, 3, 5, 4])) == (2, 4, 6)
    assert value_models.cohort_cuts(np.array([5])) == (5, 5, 5)
    found = value_models.cohort_quantiles(
        np.array([1, 2, 3, 7]), np.array([10.0, 20.0, 30.0, 40.0]), (2, 4, 6)
    )
    assert found[9::19] == (15, 30, 25, 40)  # medians; nobody in the third: that of everybody


def test_the_base_measures_waits_money_and_quarters(shop):
    _, settings, history = shop
    known = history.as_of(history.data_until - 100 * DAY_US)
    definitions = learn_definitions(known, settings)
    base = population_stats(known, definitions)
    days = known.activity.collect(backend="pyarrow").to_native()
    first = {
        row["customer_id"]: row["occurred_at"] for row in days.to_pylist() if row["position"] == 1
    }
    ordered = sorted(first.values())
    assert base.earliest_at == ordered[0]
    assert base.cohort_cuts == tuple(
        ordered[math.ceil(len(ordered) * k / 4) - 1] for k in (1, 2, 3)
    )
    totals = dict.fromkeys((who for who, at in first.items() if at <= base.cohort_cuts[0]), 0)
    for row in known.tables["transactions"].collect(backend="pyarrow").to_native().to_pylist():
        if row["kind"] == "purchase" and row["customer_id"] in totals:
            totals[row["customer_id"]] += row["amount"]
    assert base.cohort_quantiles[:19] == pytest.approx(
        quantiles(totals.values(), n=20, method="inclusive")
    )
    # Buying on any day with one own chance: waits without memory, but for those who left and wait
    # on: below 1.
    assert 0.5 < base.wait_shape < 1
    assert base.money_p * base.money_v / (base.money_q - 1) == pytest.approx(
        5000, rel=0.3
    )  # a log-normal day


def test_an_instant_before_everything_measures_a_neutral_base(shop):
    _, settings, history = shop
    base = population_stats(
        history.as_of(1), learn_definitions(history.as_of(history.data_until), settings)
    )
    assert (base.wait_shape, base.money_p, base.money_q, base.money_v, base.earliest_at) == (
        1,
        1,
        2,
        0,
        0,
    )
    assert (base.cohort_cuts, base.cohort_quantiles) == ((0, 0, 0), (0.0,) * 76)
