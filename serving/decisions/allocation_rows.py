"""The problem of an allocation: profits, costs, limits, and what given prices make of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Array = np.ndarray
NOTHING = -1


@dataclass(frozen=True)
class Limits:
    """budget: money, or None. capacities: the most customers of a channel; channels without one
    are not limited. channel_of (actions,): the channel of each action.
    """

    budget: float | None
    capacities: dict[str, int]
    channel_of: tuple[str, ...]

    @property
    def limited(self) -> tuple[str, ...]:
        """The channels that have a capacity and an action, in the order of the actions."""
        return tuple(dict.fromkeys(each for each in self.channel_of if each in self.capacities))


class Rows:
    """The dual function of one problem: its value and slope at given prices."""

    def __init__(self, worth: Array, cost: Array, limits: Limits) -> None:
        self.worth, self.cost, self.limits = worth, cost, limits
        self.has_budget = limits.budget is not None
        names = limits.limited
        self.channel = np.array(
            [names.index(each) if each in names else NOTHING for each in limits.channel_of], int
        )
        rooms = [float(limits.capacities[name]) for name in names]
        self.rooms = np.array([limits.budget] * self.has_budget + rooms, dtype=float)

    def paid(self, prices: Array) -> Array:
        """λ · cost + μ of each customer and action."""
        paid = np.zeros_like(self.cost)
        if self.has_budget:
            paid = self.cost * prices[0]
        of_channels = np.append(prices[self.has_budget :], 0.0)  # the last is that of no limit
        return paid + of_channels[self.channel]

    def dual(self, prices: Array) -> tuple[float, Array]:
        """Its value, and its slope by each price."""
        surplus = self.worth - self.paid(prices)
        best = surplus.argmax(axis=1)
        reached = surplus[np.arange(len(best)), best]
        taken = reached > 0
        used = self.used(np.where(taken, best, NOTHING))
        return float(reached[taken].sum() + prices @ self.rooms), self.rooms - used

    def used(self, chosen: Array) -> Array:
        """What the chosen actions use of each limit."""
        rows = np.flatnonzero(chosen != NOTHING)
        used = []
        if self.has_budget:
            used.append(self.cost[rows, chosen[rows]].sum())
        channels = self.channel[chosen[rows]]
        counts = np.bincount(channels[channels >= 0], minlength=self.channel_count)
        return np.array([*used, *counts[: self.channel_count]], dtype=float)

    def uses(self, places: Array, actions: Array) -> Array:
        """(limits, pairs): what each pair of a customer and an action uses."""
        channels = self.channel[actions][None, :] == np.arange(self.channel_count)[:, None]
        money = [self.cost[places, actions]] if self.has_budget else []
        return np.vstack([*money, channels.astype(float)])

    @property
    def channel_count(self) -> int:
        return len(self.limits.limited)
