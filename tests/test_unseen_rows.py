"""Fits forward in time know no later outcome, no fit is done twice, and neither changes a score."""

from __future__ import annotations

import itertools
import threading

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from training import fitting
from training.models.remembered_fits import remember_fits, remembered
from training.parallel import map_in_threads
from training.reports.release_text import cut_searches
from training.splits import forward_splits

DAY = 86_400_000_000


@given(
    st.lists(st.integers(0, 60), min_size=1, max_size=40),
    st.integers(1, 30),
    st.integers(1, 4),
    st.integers(1, 5),
)
def test_a_fit_forward_in_time_is_on_dates_whose_outcomes_were_known(days, window, dates, most):
    as_of = np.array(days) * DAY
    splits = list(
        forward_splits(as_of, dates=dates, max_dates=most, outcome_window_us=window * DAY)
    )
    assume(splits)
    assert len(splits) <= dates
    assert as_of[splits[0][1]][0] == as_of.max()
    for fit_on, judged in splits:
        [at] = np.unique(as_of[judged])
        assert (as_of[fit_on] + window * DAY <= at).all()
        assert 1 <= np.unique(as_of[fit_on]).size <= most
        closed = np.unique(as_of[as_of + window * DAY <= at])
        assert (np.unique(as_of[fit_on]) == closed[-most:]).all()  # the newest of them
    for (_, later), (_, earlier) in itertools.pairwise(splits):
        assert as_of[earlier].max() + window * DAY <= as_of[later].max()


def test_without_an_earlier_date_there_is_no_fit_forward_in_time():
    as_of = np.array([5, 6, 7]) * DAY
    assert list(forward_splits(as_of, dates=3, max_dates=9, outcome_window_us=30 * DAY)) == []


def test_a_fit_is_done_once_for_equal_rows_and_again_for_others():
    done, rows = [], np.arange(6.0)

    def fit(name):
        done.append(name)
        return name

    assert remembered([rows, 1], lambda: fit("outside")) == "outside"
    with remember_fits():
        assert remembered([rows, 1], lambda: fit("first")) == "first"
        assert remembered([rows.copy(), 1], lambda: fit("never")) == "first"
        assert remembered([rows, 2], lambda: fit("another seed")) == "another seed"
        assert remembered([rows + 1, 1], lambda: fit("other rows")) == "other rows"
        in_threads = map_in_threads(lambda _: remembered([rows, 1], lambda: fit("never")), range(4))
        assert in_threads == ["first"] * 4
    with remember_fits():
        assert remembered([rows, 1], lambda: fit("next training")) == "next training"
    assert done == ["outside", "first", "another seed", "other rows", "next training"]


@pytest.mark.slow
@pytest.mark.long
def test_remembered_fits_change_no_score(trained_shop):
    made, dates = trained_shop.examples, trained_shop.dates
    specs = fitting.specs_of(trained_shop.release, trained_shop.settings)
    rows, later = made.rows_at(dates.train), made.rows_at(dates.evaluate)

    def scores():
        fits = fitting.fitting_for(specs, made, trained_shop.settings)
        evaluated = fits.fit_scorer(rows)
        released = fits.fit_released_scorer(
            made.rows_at(dates.refit), labelled=made.rows, status="ok"
        )
        return [
            (*scorer.score(later), scorer.prediction_sets, scorer.rate_spread)
            for scorer in (evaluated, released)
        ]

    with remember_fits():
        once = scores()
    for (p, p_next, sets, spread), (q, q_next, other_sets, other_spread) in zip(
        once, scores(), strict=True
    ):
        assert p.tobytes() == q.tobytes()
        assert p_next.tobytes() == q_next.tobytes()
        assert (sets, spread) == (other_sets, other_spread)


def test_work_in_threads_keeps_its_order_and_gives_its_error():
    assert map_in_threads(lambda x: x * x, range(7)) == [0, 1, 4, 9, 16, 25, 36]
    assert map_in_threads(lambda x: x, []) == []
    with pytest.raises(ZeroDivisionError):
        map_in_threads(lambda x: 1 // x, [2, 1, 0])
    assert threading.active_count() < 20


@pytest.mark.parametrize(
    ("done", "wanted", "said"), [(3, 5, ["3 of 5 trials"]), (5, 5, []), (0, 0, [])]
)
def test_a_search_that_the_guard_ended_is_said(done, wanted, said):
    models = {
        "churn": {"trials_done": done, "trials_wanted": wanted},
        "next-stage": "frequencies",
    }
    sentences = cut_searches({"models": models})
    assert [text for text, part in zip(sentences, said, strict=True) if part in text] == sentences
    assert cut_searches({}) == []
