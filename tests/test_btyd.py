"""BG/NBD against the published CDNOW values, a simulated process, slow implementations and its laws."""

import csv
import itertools
import math
import os
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from features import btyd

DATA = Path(os.environ.get("LIFECYCLE_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
CDNOW = DATA / "cdnow" / "cdnow_sample.csv"
PUBLISHED = btyd.BgNbd(0.243, 4.414, 0.793, 2.426, -9582.4, True, 2357)
SCORES = {
    "p_alive": btyd.p_alive,
    "p_no_activity": lambda model, **seen: btyd.p_no_activity(model, **seen, horizon=13.0),
    "expected_activity": lambda model, **seen: btyd.expected_activity(model, **seen, horizon=13.0),
}

positive = st.floats(0.05, 50.0)
models = st.builds(
    lambda r, alpha, a, b: btyd.BgNbd(r, alpha, a, b, 0.0, True, 1), positive, positive, positive, positive
)
customers = st.lists(
    st.tuples(st.integers(0, 300), st.floats(0.0, 1.0), st.floats(0.0, 500.0)), min_size=1, max_size=20
).map(lambda rows: seen(*(np.array(column) for column in zip(*rows, strict=True))))
horizons = st.floats(0.0, 1e4)
laws = settings(deadline=None, max_examples=60)


def seen(repeats, share, age):
    """Customers whose last repeat came at a share of their age."""
    return {
        "repeats": repeats,
        "last": np.where(repeats > 0, share * age, 0.0),
        "age": np.asarray(age, dtype=float),
    }


def parameters(model):
    return model.r, model.alpha, model.a, model.b


def some_customers(count, seed=0):
    rng = np.random.default_rng(seed)
    return seen(rng.poisson(rng.gamma(0.5, 6.0, count)), rng.random(count), rng.uniform(0.1, 80.0, count))


def simulated(model, ages, horizon, seed):
    """Play the story of the module: what is seen of each until `age`, and its count in the horizon."""
    rng = np.random.default_rng(seed)
    pause = 1 / rng.gamma(model.r, 1 / model.alpha, len(ages))
    leaves = rng.beta(model.a, model.b, len(ages))
    now, last, repeats, later = np.zeros((4, len(ages)))
    alive = np.full(len(ages), True)
    while alive.any():
        now = now + rng.exponential(pause)
        before, after = alive & (now <= ages), alive & (now > ages) & (now <= ages + horizon)
        repeats, later, last = repeats + before, later + after, np.where(before, now, last)
        alive &= (now <= ages + horizon) & (rng.random(len(ages)) > leaves)
    return {"repeats": repeats, "last": last, "age": ages}, later


def slow_log_likelihood(model, *, repeats, last, age):
    """Eq. 6 as printed, one customer at a time."""
    r, alpha, a, b = model.r, model.alpha, model.a, model.b
    total = 0.0
    for x, t_x, t in zip(repeats, last, age, strict=True):
        alive = special.beta(a, b + x) / special.beta(a, b) / (alpha + t) ** (r + x)
        gone = special.beta(a + 1, b + x - 1) / special.beta(a, b) / (alpha + t_x) ** (r + x) if x else 0.0
        total += math.log(special.gamma(r + x) / special.gamma(r) * alpha**r * (alive + gone))
    return total


def slow_expected_if_alive(model, repeats, age, horizon):
    """What a customer brings who leaves with p, summed over the log odds of p ~ Beta(a, b + x)."""
    shape, later = model.r + repeats, model.b + repeats
    log_odds = np.linspace(-700.0, 700.0, 400_001)
    p = special.expit(log_odds)
    weight = model.a * special.log_expit(log_odds) + later * special.log_expit(-log_odds)
    weight = np.exp(weight - weight.max())
    count = -np.expm1(-shape * np.log1p(p * horizon / (model.alpha + age))) / p
    return (count * weight).sum() / weight.sum()


def is_nought_on_average(errors):
    return abs(errors.mean()) < 4 * errors.std() / math.sqrt(len(errors))


@pytest.fixture(scope="module")
def cdnow():
    """The CDNOW sample in weeks: seen until 1997-09-30, and what each brought in the 39 weeks after."""
    if not CDNOW.exists():
        pytest.skip(f"no {CDNOW}: set LIFECYCLE_DATA to the folder that holds cdnow/cdnow_sample.csv")
    days = {}
    with CDNOW.open() as lines:
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
    weeks, days = (btyd.fit(**{**rows, "last": rows["last"] * k, "age": rows["age"] * k}) for k in (1.0, 7.0))
    assert weeks.converged
    assert parameters(replace(days, alpha=days.alpha / 7)) == pytest.approx(parameters(weeks), rel=1e-8)


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


@pytest.mark.parametrize("truth", [(0.25, 4.5, 0.8, 2.5), (2.5, 5.0, 0.6, 4.0), (1.0, 10.0, 1.5, 2.0)])
def test_parameters_are_found_again(truth):
    ages = np.random.default_rng(8).uniform(30, 80, 20_000)
    rows, _ = simulated(btyd.BgNbd(*truth, 0.0, True, 1), ages, 0.0, seed=9)
    model = btyd.fit(**rows)
    assert model.converged
    assert parameters(model) == pytest.approx(truth, rel=0.15)
    assert model.a / (model.a + model.b) == pytest.approx(truth[2] / (truth[2] + truth[3]), rel=0.05)


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


# Scoring: oracles


@pytest.mark.parametrize("truth", [(0.243, 4.414, 0.793, 2.426), (1.5, 6.0, 1.0, 3.0)], ids=["cdnow", "a=1"])
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
AWKWARD = [(1, 2), (1.00009, 2), (0.5, 0.5), (0.3, 0.7), (0.05, 0.05), (2.5, 1), (30, 0.1), (400, 90)]


@pytest.mark.parametrize("horizon", [0.01, 10.0, 1e3])
@pytest.mark.parametrize("repeats", [0, 1, 400, 5000])
@pytest.mark.parametrize(("a", "b"), AWKWARD)
def test_expected_activity_where_the_formula_is_awkward(a, b, repeats, horizon):
    model = btyd.BgNbd(0.5, 10.0, a, b, 0.0, True, 1)
    rows = {"repeats": [repeats], "last": [20.0 if repeats else 0.0], "age": [20.0]}
    wanted = btyd.p_alive(model, **rows)[0] * slow_expected_if_alive(model, repeats, 20.0, horizon)
    assert btyd.expected_activity(model, **rows, horizon=horizon)[0] == pytest.approx(wanted, rel=2e-4)


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
    rate = btyd.p_alive(PUBLISHED, **rows) * (PUBLISHED.r + rows["repeats"]) / (PUBLISHED.alpha + rows["age"])
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
    "lengths": ([1, 2], [1], [5, 5], r"got shapes \{'repeats': \(2,\), 'last': \(1,\), 'age': \(2,\)\}"),
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
