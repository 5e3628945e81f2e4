"""Activity and money at the edges: windows that touch, ties, five gaps, methods, own outcomes, the
purchase model.
"""

from __future__ import annotations

import dataclasses
import math
import random
import statistics
from fractions import Fraction

import narwhals as nw
import pyarrow as pa
import pytest

from features.core.instants import DAY_US, instant
from features.engine.build import build
from features.engine.business_columns import columns_for
from features.recipes import btyd
from features.recipes.definitions import learn_definitions
from features.recipes.population_stats import population_stats
from features.recipes.recipe import variance
from features.tables.sources import connect
from tests.support.checks import nonempty
from tests.support.oracle_worlds import World, add, settings_for

AS_OF = instant("2024-06-01", zone="UTC")
ODD = 1000
# Ages of the purchases in days; windows of 10 days, horizon 30, latency 5, base gap 20.
AGES = {
    "every window": range(5, 120, 10),
    "on the edge of a window": (10,),
    "stopped": (95, 36, 35),
    "two equal peaks": (95, 15),
    "long gone": (200,),
    "ever slower": (32, 31, 29, 25, 17, 1),
    "one odd gap": (ODD + 41, ODD + 31, ODD + 21, ODD + 11, ODD + 1, 1),
    "two gaps": (30, 20, 1),
    "eleven gaps": (400, *range(101, 0, -10)),
    "a window that began with the first activity": (35,),
    "a window that began just after it": (35 + 1 / DAY_US, 5),
    "a window and its last instant": (70, 5 + 1 / DAY_US),
    "only in the latency": (3, 2),
    "at the base gap after the first record": (ODD + 21,),
    "just before that": (ODD + 21 + 1 / DAY_US,),
}
METHODS = {
    "the same again, one unknown between": ([("card", 9), (None, 8), ("card", 7)], 0),
    "another, one unknown between": ([("card", 9), (None, 8), ("invoice", 7)], 1),
    "there and back": ([("card", 9), ("invoice", 8), ("card", 7)], 2),
    "two at one instant, told one way": (
        [("card", 9), ("card", 8), ("invoice", 8), ("invoice", 7)],
        1,
    ),
    "two at one instant, told the other way": (
        [("invoice", 7), ("invoice", 8), ("card", 8), ("card", 9)],
        1,
    ),
    "never known": ([(None, 9), (None, 8)], None),
}


@pytest.fixture(scope="module")
def made():
    """(known, definitions, columns) of everybody above, and of two more: a rich one and a failing
    payment.
    """
    chosen = settings_for(
        "non-contractual",
        {"horizon_days": 30, "label_latency_days": 5},
        features={"windows_days": [10]},
    )
    world = World(random.Random(0), chosen, AS_OF, {name: [] for name in chosen.tables})
    for customer, ages in AGES.items():
        for age in ages:
            bought(world, customer, age)
    for customer, (told, _) in METHODS.items():
        for method, age in told:
            bought(world, customer, age, method=method)
    bought(world, "never known", 6, method="card", kind="refund")
    for age in (20, 40):
        bought(world, "rich", age, amount=10**15)
    bought(world, "rich", 12, amount=-500)
    bought(world, "rich", 3, kind="payment_failed")
    history = world.history()
    known = history.as_of(AS_OF)
    frozen = dataclasses.replace(
        learn_definitions(known, chosen),
        population_mean_gap_us=20 * DAY_US,
        half_lives_days=(20.0, 60.0, 120.0),
    )
    return known, frozen, columns_for(history, frozen, chosen)


def bought(world, customer, age, *, amount=1000, kind="purchase", method=None):
    at = AS_OF - round(age * DAY_US)
    add(
        world,
        "transactions",
        customer,
        occurred_at=at,
        recorded_at=at,
        amount=amount,
        kind=kind,
        method=method,
    )


def rows_of(made, **changed):
    """customer -> row, under a base changed as stated."""
    known, frozen, chosen = made
    base = dataclasses.replace(population_stats(known, frozen), **changed)
    return {
        row["customer_id"]: row
        for row in build(known, population=base, definitions=frozen, columns=chosen).to_pylist()
    }


@pytest.fixture(scope="module")
def rows(made):
    return rows_of(made)


STREAKS = {
    "every window": (0, 12, 0),
    "on the edge of a window": (0, 1, 0),
    "stopped": (3, 0, 3),
    "two equal peaks": (1, 0, 1),
    "long gone": (12, 0, None),
}


@pytest.mark.parametrize("customer", STREAKS)
def test_streaks(rows, customer):
    row = rows[customer]
    assert (row["inactive_streak_10d"], row["active_streak_10d"], row["since_peak_10d"]) == STREAKS[
        customer
    ]


def test_an_even_rhythm_moves_nowhere(rows):
    names = ("activity_slope_10d", "acceleration_10d", "gap_sd", "gap_slope")
    assert [rows["every window"][name] for name in names] == pytest.approx([0, 0, 0, 0], abs=1e-15)


def test_slopes_and_differences_of_windows(rows):
    # Counts newest first: 0, 0, 0, 2, 0, 0, so only the fourth pulls, half a window before the
    # middle.
    expected = -0.5 * math.log(3) / 17.5
    assert rows["stopped"]["activity_slope_10d"] == pytest.approx(expected)
    assert (rows["stopped"]["acceleration_10d"], rows["two equal peaks"]["acceleration_10d"]) == (
        0,
        -2,
    )


def test_each_gap_half_the_one_before(rows):
    assert rows["ever slower"]["gap_slope"] == pytest.approx(math.log(2), abs=1e-6)


def test_one_odd_gap_does_not_move_the_slope(rows):
    assert rows["one odd gap"]["gap_slope"] == 0


def test_two_gaps_have_no_slope(rows):
    assert (rows["two gaps"]["gap_slope"], rows["long gone"]["gap_sd"]) == (None, None)


def test_ten_gaps_leave_out_the_eleventh(rows):
    assert rows["eleven gaps"]["gap_mean_last_ten"] == 10
    assert rows["eleven gaps"]["gap_mean"] == 399 / 11


@pytest.mark.parametrize("customer", METHODS)
def test_changes_of_method(rows, customer):
    assert rows[customer]["payment_method_changes"] == METHODS[customer][1]


def test_the_largest_amounts_fade_exactly(rows):
    faded = 10**15 * (round(2**30 / 2) + round(2**30 / 4)) - 500 * round(2**30 * 0.5**0.6)
    assert rows["rich"]["amount_ewm_1x_gap"] == faded / 2**30 / 100


def test_money_given_back_as_a_purchase_has_no_logarithm(rows):
    money = math.log1p(10**13)
    assert rows["rich"]["amount_slope_10d"] == pytest.approx((1.5 - 0.5) * money / 17.5)


def test_a_failed_payment_is_no_activity_and_has_a_recency(rows):
    assert (rows["rich"]["recency_failed_payment"], rows["rich"]["recency"]) == (3, 12)
    assert rows["stopped"]["recency_failed_payment"] is None


PAST = {
    "a window that began with the first activity": (0, 1 / 2, None),
    "a window that began just after it": (1, 1 / 3, 0),
    "a window and its last instant": (2, 2 / 4, 1),
    "only in the latency": (0, 1 / 2, None),
    "long gone": (6, 1 / 8, 0),
}


@pytest.mark.parametrize("customer", PAST)
def test_own_outcomes(rows, customer):
    row = rows[customer]
    assert (
        row["past_windows"],
        row["past_retention_rate"],
        row["past_last_retained"],
    ) == pytest.approx(PAST[customer])


def test_whoever_comes_with_the_records_may_have_come_before(rows):
    assert rows["one odd gap"]["history_truncated"] == 1  # the earliest of all
    assert rows["at the base gap after the first record"]["history_truncated"] == 0
    assert rows["just before that"]["history_truncated"] == 1


@pytest.mark.parametrize(
    ("shape", "of"),
    [(1.0, lambda overdue: overdue), (2.0, lambda overdue: math.pi / 4 * overdue**2)],
)
def test_surprise_of_a_wait(made, shape, of):
    for row in nonempty(rows_of(made, wait_shape=shape).values()):
        assert row["recency_cumulative_hazard"] == pytest.approx(of(row["overdue"]))


MODELS = {
    "cdnow-like": (0.25, 30.0, 0.8, 2.4),
    "hardly anybody leaves": (1.0, 30.0, 1e-4, 3.0),
    "a = 1": (2.0, 60.0, 1.0, 1.0),
}


@pytest.mark.parametrize("model", MODELS)
def test_expected_activity_is_near_the_exact_one(made, model):
    r, alpha, a, b = MODELS[model]
    exact = btyd.BgNbd(r, alpha, a, b, 0.0, True, 1)
    for row in nonempty(rows_of(made, r=r, alpha=alpha, a=a, b=b).values()):
        life = {"repeats": [row["n"] - 1], "last": [row["active_life"]], "age": [row["tenure"]]}
        assert row["p_alive"] == pytest.approx(btyd.p_alive(exact, **life)[0], rel=1e-9)
        assert row["expected_activities"] == pytest.approx(
            btyd.expected_activity(exact, **life, horizon=30)[0], rel=0.02
        )
        assert (
            row["expected_activities"]
            <= row["p_alive"] * (r + row["n"] - 1) / (alpha + row["tenure"]) * 30 + 1e-12
        )


def test_money_of_an_active_day_is_shrunk_to_the_base(made):
    # p v / (q − 1) = 50.00 for somebody never seen; three active days of 10.00 each.
    row = rows_of(made, money_p=2.0, money_q=3.0, money_v=5000.0)["two gaps"]
    assert row["expected_spend"] / row["expected_activities"] == pytest.approx(
        2 * (50 + 30) / (2 * 3 + 2)
    )


def test_a_percentile_among_those_of_the_same_quarter(made):
    cuts = tuple(AS_OF - age * DAY_US for age in (1000, 200, 35))
    low, high = (0.0,) * 19, (1e18,) * 19
    found = rows_of(made, cohort_cuts=cuts, cohort_quantiles=low + high + low + high)
    got = {
        who: found[who]["amount_percentile_cohort"]
        for who in ("one odd gap", "long gone", "stopped", "two gaps")
    }
    assert got == {
        "one odd gap": 0.95,
        "long gone": 0,
        "stopped": 0.95,
        "two gaps": 0,
    }  # at a cut: the earlier


def test_whoever_is_not_acquired_yet_has_no_quarter(made):
    known, frozen, chosen = made
    found = rows_of((known, dataclasses.replace(frozen, acquired="second_activity"), chosen))
    assert found["long gone"]["amount_percentile_cohort"] is None
    assert found["two gaps"]["amount_percentile_cohort"] is not None


@pytest.mark.parametrize(
    "x", [(576_000, 576_001, 576_003), (7, 7, 7), (10**7, 10**7 + 1, 10**7), (2, 9, 4, 4)]
)
def test_the_variance_of_numbers_that_hardly_differ_is_exact(x):
    """Σx² − (Σx)²/n in reals keeps four digits of the first."""
    sums = pa.table(
        {"total": [float(sum(x))], "squares": [float(sum(one * one for one in x))], "n": [len(x)]}
    )
    with connect(memory="1GB", threads=1) as engine:
        frame = nw.from_native(engine.from_arrow(sums))
        found = frame.select(v=variance(nw.col("total"), nw.col("squares"), nw.col("n"))).collect(
            backend="pyarrow"
        )
    assert found.to_native()["v"][0].as_py() == pytest.approx(
        float(statistics.variance(map(Fraction, x))), rel=1e-15, abs=0
    )
