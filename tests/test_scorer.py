"""Laws of a score: one distribution, exact zeros, floors, the same bits for one row and for
many.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st

from features.core.instants import DAY_US
from features.labels.outcomes import reachable_stages
from features.recipes.stages import STAGES
from serving.scoring.parts import Blend, Boosted, Linear, Rate, log_odds, log_softmax, sigmoid
from serving.scoring.scorer import apply_floor, compose, stage_index
from tests.support.definitions import definitions_of
from training.models import boosters, ridge

COLUMNS = 9


def random_linear(rng, outputs):
    shape = (outputs, COLUMNS)
    return Linear(
        rng.normal(size=COLUMNS),
        rng.uniform(0.5, 2, COLUMNS),
        rng.normal(size=shape),
        rng.normal(size=shape),
        rng.normal(size=outputs),
    )


def rows_of(rng, count):
    matrix = rng.normal(0, 50, (count, COLUMNS))
    matrix[rng.random(matrix.shape) < 0.2] = np.nan
    return matrix


@pytest.fixture(scope="module")
def blends():
    rng = np.random.default_rng(1)
    matrix, names = rows_of(rng, 600), tuple(f"c{k}" for k in range(COLUMNS))
    labels = (np.nan_to_num(matrix[:, 0]) + rng.normal(0, 20, 600) > 0).astype(int)
    three = labels + (np.nan_to_num(matrix[:, 1]) > 20)
    quick = {"max_leaves": 6, "learning_rate": 0.3}
    one, many = (
        boosters.fit_booster(
            boosters.LabelledRows(matrix, values, names=names, outputs=outputs),
            settings=quick,
            rounds=12,
            seed=1,
        )
        for values, outputs in ((labels, 1), (three, 3))
    )
    return {
        "churn": Blend(((0.4, random_linear(rng, 1)), (0.6, one))),
        "stages": Blend(((0.4, random_linear(rng, 3)), (0.6, many))),
    }


@pytest.mark.parametrize("name", ["churn", "stages"])
def test_one_row_and_many_rows_give_the_same_bits(blends, name):
    matrix = rows_of(np.random.default_rng(2), 1000)
    whole = blends[name].margins(matrix)
    for size in (1, 7, 200):
        parts = [blends[name].margins(matrix[at : at + size]) for at in range(0, 1000, size)]
        assert np.array_equal(np.vstack(parts), whole)
    assert np.array_equal(log_softmax(whole)[:1], log_softmax(whole[:1]))


@pytest.mark.parametrize("name", ["churn", "stages"])
def test_nobody_is_as_wide_as_anybody(blends, name):
    matrix = rows_of(np.random.default_rng(2), 3)
    assert blends[name].margins(matrix[:0]).shape == (0, blends[name].margins(matrix).shape[1])


def test_contributions_are_exact(blends):
    """They sum to the margin less what everybody has in common."""
    matrix = rows_of(np.random.default_rng(3), 50)
    rest = blends["churn"].margins(matrix)[:, 0] - blends["churn"].contributions(matrix).sum(axis=1)
    assert np.allclose(rest, rest[0], atol=1e-5)  # boosters answer in 32 bits


def test_parts_survive_being_written(blends):
    linear, boosted = (part for _, part in blends["churn"].parts)
    matrix = rows_of(np.random.default_rng(4), 30)
    assert np.array_equal(
        Linear.from_mapping(linear.to_mapping()).margins(matrix), linear.margins(matrix)
    )
    assert np.array_equal(
        Boosted(boosted.raw, boosted.names).margins(matrix), boosted.margins(matrix)
    )
    with pytest.raises(ValueError, match="not the release's columns"):
        Boosted(boosted.raw, boosted.names[::-1])


def test_a_rate_is_the_same_for_everybody():
    part = Rate((float(log_odds(np.float64(0.3))),))
    assert np.allclose(sigmoid(part.margins(np.zeros((4, 2)))[:, 0]), 0.3)


@given(st.integers(0, 2**32 - 1), st.integers(1, 10_000))
@how(max_examples=60, deadline=None)
def test_floors_and_exact_zeros(seed, behind):
    rng = np.random.default_rng(seed)
    raw = rng.dirichlet(np.full(7, 0.05), 20) * (rng.random((20, 1)) > 0.1)
    allowed = rng.random((20, 7)) < 0.5
    allowed[np.arange(20), rng.integers(0, 7, 20)] = True
    q = apply_floor(raw, allowed, training_rows=behind)
    assert np.allclose(q.sum(axis=1), 1, atol=1e-12)
    assert (q[~allowed] == 0).all()
    assert (q[allowed] >= 1 / (behind + 7) - 1e-15).all()


@given(st.integers(0, 2**32 - 1))
@how(max_examples=60, deadline=None)
def test_composition_is_one_distribution_with_churn_as_a_floor(seed):
    rng = np.random.default_rng(seed)
    p, q, s0 = rng.random(30), rng.dirichlet(np.ones(7), 30), rng.integers(0, 7, 30)
    out = compose(p, q, s0)
    assert np.allclose(out.sum(axis=1), 1, atol=1e-12)
    assert (out[np.arange(30), s0] >= p - 1e-15).all()


def test_stage_index_is_the_position_in_stages():
    assert stage_index(np.array(STAGES)).tolist() == list(range(7))


def test_a_stayer_is_never_new_nor_prospect_and_a_long_horizon_reaches_churned():
    state = {
        "n": np.array([1, 2, 9]),
        "first_at": np.array([0, 0, 0]),
        "last_at": np.array([0, DAY_US, 80 * DAY_US]),
        "as_of": np.full(3, 90 * DAY_US),
    }
    short = reachable_stages(**state, definitions=definitions_of(horizon_days=30))
    long = reachable_stages(**state, definitions=definitions_of(horizon_days=3000))
    assert not short[:, [STAGES.index("prospect"), STAGES.index("new")]].any()
    assert not short[:, STAGES.index("churned")].any()
    assert long[:, STAGES.index("churned")].all()


def test_the_ridge_can_overfit_fifty_rows():
    rng = np.random.default_rng(5)
    matrix, labels = rng.normal(size=(50, 60)), rng.integers(0, 2, 50)
    part = ridge.fit_ridge(matrix, labels, strength=1e6, outputs=1)
    assert ((part.margins(matrix)[:, 0] > 0) == labels).all()


@pytest.mark.parametrize("classes", [2, 3])
def test_the_ridge_gives_every_class_a_margin_and_unseen_ones_next_to_nothing(classes):
    rng = np.random.default_rng(6)
    matrix = rng.normal(size=(300, 3))
    labels = np.minimum((matrix[:, 0] > 0) + (matrix[:, 1] > 1), classes - 1).astype(int)
    p = np.exp(
        log_softmax(
            ridge.fit_ridge(matrix, labels, strength=1.0, outputs=classes + 1).margins(matrix)
        )
    )
    assert p[:, classes].mean() < 1e-3
    assert (p[:, :classes].argmax(axis=1) == labels).mean() > 0.85
