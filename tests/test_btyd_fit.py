"""Fitting BG/NBD: the published CDNOW values, what must not matter, and what must be found
again.
"""

import csv
import math
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from scipy import special

from features.recipes import btyd
from tests.support.btyd_customers import (
    PUBLISHED,
    SCORES,
    customers,
    is_nought_on_average,
    parameters,
    simulated,
    some_customers,
)
from tests.support.public_data import public_file


def slow_log_likelihood(model, *, repeats, last, age):
    """Eq. 6 as printed, one customer at a time."""
    r, alpha, a, b = model.r, model.alpha, model.a, model.b
    total = 0.0
    for x, t_x, t in zip(repeats, last, age, strict=True):
        alive = special.beta(a, b + x) / special.beta(a, b) / (alpha + t) ** (r + x)
        gone = (
            special.beta(a + 1, b + x - 1) / special.beta(a, b) / (alpha + t_x) ** (r + x)
            if x
            else 0.0
        )
        total += math.log(special.gamma(r + x) / special.gamma(r) * alpha**r * (alive + gone))
    return total


@pytest.fixture(scope="module")
def cdnow():
    """The CDNOW sample in weeks: seen until 1997-09-30, and what each brought in the 39 weeks
    after.
    """
    days = {}
    with public_file("cdnow/cdnow_sample.csv").open() as lines:
        for line in csv.DictReader(lines):
            day = date.fromisoformat(line["date"]).toordinal()
            days.setdefault(line["master_id"], set()).add(day)
    end = date(1997, 9, 30).toordinal()
    before = [sorted(day for day in one if day <= end) for one in days.values()]
    weeks = {
        "repeats": np.array([len(one) - 1 for one in before]),
        "last": np.array([one[-1] - one[0] for one in before]) / 7,
        "age": np.array([end - one[0] for one in before]) / 7,
    }
    return weeks, np.array([sum(day > end for day in one) for one in days.values()])


@pytest.fixture(scope="module")
def cdnow_model(cdnow):
    return btyd.fit(**cdnow[0])


# The published values


def test_fit_agrees_with_the_paper(cdnow_model):
    assert [round(value, 3) for value in parameters(cdnow_model)] == [0.243, 4.414, 0.793, 2.426]
    assert cdnow_model.log_likelihood == pytest.approx(-9582.4, abs=0.05)
    assert cdnow_model.converged
    assert cdnow_model.customers == 2357


def test_forecast_of_the_holdout_agrees_with_the_published_errors(cdnow, cdnow_model):
    weeks, actual = cdnow
    expected = btyd.expected_activity(cdnow_model, **weeks, horizon=39.0)
    assert np.abs(expected - actual).mean() == pytest.approx(0.7855, abs=5e-5)
    assert np.sqrt(((expected - actual) ** 2).mean()) == pytest.approx(1.608, abs=5e-4)
    assert np.corrcoef(expected, actual)[0, 1] == pytest.approx(0.626, abs=5e-4)


def test_no_step_aside_is_more_likely(cdnow, cdnow_model):
    best = slow_log_likelihood(cdnow_model, **cdnow[0])
    assert cdnow_model.log_likelihood == pytest.approx(best, abs=1e-6)
    for name in ("r", "alpha", "a", "b"):
        for factor in (0.97, 1.03):
            aside = replace(cdnow_model, **{name: getattr(cdnow_model, name) * factor})
            assert slow_log_likelihood(aside, **cdnow[0]) < best


# Fitting: what must not matter, and what must be found again


def test_unit_of_time_changes_nothing(cdnow, cdnow_model):
    weeks, _ = cdnow
    for per_week in (7.0, 7 * 86_400.0, 7 / 365.25):
        scaled = {**weeks, "last": weeks["last"] * per_week, "age": weeks["age"] * per_week}
        model = btyd.fit(**scaled)
        in_weeks = replace(model, alpha=model.alpha / per_week)
        assert parameters(in_weeks) == pytest.approx(parameters(cdnow_model), rel=1e-6)
        density = weeks["repeats"].sum() * math.log(per_week)
        assert model.log_likelihood == pytest.approx(cdnow_model.log_likelihood - density, rel=1e-9)
        alive = btyd.p_alive(cdnow_model, **weeks)
        np.testing.assert_allclose(btyd.p_alive(model, **scaled), alive, rtol=1e-6)


@pytest.mark.parametrize("seed", [0, 4, 5])
def test_unit_of_time_changes_nothing_where_the_data_say_little(seed):
    ages = np.random.default_rng(seed).uniform(20, 60, 500)
    rows, _ = simulated(btyd.BgNbd(1.0, 10.0, 0.3, 8.0, 0.0, True, 1), ages, 0.0, seed=seed + 100)
    weeks, days = (
        btyd.fit(**{**rows, "last": rows["last"] * k, "age": rows["age"] * k}) for k in (1.0, 7.0)
    )
    assert weeks.converged
    assert parameters(replace(days, alpha=days.alpha / 7)) == pytest.approx(
        parameters(weeks), rel=1e-8
    )


def test_order_of_rows_changes_nothing_at_all():
    rows, _ = simulated(PUBLISHED, np.random.default_rng(3).uniform(20, 40, 3000), 0.0, seed=4)
    shuffled = np.random.default_rng(5).permutation(3000)
    assert btyd.fit(**{name: column[shuffled] for name, column in rows.items()}) == btyd.fit(**rows)


def test_doubling_every_customer_changes_only_the_totals():
    rows, _ = simulated(PUBLISHED, np.random.default_rng(6).uniform(20, 40, 2000), 0.0, seed=7)
    once = btyd.fit(**rows)
    twice = btyd.fit(**{name: np.repeat(column, 2) for name, column in rows.items()})
    assert parameters(twice) == pytest.approx(parameters(once), rel=1e-6)
    assert (twice.log_likelihood, twice.customers) == (pytest.approx(2 * once.log_likelihood), 4000)


@pytest.mark.parametrize(
    "truth", [(0.25, 4.5, 0.8, 2.5), (2.5, 5.0, 0.6, 4.0), (1.0, 10.0, 1.5, 2.0)]
)
def test_parameters_are_found_again(truth):
    ages = np.random.default_rng(8).uniform(30, 80, 20_000)
    rows, _ = simulated(btyd.BgNbd(*truth, 0.0, True, 1), ages, 0.0, seed=9)
    model = btyd.fit(**rows)
    assert model.converged
    assert parameters(model) == pytest.approx(truth, rel=0.15)
    assert model.a / (model.a + model.b) == pytest.approx(
        truth[2] / (truth[2] + truth[3]), rel=0.05
    )


def test_inputs_are_not_changed_and_lists_will_do():
    rows = some_customers(200)
    kept = {name: column.copy() for name, column in rows.items()}
    model = btyd.fit(**{name: column.tolist() for name, column in rows.items()})
    assert model == btyd.fit(**rows)
    for score in SCORES.values():
        score(model, **rows)
    for name, column in rows.items():
        np.testing.assert_array_equal(column, kept[name])


DEGENERATE = {
    "nobody came back": ([0] * 50, [0.0] * 50, np.arange(1.0, 51.0)),
    "nobody came back, same age": ([0] * 50, [0.0] * 50, [5.0] * 50),
    "nobody was watched": ([0] * 5, [0.0] * 5, [0.0] * 5),
    "one customer, no repeat": ([0], [0.0], [5.0]),
    "one customer, no time": ([0], [0.0], [0.0]),
    "one customer, repeats": ([3], [4.0], [5.0]),
    "one customer, last seen now": ([3], [5.0], [5.0]),
    "all alike": ([2] * 30, [10.0] * 30, [20.0] * 30),
    "same repeats": ([2] * 30, np.linspace(1, 30, 30), np.linspace(30, 60, 30)),
    "repeats in no time": ([2] * 30, [0.0] * 30, [60.0] * 30),
    "repeats in no time, not watched": ([1] * 5, [0.0] * 5, [0.0] * 5),
    "one machine among people": ([10**6, 0, 5], [10.0, 0.0, 5.0], [10.0, 10.0, 10.0]),
    "clockwork, nobody leaves": ([20] * 40, [100.0] * 40, np.linspace(100, 104, 40)),
}


@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_data_say_so_and_stay_finite(name):
    rows = dict(zip(("repeats", "last", "age"), DEGENERATE[name], strict=True))
    model = btyd.fit(**rows)
    assert not model.converged
    assert math.isfinite(model.log_likelihood)
    alive, none, expected = (score(model, **rows) for score in SCORES.values())
    assert ((alive >= 0) & (alive <= 1) & (none >= 0) & (none <= 1)).all()
    assert (np.isfinite(expected) & (expected >= 0)).all()


def test_where_nobody_leaves_the_fit_says_so_and_the_scores_hold():
    ages = np.random.default_rng(12).uniform(20, 80, 5000)
    rows, later = simulated(btyd.BgNbd(1.0, 10.0, 0.001, 1000.0, 0.0, True, 1), ages, 26.0, seed=13)
    model = btyd.fit(**rows)
    assert not model.converged
    assert (model.r, model.alpha) == pytest.approx((1.0, 10.0), rel=0.1)
    assert model.a / (model.a + model.b) < 1e-5
    assert is_nought_on_average(btyd.p_no_activity(model, **rows, horizon=26.0) - (later == 0))
    assert is_nought_on_average(btyd.expected_activity(model, **rows, horizon=26.0) - later)


@settings(deadline=None, max_examples=25)
@given(customers)
def test_any_valid_customers_can_be_fitted(rows):
    model = btyd.fit(**rows)
    assert math.isfinite(model.log_likelihood)
    assert model.customers == len(rows["age"])
