"""Laws of the next-stage sets: what they hold, what they never hold, and what little data does to
them.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st

from features.recipes.stages import STAGES
from serving.scoring.prediction_sets import PredictionSets, stage_lists
from serving.scoring.scorer import stage_index
from tests.support.businesses import scores
from tests.support.checks import nonempty
from training.uncertainty import fit_prediction_sets

SEEDS = st.integers(0, 2**32 - 1)


def staged(rng, rows, *, off=0.0):
    """(P(next) said, outcome): true probabilities, said after `off` was added to their logs; no
    prospect, few new.
    """
    logs = rng.normal(0, 1.5, (rows, 7)) + np.array([-np.inf, -4, 0, 0, 0, 0, 0])
    true = np.exp(logs) / np.exp(logs).sum(axis=1, keepdims=True)
    outcome = (rng.random((rows, 1)) > np.cumsum(true, axis=1)).sum(axis=1).clip(0, 6)
    said = true * np.exp(off * rng.normal(0, 1, (rows, 7)))
    return said / said.sum(axis=1, keepdims=True), outcome


def fitted(rng, rows=1500, *, level=0.9, off=0.5):
    said, outcome = staged(rng, rows, off=off)
    return fit_prediction_sets.fit_prediction_sets(
        said, outcome, rng.integers(0, 2, rows), rng.random(rows) < 0.5, level=level
    )


def held(found, said, eligible):
    return found.membership(said, eligible)


@pytest.mark.parametrize("off", [0.0, 1.0])
def test_exchangeable_rows_are_held_as_often_as_promised_in_every_stage_and_population(off):
    rng, inside = np.random.default_rng(1), np.zeros((2, 7, 2))
    for _ in range(30):
        found = fitted(rng, off=off)
        said, outcome = staged(rng, 1500, off=off)
        eligible = rng.random(1500) < 0.5
        right = held(found, said, eligible)[np.arange(1500), outcome]
        for who in (0, 1):
            for stage in range(2, 7):
                mine = (outcome == stage) & (eligible == who)
                inside[who, stage] += [right[mine].sum(), mine.sum()]
    share = inside[:, 2:, 0] / inside[:, 2:, 1]
    assert inside[:, 2:, 1].min() > 1500
    assert share.min() > 0.88, share  # 0.90 in the mean, less what 1,500 rows scatter
    assert share.max() < 0.94, share


@given(SEEDS, st.floats(0.5, 0.98))
@how(max_examples=30, deadline=None)
def test_sets_are_never_empty_hold_the_likeliest_and_nothing_impossible(seed, level):
    rng = np.random.default_rng(seed)
    found = fitted(rng, rows=int(rng.integers(fit_prediction_sets.MIN_ROWS, 400)), level=level)
    said = rng.dirichlet(np.full(7, 0.2), 60) * (rng.random((60, 7)) < 0.6)
    said[np.arange(60), rng.integers(0, 7, 60)] += 0.1
    said /= said.sum(axis=1, keepdims=True)
    got = held(found, said, rng.random(60) < 0.5)
    assert got[np.arange(60), said.argmax(axis=1)].all()
    assert not got[said == 0].any()
    texts = stage_lists(got)
    assert all(
        names == [s for s, inside in zip(STAGES, row, strict=True) if inside]
        for names, row in nonempty(zip(texts, got, strict=True))
    )


@given(SEEDS)
@how(max_examples=25, deadline=None)
def test_a_higher_level_never_takes_a_stage_away(seed):
    low, high = sorted(np.random.default_rng(seed).uniform(0.3, 0.99, 2))
    said, _ = staged(np.random.default_rng(seed + 1), 80)
    eligible = np.arange(80) % 2 == 0
    less = held(fitted(np.random.default_rng(seed), 300, level=low), said, eligible)
    more = held(fitted(np.random.default_rng(seed), 300, level=high), said, eligible)
    assert (more | ~less).all()


@given(SEEDS)
@how(max_examples=25, deadline=None)
def test_one_row_gets_the_set_it_gets_among_many_and_order_says_nothing(seed):
    rng = np.random.default_rng(seed)
    said, outcome = staged(rng, 300, off=1.0)
    as_of, eligible, order = rng.integers(0, 3, 300), rng.random(300) < 0.5, rng.permutation(300)
    found = fit_prediction_sets.fit_prediction_sets(said, outcome, as_of, eligible)
    assert found == fit_prediction_sets.fit_prediction_sets(
        said[order], outcome[order], as_of[order], eligible[order]
    )
    many = held(found, said, eligible)
    assert all(
        np.array_equal(held(found, said[k : k + 1], eligible[k : k + 1])[0], many[k])
        for k in range(40)
    )
    assert np.array_equal(held(found, said[order], eligible[order]), many[order])
    assert held(found, said[:0], eligible[:0]).shape == (0, 7)


def test_a_stage_with_few_rows_takes_the_threshold_of_all_and_that_is_said():
    rng = np.random.default_rng(2)
    said, outcome = staged(rng, 600, off=1.0)
    rare = STAGES.index("growing")
    kept = np.flatnonzero(
        (outcome != rare) | (np.cumsum(outcome == rare) < fit_prediction_sets.MIN_ROWS)
    )
    zeros = np.zeros(len(kept), dtype=int)
    found = fit_prediction_sets.fit_prediction_sets(said[kept], outcome[kept], zeros, zeros == 0)
    off = fit_prediction_sets.nonconformity(said[kept], outcome[kept])
    assert "growing" in found.pooled
    assert "growing" in found.note
    assert "prospect" not in found.note  # nobody ends there: nothing to say
    assert found.eligible[rare] == found.others[rare] == fit_prediction_sets.threshold(off, 0.9)


def test_too_few_rows_give_no_sets():
    said, outcome = staged(np.random.default_rng(3), fit_prediction_sets.MIN_ROWS - 1)
    zeros = np.zeros(len(outcome), dtype=int)
    assert fit_prediction_sets.fit_prediction_sets(said, outcome, zeros, zeros == 0) is None
    assert (
        fit_prediction_sets.fit_prediction_sets(said[:0], outcome[:0], zeros[:0], zeros[:0] == 0)
        is None
    )


def test_the_newest_dates_decide_where_they_have_rows_enough():
    rng = np.random.default_rng(4)
    said, outcome = staged(rng, 4000, off=1.0)
    as_of, eligible = np.repeat([0, 1], 2000), np.ones(4000, dtype=bool)
    late = fit_prediction_sets.fit_prediction_sets(
        said[2000:], outcome[2000:], as_of[2000:], eligible[2000:]
    )
    both = fit_prediction_sets.fit_prediction_sets(said, outcome, as_of, eligible)
    enough = [
        at for at in range(7) if (outcome[2000:] == at).sum() >= fit_prediction_sets.ENOUGH_ROWS
    ]
    assert len(enough) > 3
    assert all(late.eligible[at] == both.eligible[at] for at in nonempty(enough))


def test_a_threshold_is_the_smallest_value_with_the_promised_coverage():
    assert (
        fit_prediction_sets.threshold(np.arange(1, 10) / 10, 0.9) == 0.9
    )  # ⌈10 · .9⌉ = 9th of nine
    assert (
        fit_prediction_sets.threshold(np.arange(1, 9) / 10, 0.9) == 1.0
    )  # the 9th of eight: nothing is shut out


@pytest.mark.parametrize(
    "change",
    [
        {"level": 2.0},
        {"eligible": (0.5,) * 6},
        {"others": (float("nan"),) * 7},
        {"pooled": ("happy",)},
    ],
)
def test_numbers_that_are_no_thresholds_are_refused(change):
    stated = {"eligible": (0.5,) * 7, "others": (0.5,) * 7, "level": 0.9, "pooled": (), "note": ""}
    assert PredictionSets.from_mapping(PredictionSets(**stated).to_mapping()) == PredictionSets(
        **stated
    )
    with pytest.raises(ValueError, match="threshold"):
        PredictionSets(**stated | change)


def test_batch_sets_are_those_of_the_release_and_hold_what_doing_nothing_and_staying_say(at_home):
    table = scores(at_home)
    table = table.filter(table["p_churn"].is_valid())
    found = at_home.release.scorer.prediction_sets
    assert found is not None
    p_next = np.stack([table[f"p_next_{stage}"].to_numpy() for stage in STAGES], axis=1)
    assert table["next_stages"].to_pylist() == stage_lists(
        found.membership(p_next, table["eligible"].to_numpy())
    )
    likeliest = [STAGES[at] for at in p_next.argmax(axis=1)]
    assert all(
        one in stages
        for one, stages in nonempty(zip(likeliest, table["next_stages"].to_pylist(), strict=True))
    )


def test_the_account_counts_what_the_sets_held(business):
    told = business.trained.evaluation["sets"]
    for who in ("everyone", "eligible"):
        one = told[who]
        assert one["low"] <= one["coverage"] <= one["high"]
        assert one["coverage"] >= one["accuracy"] - 1e-12
        assert 1 <= one["mean_size"] <= 6
        assert sum(stage["rows"] for stage in one["stages"]) == one["rows"]
        mean = sum(stage["coverage"] * stage["rows"] for stage in one["stages"]) / one["rows"]
        assert mean == pytest.approx(one["coverage"])
    assert any(
        "next-stage sets" in line for line in fit_prediction_sets.lines(business.trained.evaluation)
    )


def test_stage_names_have_their_index():
    assert stage_index(np.array(["loyal"]))[0] == STAGES.index("loyal")
