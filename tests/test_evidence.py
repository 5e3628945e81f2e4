"""Grades of evidence are a rule; intervals on p say how far groups of like customers were off, and
hold on new ones.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st

from features.core.instants import DAY_US
from serving.scoring.evidence import GRADES, RateSpread, grades
from serving.scoring.parts import log_odds, sigmoid
from tests.support.businesses import scores
from tests.support.checks import nonempty
from tests.support.definitions import definitions_of
from training import fitting
from training.uncertainty import fit_evidence


def state(n, tenure_days):
    n = np.atleast_1d(n)
    as_of = np.full(len(n), 5000 * DAY_US)
    first = as_of - (np.atleast_1d(tenure_days) * DAY_US).astype(np.int64)
    return pa.table({"n": n, "first_at": first, "recency_from": first, "as_of": as_of})


@pytest.mark.parametrize(
    ("n", "tenure_days", "grade"),
    [
        (1, 4000, "none"),
        (2, 4000, "little"),
        (3, 31, "little"),
        (4, 31, "some"),
        (4, 29, "little"),
        (9, 119, "some"),
        (9, 120, "good"),
        (50, 10, "little"),
        (1, 0, "none"),
    ],
)
def test_a_grade_is_the_lesser_of_gaps_and_tenure(n, tenure_days, grade):
    assert GRADES[grades(state(n, tenure_days), definitions_of())[0]] == grade


@given(st.integers(1, 60), st.integers(0, 60), st.integers(0, 3000), st.integers(0, 3000))
@how(max_examples=60, deadline=None)
def test_more_history_is_never_less_evidence(n, more, days, longer):
    one, other = grades(state([n, n + more], [days, days + longer]), definitions_of())
    assert one <= other


@given(st.lists(st.floats(1e-6, 1 - 1e-6), min_size=1, max_size=30), st.integers(0, 2**32 - 1))
@how(max_examples=60, deadline=None)
def test_an_interval_holds_its_p_and_is_wider_for_less_evidence(ps, seed):
    rng, p = np.random.default_rng(seed), np.array(ps)
    spread = RateSpread(tuple(np.sort(rng.uniform(0, 3, 4))[::-1].tolist()))
    grade = rng.integers(0, 4, len(p))
    low, high = spread.interval(p, grade)
    assert ((low > 0) & (low <= p) & (p <= high) & (high < 1)).all()
    widths = [np.subtract(*spread.interval(p, np.full(len(p), at))[::-1]) for at in range(4)]
    assert all((less >= more - 1e-15).all() for less, more in nonempty(pairwise(widths)))
    alone = [spread.interval(p[k : k + 1], grade[k : k + 1]) for k in range(len(p))]
    assert [(a[0], b[0]) for a, b in alone] == list(zip(low, high, strict=True))
    assert RateSpread.from_mapping(spread.to_mapping()) == spread


@pytest.mark.parametrize("wrong", [(1.0,) * 3, (-0.1,) * 4, (float("nan"),) * 4])
def test_numbers_that_are_no_spreads_are_refused(wrong):
    with pytest.raises(ValueError, match="spread"):
        RateSpread(wrong)


def scattered(rng, spread, count, rows=400):
    p = rng.uniform(0.05, 0.95, count)
    left = rng.binomial(rows, sigmoid(log_odds(p) + rng.normal(0, 1, count) * spread))
    return fit_evidence.CustomerGroups(np.zeros(count, dtype=int), p, np.full(count, rows), left)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("true", [0.0, 0.3, 1.0])
def test_the_spread_found_is_the_true_one_or_a_little_more(true):
    found = [
        fit_evidence.largest_spread(scattered(np.random.default_rng(seed), true, 80))
        for seed in range(20)
    ]
    assert np.mean(np.array(found) >= true) > 0.7
    assert np.mean(found) < true * 1.3 + 0.1


def test_few_groups_mean_a_wide_interval():
    rng = np.random.default_rng(7)
    few = np.mean([fit_evidence.largest_spread(scattered(rng, 0.3, 4)) for _ in range(20)])
    many = np.mean([fit_evidence.largest_spread(scattered(rng, 0.3, 100)) for _ in range(20)])
    assert few > 1.3 * many


def labelled(rng, spread, groups):
    """Rows of one date, `good` all: groups of 300 that share one p, whose rate is off by the
    spread.
    """
    p = np.repeat(np.linspace(0.1, 0.9, groups), 300)
    off = np.repeat(rng.normal(0, spread, groups), 300) if spread else 0.0
    columns = {
        "n": np.full(len(p), 20),
        "first_at": np.zeros(len(p), dtype=np.int64),
        "recency_from": np.zeros(len(p), dtype=np.int64),
        "as_of": np.full(len(p), 5000 * DAY_US),
        "stage": ["loyal"] * len(p),
        "churned": rng.random(len(p)) < sigmoid(log_odds(p) + off),
    }
    return pa.table(columns), p


@pytest.mark.parametrize("spread", [0.1, 0.5])
def test_intervals_of_the_true_spread_hold_nine_of_ten_groups(spread):
    rng, inside = np.random.default_rng(8), []
    scorer = SimpleNamespace(definitions=definitions_of(), rate_spread=RateSpread((spread,) * 4))
    for _ in range(30):
        rows, p = labelled(rng, spread, 10)
        told = fit_evidence.evidence_report(scorer, rows, p)
        assert told["groups"] == 10
        assert [one["groups"] for one in told["grades"]] == [0, 0, 0, 10]
        inside.append(told["coverage_with_sampling"])
    assert 0.85 < np.mean(inside) < 0.96


def test_nobody_there_is_no_group_and_no_error():
    rows, p = labelled(np.random.default_rng(9), 0.1, 2)
    scorer = SimpleNamespace(definitions=definitions_of(), rate_spread=None)
    told = fit_evidence.evidence_report(scorer, rows.slice(0, 0), p[:0])
    assert (told["groups"], told["coverage"]) == (0, None)
    assert fit_evidence.lines({"evidence": told})[0].startswith("  evidence: none 0")


def test_batch_rows_have_a_grade_and_an_interval_around_p(business):
    table = scores(business)
    spread = business.release.scorer.rate_spread
    assert spread is not None
    for row in nonempty(table.to_pylist()):
        if row["p_churn"] is None:
            assert (
                row["evidence"],
                row["p_churn_low"],
                row["p_churn_high"],
                row["next_stages"],
            ) == (None,) * 4
        else:
            assert row["evidence"] in GRADES
            assert 0 < row["p_churn_low"] <= row["p_churn"] <= row["p_churn_high"] < 1
    assert list(spread.standard_deviations) == sorted(spread.standard_deviations, reverse=True)
    told = business.trained.evaluation["evidence"]
    assert (
        sum(one["rows"] for one in told["grades"])
        == business.trained.evaluation["churn"]["everyone"]["rows"]
    )


def test_without_skill_the_eligible_have_one_p_an_interval_around_it_and_a_set(trained_shop):
    settings, release, dates = trained_shop.settings, trained_shop.release, trained_shop.dates
    made = replace(trained_shop.examples, modelled=release.scorer.columns)
    scorer = fitting.fitting_for(
        fitting.specs_of(release, settings), made, settings
    ).fit_released_scorer(made.rows_at(dates.refit), labelled=made.rows, status="no_skill")
    rows = made.rows_at(dates.refit)
    p, p_next = scorer.score(rows)
    assert scorer.status == "no_skill"
    eligible, churned = rows["eligible"].to_numpy(), rows["churned"].to_numpy()
    for who in (eligible, ~eligible):
        assert np.ptp(p[who]) == 0
        assert p[who][0] == pytest.approx(churned[who].mean(), abs=0.02)
    grade = grades(rows, scorer.definitions)
    low, high = scorer.rate_spread.interval(p, grade)
    assert ((low <= p) & (p <= high)).all()
    # One rate for all is far off for many: what is said of p is as wide as that.
    ours = release.scorer.rate_spread.interval(p, grade)
    assert (high - low).mean() > (ours[1] - ours[0]).mean()
    held = scorer.prediction_sets.membership(p_next, rows["eligible"].to_numpy())
    assert held.any(axis=1).all()
    assert held[np.arange(len(p)), p_next.argmax(axis=1)].all()
