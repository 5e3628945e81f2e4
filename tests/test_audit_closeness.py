"""What counts as the same column, and the interval of an AUROC with several rows a customer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from features.audit.feature_table.auroc import auroc_alone, difference
from features.audit.feature_table.closeness import equal_rows, share_of, unit_ranks
from features.audit.ranks import best_auroc, rank_correlation

NUMBERS = st.floats(-1e6, 1e6).map(lambda x: round(x, 3))
WITH_EMPTY = st.one_of(NUMBERS, st.just(float("nan")))
# Twenty values at least: fewer are not compared.
COLUMNS = st.builds(
    lambda known, rest: np.concatenate([known, rest]),
    arrays(np.float64, 20, elements=NUMBERS),
    arrays(np.float64, 20, elements=WITH_EMPTY),
)


@settings(deadline=None)
@given(COLUMNS, st.sampled_from([1.0, 24.0, 0.01, -1.0]), st.sampled_from([0.0, 1.0]))
def test_a_column_equals_itself_in_any_unit(column, factor, offset):
    equal = equal_rows(column * factor + offset, column)
    assert share_of(equal) == 1
    assert (np.isnan(equal) == np.isnan(column)).all()


@settings(deadline=None)
@given(COLUMNS)
def test_whole_numbers_equal_what_they_were_rounded_from(column):
    fine = column + 0.37
    assert share_of(equal_rows(np.floor(fine), fine)) == 1


def test_a_value_that_stands_for_empty_is_empty_and_another_is_not():
    ours = np.where(np.arange(100) < 40, np.nan, np.arange(100.0))
    assert share_of(equal_rows(np.where(np.isnan(ours), -1, ours), ours)) == 1
    theirs = np.where(np.isnan(ours), np.arange(100.0), ours)
    assert share_of(equal_rows(theirs, ours)) == 0.6


def test_rows_that_differ_are_the_ones_that_are_not_equal():
    ours = np.arange(100.0) ** 2
    theirs = ours + np.where(np.arange(100) % 10 == 0, 1e4, 0)
    assert np.flatnonzero(equal_rows(theirs, ours) == 0).tolist() == list(range(0, 100, 10))


@settings(deadline=None)
@given(COLUMNS, COLUMNS)
def test_the_product_of_unit_ranks_is_the_correlation_of_ranks(one, other):
    known = ~(np.isnan(one) | np.isnan(other))
    expected = rank_correlation(one[known], other[known])
    product = float(unit_ranks(one[known]) @ unit_ranks(other[known]))
    assert product == pytest.approx(expected, abs=1e-9)


def test_the_interval_is_that_of_customers_and_not_of_rows():
    rng = np.random.default_rng(5)
    y = rng.random(400) < 0.4
    score = y + rng.normal(0, 1.5, 400)
    customers = np.arange(400)
    once = auroc_alone(y, score, customers)
    thrice = auroc_alone(np.tile(y, 3), np.tile(score, 3), np.tile(customers, 3))
    assert once.value == thrice.value == pytest.approx(best_auroc(y, score))
    # The same customers three times are no more evidence.
    assert (thrice.low, thrice.high) == pytest.approx((once.low, once.high))
    draws = [rng.integers(0, 400, 400) for _ in range(400)]
    spread = np.std([best_auroc(y[rows], score[rows]) for rows in draws])
    assert (once.high - once.low) / (2 * 1.959964) == pytest.approx(spread, rel=0.15)


def test_a_column_is_no_better_than_itself_and_better_than_noise():
    rng = np.random.default_rng(6)
    y, customers = rng.random(500) < 0.5, np.arange(500)
    good = auroc_alone(y, y + rng.normal(0, 0.8, 500), customers)
    noise = auroc_alone(y, rng.normal(0, 1, 500), customers)
    assert difference(good, good, customers) == (0.0, 0.0)
    gain, low = difference(good, noise, customers)
    assert gain > low > 0.1
