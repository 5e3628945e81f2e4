"""What an action on a customer is expected to bring, in money; said here once.

    π = p · γ · (V − d) − (1 − p) · d − f

p: the probability of churn. γ: the share of those who would leave and whom the action keeps. V: the
money expected of a customer who stays (`clv_if_stays`). d: the incentive, paid to whoever takes it:
to those it keeps, and to everybody who would have stayed anyway. f: the cost of the contact, paid
for everybody. π is 0 at

    p* = (d + f) / (γ · (V − d) + d)

Source: the campaign profit of Verbeke et al., "New insights into churn prediction in the
telecommunication sector" (2012), equation 1, for one customer instead of a share of them.

All of it is a response as long as γ is a guess, or was measured without a hold-out: what an action
changes is known only beside customers who did not get it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.special import betainc, betaincinv

from features.core.action_schema import Acceptance

Array = np.ndarray
Numbers = np.ndarray | float
# The level of the interval of an acceptance: 95 of 100 such intervals hold the true value.
TAIL = 0.025
# Of EMPC: V, d and f in units of the currency, and γ ~ Beta(alpha, beta), as in its source.
LAW = {"value": 200.0, "incentive": 10.0, "contact": 1.0, "alpha": 6.0, "beta": 14.0}


def expected_profit(
    p: Numbers, value: Numbers, *, acceptance: Numbers, incentive: Numbers, contact: Numbers
) -> Array:
    """π of each customer (and action), in units of the currency; NaN where p or V is NaN.

    Arrays are broadcast. p and acceptance in 0 … 1, money of any size.

    >>> float(expected_profit(0.5, 200.0, acceptance=0.25, incentive=10.0, contact=1.0))
    17.75
    """
    return profit_of_effect(
        np.asarray(p * acceptance), p, value, incentive=incentive, contact=contact
    )


def profit_of_effect(
    effect: Numbers, p: Numbers, value: Numbers, *, incentive: Numbers, contact: Numbers
) -> Array:
    """π where the difference in the probability of being kept is known: p · γ, or learned."""
    return np.asarray(effect * (value - incentive)) - (1 - p) * incentive - contact


def cost_of_effect(effect: Numbers, p: Numbers, *, incentive: Numbers, contact: Numbers) -> Array:
    """The contact, and the incentive for everybody who stays with the action."""
    return contact + incentive * np.clip(1 - p + effect, 0, 1)


def expected_cost(
    p: Numbers, *, acceptance: Numbers, incentive: Numbers, contact: Numbers
) -> Array:
    """The money that is expected to be spent: the contact, and the incentive where it is taken."""
    return cost_of_effect(np.asarray(p * acceptance), p, incentive=incentive, contact=contact)


def break_even_risk(
    value: Numbers, *, acceptance: Numbers, incentive: Numbers, contact: Numbers
) -> Array:
    """p*, from which on an action brings more than it costs; NaN where no p of 0 … 1 does.

    >>> float(break_even_risk(200.0, acceptance=0.25, incentive=10.0, contact=1.0))
    0.1913...
    """
    slope = np.asarray(acceptance * (value - incentive) + incentive, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        least = (incentive + contact) / slope
    return np.where((slope > 0) & (least <= 1), least, np.nan)


def profit_interval(
    p_low: Array, p_high: Array, value: Array, *, incentive: float, contact: float, by: Acceptance
) -> tuple[Array, Array]:
    """(low, high): π with p and γ at their low ends together, and at their high ends.

    π grows with p and γ where V > d; where it is not so, the ends are put in order. V stands as it
    is expected: its interval is that of the money of one customer, not of its mean.
    """
    low, high = acceptance_interval(by)
    corners = [
        expected_profit(p, value, acceptance=gamma, incentive=incentive, contact=contact)
        for p in (p_low, p_high)
        for gamma in (low, high)
    ]
    return np.minimum.reduce(corners), np.maximum.reduce(corners)


def acceptance_interval(by: Acceptance) -> tuple[float, float]:
    """The 95 % interval of an acceptance that was measured on n customers (Jeffreys).

    Of a guess: from 0 to twice the guess, at most 1; no number of customers stands behind it.
    """
    if by.n is None:
        return 0.0, min(2 * by.mean, 1.0)
    yes, no = by.mean * by.n + 0.5, (1 - by.mean) * by.n + 0.5
    return float(betaincinv(yes, no, TAIL)), float(betaincinv(yes, no, 1 - TAIL))


def expected_maximum_profit(
    scores: Array,
    left: Array,
    *,
    value: float = LAW["value"],
    incentive: float = LAW["incentive"],
    contact: float = LAW["contact"],
    alpha: float = LAW["alpha"],
    beta: float = LAW["beta"],
) -> float:
    """EMPC: the profit a customer of a campaign that contacts the best share, over γ ~ Beta.

    scores (n,): higher means more likely to leave. left (n,): whether they did. NaN with one class
    alone. Source: Verbraken, Verbeke, Baesens, "A novel profit maximizing metric for measuring
    classification performance of customer churn prediction models" (IEEE TKDE 2013), equation 12;
    computed in closed form on the convex hull.
    """
    law = {"value": value, "incentive": incentive, "contact": contact, "alpha": alpha, "beta": beta}
    return float(profits_of_rows(scores, left, law)[0].mean())


def profits_of_rows(scores: Array, left: Array, law: Mapping[str, float]) -> tuple[Array, Array]:
    """(n,) what each row brings to EMPC, which is their mean, and how probably it is contacted.

    For each γ the share to contact is the best for it, and γ ~ Beta of the law (keys of LAW). Who
    is contacted from γ on is contacted with the probability that γ is as large. NaN with one class.
    """
    left = np.asarray(left, dtype=bool)
    if left.all() or not left.any():
        return np.full(len(left), np.nan), np.full(len(left), np.nan)
    from_gamma = _contacted_from(np.asarray(scores, dtype=float), left, law)
    alpha, beta = law["alpha"], law["beta"]
    # ∫ γ h(γ) dγ = E γ · (a Beta with alpha + 1), ∫ h(γ) dγ = the Beta itself.
    contacted = 1 - betainc(alpha, beta, from_gamma)
    gained = alpha / (alpha + beta) * (1 - betainc(alpha + 1, beta, from_gamma))
    kept = left * (law["value"] - law["incentive"]) * gained
    return kept - (law["contact"] + law["incentive"] * ~left) * contacted, contacted


def _contacted_from(scores: Array, left: Array, law: Mapping[str, float]) -> Array:
    """(n,): the least γ for which a row is among those to contact; 1 where it never is."""
    order = np.argsort(-scores, kind="stable")
    ordered, leavers = scores[order], np.cumsum(left[order])
    counts = np.arange(1, len(order) + 1)
    is_last = np.append(ordered[1:] != ordered[:-1], True)  # equal scores are contacted together
    counts = np.concatenate([[0], counts[is_last]])
    leavers = np.concatenate([[0], leavers[is_last]])
    # The profit, γ · gains − costs, of contacting the k best of each possible k.
    gains = leavers * (law["value"] - law["incentive"])
    costs = law["contact"] * counts + law["incentive"] * (counts - leavers)
    hull = _upper_envelope(gains, costs)
    with np.errstate(divide="ignore"):
        breaks = np.clip(np.diff(costs[hull]) / np.diff(gains[hull]), 0, 1)
    from_gamma = np.ones(len(order))
    for first, last, gamma in zip(counts[hull][:-1], counts[hull][1:], breaks, strict=True):
        from_gamma[order[first:last]] = gamma
    return from_gamma


def _upper_envelope(gains: Array, costs: Array) -> list[int]:
    """The lines γ · gain − cost that are the largest for some γ, by growing gain."""
    order = np.lexsort((costs, gains))
    hull: list[int] = []
    for at in order:
        if hull and gains[at] == gains[hull[-1]]:
            continue  # as much, and dearer
        while len(hull) > 1 and _is_below(gains, costs, hull[-2], hull[-1], at):
            hull.pop()
        hull.append(int(at))
    return hull


def _is_below(gains: Array, costs: Array, first: int, middle: int, last: int) -> bool:
    """Whether the middle line is nowhere above both others."""
    to_middle = (costs[middle] - costs[first]) * (gains[last] - gains[middle])
    to_last = (costs[last] - costs[middle]) * (gains[middle] - gains[first])
    return bool(to_middle >= to_last)
