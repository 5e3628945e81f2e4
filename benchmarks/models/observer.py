"""The Bayesian filter of the simulated shop: P(leave) from its tables and its true parameters.

The filter goes day by day over each customer's hidden state (left, or a level of satisfaction) and
a grid of own buying probabilities. It reads purchases, visits and their pages, letters, complaints,
surveys, reviews, calls and page views as of an instant; only the end of letters and surveys long
after a leaving is not read. A model of these tables can be better only by chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pyarrow as pa
from scipy.stats import gamma, norm

from features.core.instants import DAY_US
from lifecycle import simulation
from lifecycle.simulation import world
from lifecycle.simulation.world import (
    ANSWERS,
    COMPLAINS,
    COMPLAINS_ON_FALL,
    GAP_SHAPE,
    LEAVES,
    MEAN_GAP,
    OPENS,
    STEP_DOWN,
    VISITS,
    VISITS_PER_PURCHASE,
)

GRID = 7  # own buying probabilities, all equally likely
SILENT, NOTHING = 11, 12  # an unanswered survey, and no survey; other codes are scores 0 … 10
LOW = np.arange(5) <= 1  # a fall to these levels brings complaints


@dataclass(frozen=True)
class Observations:
    """What each day showed of each customer, as far as known: arrays (days, customers)."""

    bought: np.ndarray
    visits: np.ndarray
    pages: np.ndarray
    letters: np.ndarray  # 0 none or not read, 1 sent and not opened, 2 opened
    complained: np.ndarray
    csat: np.ndarray
    nps: np.ndarray
    review: np.ndarray
    alive: np.ndarray  # an event that only remaining customers have


def p_leave(customers: int, who: np.ndarray, *, day: int, horizon: int) -> np.ndarray:
    """P(no purchase in the `horizon` days from `day`) of the customers `who` (numbers from 0)."""
    return p_silent(customers, who, day=day, horizons=(horizon,))[:, 0]


def p_silent(customers: int, who: np.ndarray, *, day: int, horizons: tuple[int, ...]) -> np.ndarray:
    """P(no purchase in so many days from `day`), (customers, horizons); horizons ascending."""
    shop = _shop_tables(customers)
    people = shop["customers"]
    acquired = _days(people["acquired_at"])[who]
    business = np.array([each == "business" for each in people["segment"].to_pylist()])[who].astype(
        int
    )
    referral = np.array([each == "referral" for each in people["channel"].to_pylist()])[who]
    buys = gamma.ppf((np.arange(GRID) + 0.5) / GRID, GAP_SHAPE, scale=1 / GAP_SHAPE) / MEAN_GAP
    buys = np.minimum(
        buys * np.array([[1.0], [1.15]]), 0.12
    )  # as `draw_people` has them: business customers more often
    observed = observe(shop, who, day=day)
    state = _filter_states(observed, acquired, business, _first_levels(referral), buys, day=day)
    silent, columns = np.ones((2, GRID, 5)), []
    for passed in range(1, max(horizons) + 1):
        silent = (
            LEAVES + (1 - LEAVES) * (1 - buys[:, :, None]) * silent
        ) @ world.transition_matrix().T
        if passed in horizons:
            stays = (state[:, :, :5] * silent[business]).sum(axis=(1, 2))
            columns.append(stays + state[:, :, 5].sum(axis=1))
    return np.column_stack(columns)


@cache
def _shop_tables(customers: int) -> dict[str, pa.Table]:
    return simulation.simulate(customers=customers).tables


def _first_levels(referral: np.ndarray) -> np.ndarray:
    """P(level) on the day of acquisition, (customers, 5)."""
    edges = np.array([-np.inf, 0.5, 1.5, 2.5, 3.5, np.inf])
    return np.diff(norm.cdf((edges - (2.7 + 0.5 * referral[:, None])) / 0.8), axis=1)


def _days(column: pa.ChunkedArray) -> np.ndarray:
    """Days since the start, −1 where empty."""
    at = column.cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy()
    start = np.datetime64(simulation.START, "us").astype(int)
    return np.where(
        np.isnan(at.astype(float)), -1, (np.nan_to_num(at.astype(float)) - start) // DAY_US
    ).astype(int)


def observe(shop: dict[str, pa.Table], who: np.ndarray, *, day: int) -> Observations:
    """What the tables show of the customers `who` when `day` begins."""
    place = np.full(shop["customers"].num_rows, -1)
    place[who] = np.arange(len(who))

    def known_rows(name: str) -> tuple[pa.Table, np.ndarray, np.ndarray]:
        table = shop[name]
        mine, on = (
            place[np.array(table["customer_id"].to_pylist()).astype(int) - 1],
            _days(table["occurred_at"]),
        )
        known = _days(table["recorded_at"]) if "recorded_at" in table.column_names else on
        chosen_rows = (mine >= 0) & (on < day) & (known < day)
        return table.filter(pa.array(chosen_rows)), on[chosen_rows], mine[chosen_rows]

    def count_events(
        on: np.ndarray, mine: np.ndarray, chosen: np.ndarray, weight: np.ndarray | None = None
    ) -> np.ndarray:
        out = np.zeros((day, len(who)), dtype=np.int16)
        np.add.at(out, (on[chosen], mine[chosen]), 1 if weight is None else weight[chosen])
        return out

    paid, on, mine = known_rows("transactions")
    bought = count_events(on, mine, np.array(paid["kind"].to_pylist()) == "purchase") > 0
    did, on, mine = known_rows("interactions")
    kind = np.array(did["kind"].to_pylist())
    quantity = np.nan_to_num(did["quantity"].to_numpy().astype(float)).astype(int)
    visits, pages = (
        count_events(on, mine, kind == "visit"),
        count_events(on, mine, kind == "visit", quantity - 1),
    )
    letters = count_events(on, mine, np.isin(kind, ("sent", "opened")))
    alive = count_events(on, mine, np.isin(kind, ("call", "downgrade_page"))) > 0
    feedback, on, mine = known_rows("feedback")
    kind, answered = np.array(feedback["kind"].to_pylist()), _days(feedback["answered_at"])
    score = np.nan_to_num(feedback["score"].to_numpy().astype(float)).astype(int)
    score = np.where((answered >= 0) & (answered < day), score, SILENT)

    def survey(name: str) -> np.ndarray:
        out = np.full((day, len(who)), NOTHING, dtype=np.int8)
        # A survey of the last days may still be answered, so it is not read as unanswered.
        chosen = (kind == name) & ((score != SILENT) | (on < day - 3))
        out[on[chosen], mine[chosen]] = score[chosen]
        return out

    return Observations(
        bought,
        visits,
        pages,
        letters,
        count_events(on, mine, kind == "complaint") > 0,
        survey("csat"),
        survey("nps"),
        survey("review"),
        alive,
    )


def _scores(spread: float, step: float, low: int, high: int, *, answers: bool) -> np.ndarray:
    """Likelihood of a survey's outcome by level and, last, after leaving: (13, 6)."""
    out = np.zeros((NOTHING + 1, 6))
    edges = np.concatenate([[-np.inf], np.arange(low, high) + 0.5, [np.inf]])
    for level in range(5):
        middle = step * level + (1 if step == 1 else 0)
        out[low : high + 1, level] = np.diff(norm.cdf((edges - middle) / spread)) * (
            ANSWERS[level] if answers else 1
        )
    out[SILENT] = [*(1 - ANSWERS), 1] if answers else 1
    out[NOTHING] = 1
    return out


def _filter_states(
    observed: Observations,
    acquired: np.ndarray,
    business: np.ndarray,
    first: np.ndarray,
    buys: np.ndarray,
    *,
    day: int,
) -> np.ndarray:
    """P(own buying probability, state) as `day` begins: (customers, GRID, 6); last: has left."""
    state = np.zeros((len(acquired), GRID, 6))
    state[:, :, :5] = first[:, None] / GRID
    often = np.maximum(VISITS_PER_PURCHASE * buys, 0.02)[:, :, None] * VISITS  # (2, GRID, 5)
    spontaneous, purchase = np.stack([1 - often, often]), np.stack([1 - buys, buys])
    csat, nps = _scores(0.7, 1, 1, 5, answers=True), _scores(1.2, 2.5, 0, 10, answers=True)
    review = _scores(0.7, 1, 1, 5, answers=False)
    review[:NOTHING, 5] = 0
    letter = np.stack([np.ones(6), [*(1 - OPENS), 1], [*OPENS, 0]])
    views = 2 + 2.5 * np.arange(5)
    for at in range(acquired.min() + 1, day):
        on = np.flatnonzero(acquired < at)
        before, of = state[on], business[on]
        fell = np.zeros((len(on), GRID, 5))
        fell[:, :, :4] = before[:, :, 1:5] * STEP_DOWN[1:]
        moved = before[:, :, :5] @ world.transition_matrix()
        gone = before[:, :, 5] + moved @ LEAVES
        stays, fell = moved * (1 - LEAVES), fell * (1 - LEAVES) * LOW * COMPLAINS_ON_FALL
        complained = observed.complained[at, on][:, None, None]
        stays = np.where(complained, stays * COMPLAINS + fell, stays * (1 - COMPLAINS) - fell)
        bought, visits = observed.bought[at, on].astype(int), observed.visits[at, on].astype(int)
        extra = np.clip(visits - bought, 0, 1)
        shown = (
            letter[np.minimum(observed.letters[at, on], 2)]
            * csat[observed.csat[at, on]]
            * nps[observed.nps[at, on]]
        )
        shown = shown * review[observed.review[at, on]]
        page_log_likelihood = (
            observed.pages[at, on][:, None] * np.log(views) - visits[:, None] * views
        )
        shown[:, :5] *= np.exp(page_log_likelihood - page_log_likelihood.max(axis=1, keepdims=True))
        stays = (
            stays * purchase[bought, of][:, :, None] * spontaneous[extra, of] * shown[:, None, :5]
        )
        silent = ~(
            observed.complained[at, on] | (visits > 0) | (bought > 0) | observed.alive[at, on]
        )
        # The likelihood of the pages is known up to a factor; after a page view nobody has left.
        state[on, :, :5], state[on, :, 5] = stays, gone * (silent * shown[:, 5])[:, None]
        state[on] /= state[on].sum(axis=(1, 2), keepdims=True)
    return state
