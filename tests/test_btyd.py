"""The scores of BG/NBD against a simulated process, a slow implementation and their laws;
refusals.
"""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from features.recipes import btyd
from tests.support.btyd_customers import (
    PUBLISHED,
    SCORES,
    customers,
    horizons,
    is_nought_on_average,
    laws,
    models,
    simulated,
    some_customers,
)


def slow_expected_if_alive(model, repeats, age, horizon):
    """What a customer brings who leaves with p, summed over the log odds of p ~ Beta(a, b + x)."""
    shape, later = model.r + repeats, model.b + repeats
    log_odds = np.linspace(-700.0, 700.0, 400_001)
    p = special.expit(log_odds)
    weight = model.a * special.log_expit(log_odds) + later * special.log_expit(-log_odds)
    weight = np.exp(weight - weight.max())
    count = -np.expm1(-shape * np.log1p(p * horizon / (model.alpha + age))) / p
    return (count * weight).sum() / weight.sum()


# Scoring: oracles


@pytest.mark.parametrize(
    "truth", [(0.243, 4.414, 0.793, 2.426), (1.5, 6.0, 1.0, 3.0)], ids=["cdnow", "a=1"]
)
def test_scores_are_calibrated_on_the_simulated_process(truth):
    model = btyd.BgNbd(*truth, 0.0, True, 1)
    ages = np.random.default_rng(10).uniform(5, 60, 150_000)
    rows, later = simulated(model, ages, 26.0, seed=11)
    none = btyd.p_no_activity(model, **rows, horizon=26.0)
    expected = btyd.expected_activity(model, **rows, horizon=26.0)
    levels = np.digitize(rows["repeats"], [1, 2, 4, 10])
    silent = rows["age"] - rows["last"] > 15
    for level, silence in itertools.product(range(5), (True, False)):
        group = (levels == level) & (silent == silence)
        assert group.sum() > 100
        assert is_nought_on_average((none - (later == 0))[group])
        assert is_nought_on_average((expected - later)[group])


@laws
@given(models, customers, horizons)
def test_expected_activity_agrees_with_a_slow_sum(model, rows, horizon):
    x, age = rows["repeats"][0], rows["age"][0]
    got = btyd.expected_activity(model, **rows, horizon=horizon)[0]
    wanted = btyd.p_alive(model, **rows)[0] * slow_expected_if_alive(model, x, age, horizon)
    assert got == pytest.approx(wanted, rel=1e-5, abs=1e-9)


# About a = 1, a + b = 1, both near nought, and where `hyp2f1` gives up: r - a whole, large a
AWKWARD = [
    (1, 2),
    (1.00009, 2),
    (0.5, 0.5),
    (0.3, 0.7),
    (0.05, 0.05),
    (2.5, 1),
    (30, 0.1),
    (400, 90),
]


@pytest.mark.parametrize("horizon", [0.01, 10.0, 1e3])
@pytest.mark.parametrize("repeats", [0, 1, 400, 5000])
@pytest.mark.parametrize(("a", "b"), AWKWARD)
def test_expected_activity_where_the_formula_is_awkward(a, b, repeats, horizon):
    model = btyd.BgNbd(0.5, 10.0, a, b, 0.0, True, 1)
    rows = {"repeats": [repeats], "last": [20.0 if repeats else 0.0], "age": [20.0]}
    wanted = btyd.p_alive(model, **rows)[0] * slow_expected_if_alive(model, repeats, 20.0, horizon)
    assert btyd.expected_activity(model, **rows, horizon=horizon)[0] == pytest.approx(
        wanted, rel=2e-4
    )


# Scoring: laws


@laws
@given(models, customers, horizons, horizons)
def test_probabilities_are_probabilities_and_fall_with_the_horizon(model, rows, one, other):
    near, far = sorted((one, other))
    alive = btyd.p_alive(model, **rows)
    sooner, later = (btyd.p_no_activity(model, **rows, horizon=h) for h in (near, far))
    assert ((alive >= 0) & (alive <= 1)).all()
    assert (later <= sooner).all()
    assert ((1 - alive <= later) & (sooner <= 1)).all()


@laws
@given(models, customers)
def test_horizon_nought_and_without_end(model, rows):
    assert (btyd.p_no_activity(model, **rows, horizon=0.0) == 1).all()
    assert (btyd.expected_activity(model, **rows, horizon=0.0) == 0).all()
    gone = 1 - btyd.p_alive(model, **rows)
    np.testing.assert_allclose(btyd.p_no_activity(model, **rows, horizon=1e300), gone, atol=1e-9)


@laws
@given(models, customers, horizons)
def test_expected_count_lies_between_one_activity_and_never_leaving(model, rows, horizon):
    expected = btyd.expected_activity(model, **rows, horizon=horizon)
    some = 1 - btyd.p_no_activity(model, **rows, horizon=horizon)
    nobody_leaves = (model.r + rows["repeats"]) * horizon / (model.alpha + rows["age"])
    assert (expected >= some * (1 - 1e-6) - 1e-12).all()
    assert (expected <= nobody_leaves * (1 + 1e-12) + 1e-12).all()


@laws
@given(models, customers, horizons, st.sampled_from([7.0, 24.0, 1 / 365.25, 1e5]))
def test_scores_do_not_know_the_unit(model, rows, horizon, factor):
    scaled_model = replace(model, alpha=model.alpha * factor)
    scaled = {**rows, "last": rows["last"] * factor, "age": rows["age"] * factor}
    for score in (btyd.p_no_activity, btyd.expected_activity):
        one = score(model, **rows, horizon=horizon)
        other = score(scaled_model, **scaled, horizon=horizon * factor)
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-9)


def test_a_short_horizon_brings_rate_times_horizon():
    rows = some_customers(200)
    rate = (
        btyd.p_alive(PUBLISHED, **rows)
        * (PUBLISHED.r + rows["repeats"])
        / (PUBLISHED.alpha + rows["age"])
    )
    for horizon in (1e-9, 1e-12, 1e-15):
        expected = btyd.expected_activity(PUBLISHED, **rows, horizon=horizon)
        np.testing.assert_allclose(expected, rate * horizon, rtol=1e-7)


def test_longer_silence_means_less_alive_and_one_time_buyers_are_always_alive():
    ages = np.linspace(10.0, 200.0, 50)
    alive = btyd.p_alive(PUBLISHED, repeats=[4] * 50, last=[10.0] * 50, age=ages)
    assert (np.diff(alive) < 0).all()
    assert (btyd.p_alive(PUBLISHED, repeats=[0] * 50, last=[0.0] * 50, age=ages) == 1).all()


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("a", [0.793, 1.0, 2.5])
def test_a_customer_scores_the_same_alone_as_among_others(name, a):
    rows, model = some_customers(1000), replace(PUBLISHED, a=a)
    together = SCORES[name](model, **rows)
    for size in (1, 7):
        apart = [
            SCORES[name](model, **{key: column[i : i + size] for key, column in rows.items()})
            for i in range(0, 1000, size)
        ]
        np.testing.assert_array_equal(np.concatenate(apart), together)
    strided = SCORES[name](model, **{key: column[::-3] for key, column in rows.items()})
    np.testing.assert_array_equal(strided, together[::-3])


@pytest.mark.parametrize("score", SCORES.values(), ids=SCORES)
def test_nobody_to_score_is_no_error(score):
    assert score(PUBLISHED, repeats=[], last=[], age=[]).shape == (0,)


# Refusals


BAD = {
    "negative repeats": ([-1, 2], [0, 1], [5, 5], r"repeats: got negative -1 in 1 of 2 customers"),
    "negative last": ([1, 2], [-3, 1], [5, 5], r"last: got negative -3"),
    "negative age": ([0, 0], [0, 0], [5, -2], r"age: got negative -2"),
    "nan": ([1, 2], [1, math.nan], [5, 5], r"last: got null or infinite nan in 1 of 2"),
    "none": ([1, None], [1, 2], [5, 5], r"repeats: got null or infinite nan"),
    "infinite": ([1, 2], [1, 2], [5, math.inf], r"age: got null or infinite inf"),
    "half a repeat": ([1.5, 2], [1, 2], [5, 5], r"repeats: got broken counts 1\.5 .*whole numbers"),
    "future": (
        [1, 2, 1, 1],
        [6, 7, 8, 9],
        [5] * 4,
        r"last: later than age by 1, 2, 3 in 4 of 4 customers; .*<= age",
    ),
    "last of none": ([0, 2], [1, 2], [5, 5], r"last: got time without repeats 1"),
    "lengths": (
        [1, 2],
        [1],
        [5, 5],
        r"got shapes \{'repeats': \(2,\), 'last': \(1,\), 'age': \(2,\)\}",
    ),
    "table": ([[1, 2]], [[1, 2]], [[5, 5]], r"one-dimensional"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_customers_are_refused_everywhere(name):
    *columns, match = BAD[name]
    rows = dict(zip(("repeats", "last", "age"), columns, strict=True))
    with pytest.raises(ValueError, match=rf"^btyd\.fit: .*{match}"):
        btyd.fit(**rows)
    for where, score in SCORES.items():
        with pytest.raises(ValueError, match=rf"^btyd\.{where}: .*{match}"):
            score(PUBLISHED, **rows)


def test_fit_refuses_nobody():
    with pytest.raises(ValueError, match=r"btyd\.fit: got 0 customers"):
        btyd.fit(repeats=[], last=[], age=[])


@pytest.mark.parametrize("horizon", [-1.0, math.nan, math.inf])
@pytest.mark.parametrize("score", [btyd.p_no_activity, btyd.expected_activity])
def test_bad_horizon_is_refused(score, horizon):
    with pytest.raises(ValueError, match=rf"btyd\.{score.__name__}: got horizon {horizon}"):
        score(PUBLISHED, **some_customers(3), horizon=horizon)


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_a_model_without_a_distribution_is_refused(value):
    with pytest.raises(ValueError, match=r"BgNbd: got \{'alpha': .*positive and finite"):
        replace(PUBLISHED, alpha=value)
