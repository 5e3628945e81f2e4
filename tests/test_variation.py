"""A column that hardly varies in training cannot move a score, however it moves later."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from training.models import boosters, ridge
from training.models.variation import LEAST_SPREAD, varying

ROWS = 400


def rows_with(column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(matrix (ROWS, 3), labels): two columns that say something, and `column`."""
    random = np.random.default_rng(5)
    known = random.normal(size=(ROWS, 2))
    labels = (known[:, 0] + random.normal(size=ROWS) > 0).astype(int)
    return np.column_stack([known, column]), labels


def nearly_one(labels: np.ndarray, spread: float) -> np.ndarray:
    """1 less a few millionths, more for those who leave, as from a purchase model without leavers.

    One row lies far from all others.
    """
    random = np.random.default_rng(6)
    values = 1 - spread * (0.5 * labels + random.uniform(size=len(labels)))
    values[0] -= 100 * spread
    return values


@pytest.mark.parametrize("outputs", [1, 3])
def test_the_ridge_has_no_weight_for_it(outputs):
    _, labels = rows_with(np.zeros(ROWS))
    matrix, _ = rows_with(nearly_one(labels, 4e-6))
    if outputs > 1:
        labels = labels + (matrix[:, 1] > 0)
    fitted = ridge.fit_ridge(matrix, labels, strength=0.1, outputs=outputs)
    later = matrix.copy()
    later[:, 2] = 0.999
    assert np.array_equal(fitted.margins(later), fitted.margins(matrix))
    assert np.abs(fitted.weights[:, :2]).min() > 0


def test_the_boosters_do_not_split_on_it():
    _, labels = rows_with(np.zeros(ROWS))
    matrix, _ = rows_with(nearly_one(labels, 4e-6))
    rows = boosters.LabelledRows(matrix, labels, names=("a", "b", "nearly"), outputs=1)
    settings = {"max_leaves": 8, "learning_rate": 0.1, "min_child_weight": 1.0}
    fitted = boosters.fit_booster(rows, settings=settings, rounds=20, seed=1)
    later = matrix.copy()
    later[:, 2] = 0.999
    assert np.array_equal(fitted.margins(later), fitted.margins(matrix))
    other = matrix.copy()
    other[:, 0] = -other[:, 0]
    assert not np.array_equal(fitted.margins(other), fitted.margins(matrix))


def test_a_small_spread_is_no_unit():
    """A spread of some ten-thousandths is learned from, but a thousandth more is no alarm."""
    _, labels = rows_with(np.zeros(ROWS))
    matrix, _ = rows_with(1 - 4e-4 * (labels + np.random.default_rng(7).uniform(size=ROWS)))
    fitted = ridge.fit_ridge(matrix, labels, strength=0.001, outputs=1)
    later = matrix.copy()
    later[:, 2] -= 1e-3
    assert fitted.weights[0, 2] != 0
    assert np.abs(fitted.margins(later) - fitted.margins(matrix)).max() < 0.5


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=40),
    st.floats(1e-3, 1e6),
    st.sampled_from([-1.0, 1.0]),
)
def test_what_varies_does_not_depend_on_the_unit(values, unit, sign):
    column = np.array(values)[:, None]
    spread, largest = column.std(), np.abs(column).max()
    assume(not largest or abs(spread / largest - LEAST_SPREAD) > 1e-9)  # there a digit decides
    assert varying(column * unit * sign).tolist() == varying(column).tolist()


def test_what_varies():
    years = np.array([1950.0, 1960, 1971, 1980, 1999])
    columns = {
        "a year of birth": (years, True),
        "one value": (np.full(5, 3.0), False),
        "no value": (np.full(5, np.nan), False),
        "one value and nulls": (np.array([2.0, np.nan, 2, np.nan, 2]), False),
        "0 and 1": (np.array([0.0, 0, 0, 0, 1]), True),
        "the last digits": (1 + np.array([0, 1, 2, 3, 4]) * 1e-6, False),
    }
    matrix = np.column_stack([values for values, _ in columns.values()])
    assert dict(zip(columns, varying(matrix).tolist(), strict=True)) == {
        name: expected for name, (_, expected) in columns.items()
    }


@pytest.mark.parametrize("rows", [20, 999, 1000, 1001, 5003])
def test_few_rows_are_looked_at_and_nothing_else_comes_out(rows):
    """One different row among many is seen too."""
    random = np.random.default_rng(rows)
    matrix = 1 + random.normal(size=(rows, 60)) * 10.0 ** random.uniform(-7, 0, 60)
    matrix[random.uniform(size=matrix.shape) < 0.2] = np.nan
    matrix[:, 0] = 0
    matrix[1, 0] = 1
    spread = np.array([np.nanstd(column[~np.isnan(column)]) for column in matrix.T])
    largest = np.nanmax(np.abs(matrix), axis=0)
    expected = (spread > 0) & (spread >= LEAST_SPREAD * largest)
    assert varying(matrix).tolist() == expected.tolist()
    assert varying(matrix)[0]
