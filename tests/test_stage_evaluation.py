"""The next stage, worked by hand: macro-F1, ranked probability score, recall of true changes; and
their laws.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st

from features.recipes.stages import STAGES
from tests.support.checks import nonempty
from training import metrics
from training.evaluation import stage_metrics

K = len(STAGES)


def saying(*stages, sure=0.7):
    """One row a stage that is said: `sure` there, the rest alike."""
    return np.eye(K)[list(stages)] * (sure - (1 - sure) / (K - 1)) + (1 - sure) / (K - 1)


def ids(count):
    return np.array([f"c{k}" for k in range(count)])


def test_macro_f1_by_hand():
    outcome, said = np.array([1, 1, 1, 2, 2, 4]), np.array([1, 1, 2, 2, 6, 6])
    # stage 1: 2 hits, 3 came, 2 said: 4/5. stage 2: 1 hit, 2 came, 2 said: 1/2. stage 4: 0. 6 never
    # came: not counted.
    assert metrics.macro_f1(outcome, said) == pytest.approx((0.8 + 0.5 + 0) / 3)


def test_the_ranked_probability_score_by_hand():
    p = np.zeros((1, K))
    p[0, 2], p[0, 4] = 0.75, 0.25
    # Came 3. Cumulated: 0, 0, .75, .75, 1, 1; happened: 0, 0, 0, 1, 1, 1.
    found = metrics.stage_metrics(np.array([3]), np.where(p > 0, p, 0) + 0)[
        "ranked_probability_score"
    ]
    assert found == pytest.approx((0.75**2 + 0.25**2) / (K - 1))


def test_recall_of_true_changes_by_hand():
    stage, outcome = np.array([1, 1, 2, 2, 3]), np.array([1, 2, 3, 3, 3])
    p = saying(1, 2, 2, 3, 4)
    # Three changed (rows 1, 2, 3): 2 was said and came, 2 was kept, 3 was said and came. Row 4 was
    # said to change, and did not.
    found = stage_metrics.change_metrics(stage, outcome, p, ids(5))
    assert (found["changed"], found["predicted"]) == (3, 3)
    assert found["recall"] == pytest.approx(2 / 3)
    assert found["precision"] == pytest.approx(2 / 3)
    assert 0 <= found["low"] <= 2 / 3 <= found["high"] <= 1
    stays = stage_metrics.no_change_metrics(stage, outcome)
    assert stays["accuracy"] == pytest.approx(2 / 5)
    # 1: 2·1/(1 + 2) = 2/3; 2: 0; 3: 2·1/(3 + 1) = 1/2.
    assert stays["macro_f1"] == pytest.approx((2 / 3 + 0 + 1 / 2) / 3)


def test_what_was_said_of_each_stage_and_what_came():
    outcome = np.array([1, 1, 2, 2])
    p = np.zeros((4, K))
    p[:, 1], p[:, 2] = 0.6, 0.4
    found = stage_metrics.stage_calibration(outcome, p)
    assert found == [
        {"stage": STAGES[1], "predicted": 0.6, "observed": 0.5, "rows": 2, "ece": 0.1},
        {"stage": STAGES[2], "predicted": 0.4, "observed": 0.5, "rows": 2, "ece": 0.1},
    ]


@given(st.integers(0, 10_000))
@how(max_examples=40, deadline=None)
def test_figures_are_those_of_sklearn_and_blind_to_order(seed):
    from sklearn.metrics import f1_score

    rng = np.random.default_rng(seed)
    stage, outcome, p = (
        rng.integers(0, K, 50),
        rng.integers(0, K, 50),
        rng.dirichlet(np.ones(K), 50),
    )
    said = p.argmax(axis=1)
    there = np.unique(outcome)
    assert metrics.macro_f1(outcome, said) == pytest.approx(
        f1_score(outcome, said, labels=there, average="macro", zero_division=0)
    )
    dealt, names = rng.permutation(50), ids(50)
    one = stage_metrics.change_metrics(stage, outcome, p, names)
    other = stage_metrics.change_metrics(stage[dealt], outcome[dealt], p[dealt], names[dealt])
    assert other == pytest.approx(one)
    assert stage_metrics.stage_calibration(
        outcome[dealt], p[dealt]
    ) == stage_metrics.stage_calibration(outcome, p)
    told = metrics.stage_metrics(outcome, p)
    assert metrics.stage_metrics(outcome[dealt], p[dealt]) == pytest.approx(told)
    assert sum(row["rows"] for row in stage_metrics.stage_calibration(outcome, p)) == 50


def test_who_knows_the_future_is_perfect_and_who_says_nothing_changes_sees_no_change():
    rng = np.random.default_rng(1)
    stage, outcome = rng.integers(0, K, 200), rng.integers(0, K, 200)
    perfect = np.eye(K)[outcome]
    found = metrics.stage_metrics(outcome, perfect)
    assert (
        found["macro_f1"],
        found["accuracy"],
        found["ranked_probability_score"],
        found["log_loss"],
    ) == (1, 1, 0, 0)
    seen = stage_metrics.change_metrics(stage, outcome, perfect, ids(200))
    assert (seen["recall"], seen["precision"]) == (1, 1)
    assert all(
        row["ece"] == 0 for row in nonempty(stage_metrics.stage_calibration(outcome, perfect))
    )
    still = stage_metrics.change_metrics(stage, outcome, np.eye(K)[stage], ids(200))
    assert (still["recall"], still["predicted"], still["precision"]) == (0, 0, None)


def test_nobody_and_one_stage_have_figures_that_say_so():
    none, nothing = np.zeros(0, dtype=int), np.zeros((0, K))
    assert stage_metrics.change_metrics(none, none, nothing, np.zeros(0))["recall"] is None
    assert stage_metrics.stage_calibration(none, nothing) == []
    assert stage_metrics.no_change_metrics(none, none) == {"accuracy": None, "macro_f1": None}
    assert metrics.stage_metrics(none, nothing)["macro_f1"] is None
    same = np.full(10, 3)
    assert metrics.stage_metrics(same, np.eye(K)[same])["macro_f1"] == 1
    assert stage_metrics.change_metrics(same, same, np.eye(K)[same], ids(10))["recall"] is None
