"""Who gets which action: within all limits, nearly the best, whatever the order of the rows."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, linprog, milp

from serving.decisions.allocation import NOTHING, Limits, allocate

CHANNELS = ("mail", "phone", "app")


def problem(seed: int, size: int):
    rng = np.random.default_rng(seed)
    p, value = rng.beta(2, 4, (size, 1)), rng.lognormal(4.5, 0.8, (size, 1))
    gamma, incentive, contact = np.array([0.15, 0.3, 0.1]), np.array([10, 0, 5.0]), [1, 12, 0.2]
    profit = p * gamma * (value - incentive) - (1 - p) * incentive - contact
    profit[rng.random(profit.shape) < 0.2] = np.nan
    cost = contact + incentive * (p * gamma + 1 - p)
    limits = Limits(size * rng.uniform(0.1, 2), {"phone": int(size * 0.05)}, CHANNELS)
    return profit, cost, limits, rng.random(size)


def programme(profit, cost, limits):
    """Objective, matrix and bounds of the same problem for a solver, and the pairs of it."""
    rows, actions = np.nonzero(np.nan_to_num(profit, nan=-1) > 0)
    pairs = np.arange(len(rows))
    parts = [scipy.sparse.csr_matrix((np.ones(len(rows)), (rows, pairs)), (len(profit), len(rows)))]
    tops = [np.ones(len(profit))]
    if limits.budget is not None:
        parts.append(scipy.sparse.csr_matrix(cost[rows, actions]))
        tops.append([limits.budget])
    for name in limits.limited:
        is_of = np.array(limits.channel_of)[actions] == name
        parts.append(scipy.sparse.csr_matrix(is_of.astype(float)))
        tops.append([limits.capacities[name]])
    return -profit[rows, actions], scipy.sparse.vstack(parts), np.concatenate(tops)


def profit_of(profit, chosen) -> float:
    rows = np.flatnonzero(chosen != NOTHING)
    return float(profit[rows, chosen[rows]].sum())


def assert_within(limits, cost, chosen):
    rows = np.flatnonzero(chosen != NOTHING)
    if limits.budget is not None:
        assert cost[rows, chosen[rows]].sum() <= limits.budget + 1e-6
    for name, most in limits.capacities.items():
        assert (np.array(CHANNELS)[chosen[rows]] == name).sum() <= most


@pytest.mark.parametrize("seed", range(12))
def test_it_brings_what_a_solver_of_whole_numbers_finds(seed):
    profit, cost, limits, order = problem(seed, [60, 300, 1200, 3000][seed % 4])
    found = allocate(profit, cost, limits, order=order)
    assert_within(limits, cost, found.chosen)
    aim, matrix, tops = programme(profit, cost, limits)
    best = milp(
        aim,
        constraints=LinearConstraint(matrix, -np.inf, tops),
        integrality=np.ones(len(aim)),
        bounds=Bounds(0, 1),
        options={"mip_rel_gap": 1e-5, "time_limit": 20},
    )
    assert profit_of(profit, found.chosen) >= -best.fun * 0.999
    assert profit_of(profit, found.chosen) <= found.bound + 1e-6


@pytest.mark.parametrize("seed", range(12))
def test_its_bound_and_its_prices_are_those_of_the_linear_programme(seed):
    profit, cost, limits, order = problem(seed, 800)
    found = allocate(profit, cost, limits, order=order)
    aim, matrix, tops = programme(profit, cost, limits)
    best = linprog(aim, A_ub=matrix, b_ub=tops, bounds=(0, 1))
    assert found.bound == pytest.approx(-best.fun, rel=1e-6)
    # Prices may lie anywhere between what one unit less costs and what one more brings.
    for at, price in enumerate([found.budget_price, *found.channel_prices.values()]):
        place = len(profit) + at
        step = max(1.0, 0.002 * tops[place])
        more, less = (
            -linprog(aim, A_ub=matrix, b_ub=tops + way * step * _unit(len(tops), place)).fun
            for way in (1, -1)
        )
        top = (-best.fun - less) / step
        assert (more + best.fun) / step * 0.99 - 1e-6 <= price <= top * 1.01 + 1e-6


def _unit(size: int, place: int) -> np.ndarray:
    unit = np.zeros(size)
    unit[place] = 1
    return unit


def test_without_limits_everybody_gets_the_best_action_that_pays():
    profit, cost, _, order = problem(3, 500)
    found = allocate(profit, cost, Limits(None, {}, CHANNELS), order=order)
    worth = np.nan_to_num(profit, nan=-np.inf)
    expected = np.where(worth.max(axis=1) > 0, worth.argmax(axis=1), NOTHING)
    assert (found.chosen == expected).all()
    assert found.budget_price == 0.0


@given(st.integers(0, 50), st.permutations(range(40)))
def test_the_order_of_the_rows_changes_nothing(seed, places):
    profit, cost, limits, order = problem(seed, 40)
    found = allocate(profit, cost, limits, order=order)
    again = allocate(profit[places], cost[places], limits, order=order[places])
    assert (again.chosen == found.chosen[places]).all()


@pytest.mark.parametrize("budget", [0.0, 1e-9])
def test_a_budget_of_nothing_pays_for_nothing(budget):
    profit, cost, _, order = problem(1, 100)
    found = allocate(profit, cost, Limits(budget, {}, CHANNELS), order=order)
    assert (found.chosen == NOTHING).all()


def test_nobody_and_nothing_to_do():
    empty = np.empty((0, 3))
    assert len(allocate(empty, empty, Limits(5.0, {}, CHANNELS), order=np.empty(0)).chosen) == 0
    profit = np.full((4, 3), np.nan)
    found = allocate(profit, np.ones((4, 3)), Limits(5.0, {"app": 1}, CHANNELS), order=np.zeros(4))
    assert (found.chosen == NOTHING).all()
