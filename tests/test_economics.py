"""What an action is expected to bring: the formula, its zero, its ends, and EMPC."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import beta as beta_law

from features.core.action_schema import Acceptance
from serving.decisions.economics import (
    LAW,
    acceptance_interval,
    break_even_risk,
    expected_cost,
    expected_maximum_profit,
    expected_profit,
    profit_interval,
    profits_of_rows,
)
from training.evaluation.campaign_profit import campaign_profit

SHARES = st.floats(0, 1)
MONEY = st.floats(0, 10_000)


def outcomes(p, value, gamma, incentive, contact):
    """The profit and the cost, one kind of customer after the other, as one would count them."""
    kinds = [
        (p * gamma, value - incentive, incentive),  # would leave, and is kept by the offer
        (p * (1 - gamma), 0.0, 0.0),  # leaves in any case
        (1 - p, -incentive, incentive),  # stays anyway, and takes the offer
    ]
    profit = sum(share * gain for share, gain, _ in kinds) - contact
    return profit, sum(share * paid for share, _, paid in kinds) + contact


@given(SHARES, MONEY, SHARES, MONEY, MONEY)
def test_the_formula_is_the_mean_over_kinds_of_customers(p, value, gamma, incentive, contact):
    profit, cost = outcomes(p, value, gamma, incentive, contact)
    money = {"acceptance": gamma, "incentive": incentive, "contact": contact}
    assert expected_profit(p, value, **money) == pytest.approx(profit, abs=1e-6)
    assert expected_cost(p, **money) == pytest.approx(cost, abs=1e-6)


@given(MONEY, SHARES, MONEY, MONEY)
def test_an_action_brings_nothing_at_its_break_even_risk(value, gamma, incentive, contact):
    money = {"acceptance": gamma, "incentive": incentive, "contact": contact}
    least = float(break_even_risk(value, **money))
    if np.isnan(least):
        assert expected_profit(1.0, value, **money) <= 1e-6
    else:
        assert expected_profit(least, value, **money) == pytest.approx(0, abs=1e-6)
        assert expected_profit(1.0, value, **money) >= -1e-6


@given(SHARES, SHARES, SHARES, MONEY, SHARES, MONEY, MONEY)
def test_the_interval_holds_what_is_between_its_ends(p, a, b, value, share, incentive, contact):
    by = Acceptance(mean=share, n=40)
    low_p, high_p = sorted((a, b))
    ends = profit_interval(low_p, high_p, value, incentive=incentive, contact=contact, by=by)
    inside = np.clip(p, low_p, high_p)
    low, high = acceptance_interval(by)
    profit = expected_profit(
        inside, value, acceptance=(low + high) / 2, incentive=incentive, contact=contact
    )
    assert ends[0] - 1e-6 <= profit <= ends[1] + 1e-6


def test_a_guess_is_less_sure_than_a_measurement():
    guess = acceptance_interval(Acceptance(mean=0.3))
    measured = [acceptance_interval(Acceptance(mean=0.3, n=n)) for n in (20, 2_000)]
    assert guess == (0.0, 0.6)
    assert measured[0][1] - measured[0][0] > measured[1][1] - measured[1][0]
    assert all(low < 0.3 < high for low, high in measured)


def direct_empc(scores, left, value, incentive, contact, alpha, beta):
    """The integral over γ, the best threshold of each γ found by trying them all."""
    thresholds = [np.inf, *np.unique(scores)[::-1]]
    chosen = [scores >= each for each in thresholds]
    leavers = np.array([(each & left).mean() for each in chosen])
    stayers = np.array([(each & ~left).mean() for each in chosen])

    def best(gamma):
        kept = gamma * leavers * (value - incentive)
        return (kept - incentive * stayers - contact * (leavers + stayers)).max()

    # The profit bends where the best threshold changes: small steps, so that none is missed.
    grid = np.linspace(0, 1, 401)
    return sum(
        quad(lambda g: best(g) * beta_law.pdf(g, alpha, beta), a, b, epsabs=1e-12, limit=200)[0]
        for a, b in pairwise(grid)
    )


@pytest.mark.parametrize("seed", range(4))
def test_empc_is_the_integral(seed):
    rng = np.random.default_rng(seed)
    left = rng.random(120) < rng.uniform(0.05, 0.6)
    scores = np.round(0.4 * left + rng.random(120), rng.integers(1, 4))  # many are equal
    law = {"value": 200.0, "incentive": 10.0, "contact": 1.0, "alpha": 6.0, "beta": 14.0}
    direct = direct_empc(scores, left, *law.values())
    assert expected_maximum_profit(scores, left, **law) == pytest.approx(direct, abs=1e-6)


def test_empc_of_one_class_is_not_known():
    assert np.isnan(expected_maximum_profit(np.ones(3), np.zeros(3)))
    assert np.isnan(expected_maximum_profit(np.ones(3), np.ones(3)))


def test_empc_of_a_perfect_order_is_the_largest():
    left = np.arange(100) < 20
    perfect = expected_maximum_profit(-np.arange(100.0), left)
    shuffled = expected_maximum_profit(np.random.default_rng(1).random(100), left)
    assert perfect > shuffled >= 0


@pytest.mark.parametrize("seed", range(5))
def test_each_row_brings_its_part_of_empc_and_the_share_is_the_mean_over_gamma(seed):
    rng = np.random.default_rng(seed)
    left = rng.random(300) < 0.2
    scores = np.round(np.where(left, rng.beta(3, 3, 300), rng.beta(2, 4, 300)), 2)
    profits, contacted = profits_of_rows(scores, left, LAW)
    assert profits.mean() == pytest.approx(expected_maximum_profit(scores, left))
    gammas = rng.beta(LAW["alpha"], LAW["beta"], 4000)
    best = [best_count(scores, left, gamma) / 300 for gamma in gammas[:400]]
    assert contacted.mean() == pytest.approx(np.mean(best), abs=0.05)
    order = np.argsort(-scores, kind="stable")
    assert (np.diff(contacted[order]) <= 1e-12).all()


def best_count(scores, left, gamma):
    """How many are contacted, of every possible number, where the profit is the largest."""
    order = np.argsort(-scores, kind="stable")
    ends = [*np.flatnonzero(np.diff(scores[order])) + 1, len(order)]
    kept = np.cumsum(left[order])
    profits = [0.0]
    for end in ends:
        stayers = end - kept[end - 1]
        profits.append(kept[end - 1] * gamma * 190.0 - end - 10.0 * stayers)
    return [0, *ends][int(np.argmax(profits))]


def test_the_profit_of_a_campaign_is_the_models_beside_the_stages_and_everybodys():
    rng = np.random.default_rng(3)
    risk = rng.beta(1, 2, 4000)
    left, ids = rng.random(4000) < risk, np.arange(4000).astype(str)
    report = campaign_profit(left, risk, ids, np.full(4000, left.mean()))
    assert report["empc"] == pytest.approx(expected_maximum_profit(risk, left))
    assert report["low"] < report["empc"] < report["high"]
    assert 0 < report["difference_low"] < report["difference"]
    assert report["empc"] > max(0, report["everybody"], report["by_stage"])
    assert 0 < report["share"] < 1
    assert campaign_profit(np.ones(9, bool), risk[:9], ids[:9], risk[:9]) is None
    # The interval covers the profit of the same score in other draws of customers.
    draws = [expected_maximum_profit(risk, rng.random(4000) < risk) for _ in range(60)]
    assert report["high"] - report["low"] == pytest.approx(3.92 * np.std(draws), rel=0.35)
