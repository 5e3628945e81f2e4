"""The last customers of an allocation, chosen exactly where few are left to choose.

With prices, every allocation brings the bound, less the loss of each customer who does not get the
action that is best at the prices, less what is not used of each limit at its price. So a customer
whose loss alone is larger than the gap keeps the best action in every better allocation; the
others are the core, and are searched.

Source: Pisinger, "A minimal algorithm for the multiple-choice knapsack problem" (European Journal
of Operational Research 1995), for one limit; the same argument holds for several.
"""

from __future__ import annotations

import numpy as np

from serving.decisions.allocation_rows import NOTHING, Array, Rows

MOST_CORE, MOST_NODES = 60, 20_000
TINY = 1e-9


def search_core(rows: Rows, surplus: Array, chosen: Array, prices: Array, bound: float) -> Array:
    """An allocation that brings at least as much as `chosen`, which fits all limits."""
    taken = np.flatnonzero(chosen != NOTHING)
    gap = bound - float(rows.worth[taken, chosen[taken]].sum())
    choices = np.column_stack([surplus, np.zeros(len(surplus))])  # the last is no action
    best = choices.max(axis=1)
    ordered = np.sort(choices, axis=1)
    distance = ordered[:, -1] - ordered[:, -2]
    core = np.flatnonzero(distance < gap)
    core = core[np.argsort(distance[core], kind="stable")][:MOST_CORE]
    if gap <= TINY or not len(core):
        return chosen
    outside = chosen.copy()
    outside[core] = NOTHING
    left = rows.rooms - rows.used(outside)
    # What the customers outside the core lose already counts, and cannot be won back here.
    places = np.flatnonzero(outside != NOTHING)
    now = np.zeros(len(chosen))
    now[places] = surplus[places, outside[places]]
    others = np.ones(len(chosen), dtype=bool)
    others[core] = False
    lost = float((best - now)[others].clip(0).sum())
    choice = _Search(rows, core, choices, prices, left, gap - lost).run()
    if choice is None:
        return chosen
    outside[core] = choice
    return outside


class _Search:
    """Depth first over the core: the choices of each with the least loss first."""

    def __init__(
        self, rows: Rows, core: Array, choices: Array, prices: Array, left: Array, gap: float
    ) -> None:
        # Who is furthest from the border first: the loss of a wrong choice ends the branch.
        self.core = core[::-1]
        self.prices, self.left, self.best = prices, left, gap - TINY
        actions = choices.shape[1] - 1
        self.options: list[list[tuple[float, int, Array]]] = []
        nothing = np.zeros(len(prices))
        for place in self.core.tolist():
            top = choices[place].max()
            options = [(top, NOTHING, nothing)]
            for action in range(actions):
                if np.isfinite(choices[place, action]):
                    uses = rows.uses(np.array([place]), np.array([action]))[:, 0]
                    options.append((top - choices[place, action], action, uses))
            self.options.append(sorted(options, key=lambda each: (each[0], each[1])))
        most = [np.max([uses for _, _, uses in each], axis=0) for each in self.options]
        self.most_after = np.vstack([np.cumsum(most[::-1], axis=0)[::-1], nothing])
        self.nodes = 0
        self.choice: list[int] | None = None
        self.path: list[int] = [NOTHING] * len(self.core)

    def run(self) -> Array | None:
        """The actions of the core (in the order of `core`), or None where nothing is better."""
        self._visit(0, 0.0, self.left)
        return None if self.choice is None else np.array(self.choice[::-1])

    def _visit(self, at: int, loss: float, left: Array) -> None:
        self.nodes += 1
        unused = float(self.prices @ np.maximum(left - self.most_after[at], 0))
        if loss + unused >= self.best or self.nodes > MOST_NODES:
            return
        if at == len(self.core):
            self.best, self.choice = loss + unused, list(self.path)
            return
        for more, action, uses in self.options[at]:
            if loss + more >= self.best:
                return
            if (uses <= left + TINY).all():
                self.path[at] = action
                self._visit(at + 1, loss + more, left - uses)
