"""Who gets which action: the most profit within a budget and the capacities of channels.

Maximise Σ π[c, a] · x[c, a], where each customer gets at most one action, Σ cost[c, a] · x ≤ budget
and, for each channel, Σ x ≤ capacity. With a price for the budget and one for each channel the
customers fall apart: each gets the action with the largest π − λ · cost − μ(channel), if it is
above 0. The prices minimise the dual function, which is convex with as many variables as there are
limits, so it is minimised exactly by cutting planes (Kelley 1960): each step evaluates it once,
over all customers at once, and solves a linear program of a few variables.

Source: Fisher, "The Lagrangian relaxation method for solving integer programming problems"
(Management Science 1981). With a solver for whole numbers, 30,000 customers take seconds and a
million an hour; the gap to it is at most one customer for each limit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import linprog

from serving.decisions.allocation_core import search_core
from serving.decisions.allocation_rows import NOTHING, Array, Limits, Rows

MOST_STEPS = 200
PRECISION = 1e-9  # of the dual's value, relative
BORDER = 200  # customers who are chosen once more
TINY = 1e-9


@dataclass(frozen=True)
class Allocation:
    """chosen (customers,): the action of each, or NOTHING.

    surplus (customers,): π − λ · cost − μ of the chosen action, 0 without one. budget_price: what
    one more unit of money would bring (0 where it is not used up). channel_prices: what one more
    customer of a channel would bring. bound: no allocation brings more than this.
    """

    chosen: Array
    surplus: Array
    budget_price: float
    channel_prices: dict[str, float]
    bound: float


def allocate(profit: Array, cost: Array, limits: Limits, *, order: Array) -> Allocation:
    """The allocation of the most profit.

    profit, cost (customers, actions): money; profit is NaN where an action does not fit. order
    (customers,): a number each that decides between customers who are worth the same. Nobody gets
    an action whose profit is not above 0.
    """
    # Sums depend on the order of their parts in the last bit: it is always the same one.
    by_number = np.argsort(order, kind="stable")
    solution = _allocate(profit[by_number], cost[by_number], limits)
    chosen, surplus = np.empty_like(solution.chosen), np.empty_like(solution.surplus)
    chosen[by_number], surplus[by_number] = solution.chosen, solution.surplus
    return replace(solution, chosen=chosen, surplus=surplus)


def _allocate(profit: Array, cost: Array, limits: Limits) -> Allocation:
    """The allocation of customers who stand in the order that decides between equals."""
    worth = np.where(np.isfinite(profit), profit, -np.inf)
    rows = Rows(worth, cost, limits)
    prices, bound = _minimise_dual(rows)
    surplus = worth - rows.paid(prices)
    best = surplus.argmax(axis=1)
    chosen = np.where(surplus.max(axis=1) > 0, best, NOTHING)
    if len(rows.rooms) and len(chosen):
        chosen = _settle_border(rows, surplus, chosen)
        chosen = search_core(rows, surplus, chosen, prices, bound)
    taken = np.flatnonzero(chosen != NOTHING)
    kept = np.zeros(len(chosen))
    kept[taken] = surplus[taken, chosen[taken]]
    return Allocation(
        chosen,
        kept,
        float(prices[0]) if rows.has_budget else 0.0,
        dict(zip(limits.limited, prices[rows.has_budget :].tolist(), strict=True)),
        bound,
    )


def _minimise_dual(rows: Rows) -> tuple[Array, float]:
    """The prices (limits,) and the value of the dual there, which bounds every profit."""
    count = len(rows.rooms)
    best_prices = np.zeros(count)
    best, slope = rows.dual(best_prices)
    if count == 0 or (slope >= 0).all():
        return best_prices, best  # no limit is reached
    most = _largest_prices(rows)
    cuts, levels = [slope], [best - slope @ best_prices]
    for _ in range(MOST_STEPS):
        # min t, so that t ≥ each cut: the lowest value that the dual may still have.
        solution = linprog(
            [*np.zeros(count), 1.0],
            A_ub=np.column_stack([np.array(cuts), -np.ones(len(cuts))]),
            b_ub=-np.array(levels),
            bounds=[*((0.0, top) for top in most), (None, None)],
        )
        if solution.x is None:
            break
        prices, least = solution.x[:count], solution.x[count]
        value, slope = rows.dual(prices)
        if value < best:
            best, best_prices = value, prices
        cuts.append(slope)
        levels.append(value - slope @ prices)
        if best - least <= PRECISION * max(abs(best), 1.0):
            break
    return best_prices, best


def _largest_prices(rows: Rows) -> Array:
    """A price for each limit at which nobody uses it any more."""
    worth = rows.worth[np.isfinite(rows.worth)]
    top = float(worth.max(initial=0.0))
    tops = [top] * len(rows.rooms)
    if rows.has_budget:
        positive = (rows.worth > 0) & (rows.cost > 0)
        tops[0] = float((rows.worth[positive] / rows.cost[positive]).max(initial=0.0))
    return np.array(tops) + 1e-9


def _settle_border(rows: Rows, surplus: Array, chosen: Array) -> Array:
    """What is chosen, made to fit, then improved among the customers at the border.

    At the prices a few customers are worth nothing more, or as much with another action. One
    choice after the other is added, or put in the place of another, while that brings more.
    """
    chosen = _take_in_order(rows, surplus, chosen)
    nearest = np.argsort(_distance(surplus), kind="stable")[:BORDER]
    actions = surplus.shape[1]
    places = np.repeat(nearest, actions + 1)
    kinds = np.tile(np.arange(NOTHING, actions), len(nearest))
    worth = np.where(kinds == NOTHING, 0.0, rows.worth[places, kinds])
    is_possible = worth >= 0
    places, kinds, worth = places[is_possible], kinds[is_possible], worth[is_possible]
    uses = np.where(kinds == NOTHING, 0.0, rows.uses(places, kinds))
    left = rows.rooms - rows.used(chosen)
    for _ in range(2 * BORDER):
        change = _best_change(places, kinds, worth, uses, chosen, left)
        if change is None:
            break
        for at in change:
            now = (places == places[at]) & (kinds == chosen[places[at]])
            left += uses[:, now].sum(axis=1) - uses[:, at]
            chosen[places[at]] = kinds[at]
    return chosen


def _best_change(
    places: Array, kinds: Array, worth: Array, uses: Array, chosen: Array, left: Array
) -> tuple[int, ...] | None:
    """The choices of one or two customers that bring most more and fit; None where none does."""
    is_now = kinds == chosen[places]
    now_of = dict(zip(places[is_now].tolist(), np.flatnonzero(is_now).tolist(), strict=True))
    now = np.array([now_of[place] for place in places.tolist()])
    more, used = worth - worth[now], uses - uses[:, now]
    fits = (used <= left[:, None] + TINY).all(axis=0)
    alone = int(np.where(fits, more, -np.inf).argmax())
    # Two at once: each row with each other of another customer.
    pair = more[:, None] + more[None, :]
    room = (used[:, :, None] + used[:, None, :] <= left[:, None, None] + TINY).all(axis=0)
    pair = np.where(room & (places[:, None] != places[None, :]), pair, -np.inf)
    first, second = np.unravel_index(int(pair.argmax()), pair.shape)
    if fits[alone] and more[alone] >= pair[first, second]:
        return (alone,) if more[alone] > TINY else None
    return (int(first), int(second)) if pair[first, second] > TINY else None


def _distance(surplus: Array) -> Array:
    """How far from the border a customer is: what another choice would cost."""
    ordered = np.sort(np.column_stack([np.zeros(len(surplus)), surplus]), axis=1)
    return ordered[:, -1] - ordered[:, -2]


def _take_in_order(rows: Rows, surplus: Array, chosen: Array) -> Array:
    """What is chosen without those, least surplus first, for whom there is no room."""
    chosen = chosen.copy()
    left = rows.rooms - rows.used(chosen)
    taken = np.flatnonzero(chosen != NOTHING)
    for place in taken[np.argsort(surplus[taken, chosen[taken]], kind="stable")]:
        if (left >= 0).all():
            break
        used = rows.uses(np.array([place]), chosen[[place]])[:, 0]
        if (used[left < 0] > 0).any():
            left, chosen[place] = left + used, NOTHING
    return chosen
