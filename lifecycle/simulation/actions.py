"""Actions on customers of the simulated shop: what they do, what they cost, and one campaign.

Each action changes the daily hazard of leaving for good for EFFECT_DAYS after it, by the customer's
satisfaction and segment. Nothing in the tables says so: the truth has the probability of leaving
under each action.

    call       a call about the last complaint: only the unhappy (level 0, 1) stay more often
    voucher    money off the next purchase: private customers and families stay, businesses do not
    reminder   a letter: the content stay a little more often; it wakes the unhappy, who then leave

A customer who has left for good comes back by none of them. The campaign `trial` drew an arm for
each customer who had not left TRIAL_DAYS days before: one of the actions, or held out. The truth
is that of customers on whom no action works at the time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from lifecycle.simulation.world import DAY, LEAVES, NONE, People, Rng, money_column, timestamps

EFFECT_DAYS = 60
TRIAL, TRIAL_DAYS = "trial", 60
TRIAL_BEFORE_END = 180  # days, so that its outcomes are complete and known
HELD_OUT = "held_out"


@dataclass(frozen=True)
class SimulatedAction:
    """hazard: the factor by satisfaction level 0 … 4. segments: of whom; the others feel nothing.

    Costs in cents: of the contact, and of the incentive where it is taken.
    """

    name: str
    channel: str
    hazard: tuple[float, float, float, float, float]
    segments: tuple[int, ...]
    contact_cents: int
    incentive_cents: int


ACTIONS = (
    SimulatedAction("call", "phone", (0.25, 0.25, 1, 1, 1), (0, 1, 2), 600, 0),
    SimulatedAction("voucher", "email", (0.4, 0.4, 0.4, 0.4, 0.4), (0, 1), 20, 500),
    SimulatedAction("reminder", "letter", (2, 2, 0.7, 0.7, 0.7), (0, 1, 2), 60, 0),
)


@dataclass(frozen=True)
class Trial:
    """The campaign: its day, and the arm of each customer as a position in ACTIONS.

    len(ACTIONS): held out; NONE: not in the campaign.
    """

    day: int
    arm: np.ndarray

    def hazard_factors(self, people: People, level: np.ndarray) -> np.ndarray:
        """(days, customers): what the trial makes of each day's hazard."""
        factors = np.ones(level.shape, dtype=np.float32)
        days = slice(self.day, min(self.day + EFFECT_DAYS, len(level)))
        for place, action in enumerate(ACTIONS):
            treated = np.flatnonzero(self.arm == place)
            felt = treated[np.isin(people.segment[treated], action.segments)]
            factors[days, felt] = np.array(action.hazard, dtype=np.float32)[level[days, felt]]
        return factors

    def table(self, people: People, purchases: np.ndarray) -> pa.Table:
        """`treatments`: a row for each customer of the campaign, in the order of the ids."""
        who = np.flatnonzero(self.arm != NONE)
        arm = self.arm[who]
        at = np.full(who.size, self.day * DAY + 9 * 3_600)
        names = pa.array([*(action.name for action in ACTIONS), None], pa.string())
        contact = np.array([*(action.contact_cents for action in ACTIONS), 0])
        incentive = np.array([*(action.incentive_cents for action in ACTIONS), 0])
        first, last = self.day * DAY, (self.day + EFFECT_DAYS) * DAY
        bought = purchases[0, (purchases[1] >= first) & (purchases[1] < last)]
        takes = np.isin(who, bought)
        is_treated = arm < len(ACTIONS)
        columns = {
            "customer_id": people.ids.take(pa.array(who)),
            "occurred_at": timestamps(at),
            "recorded_at": timestamps(np.full(who.size, self.day * DAY)),  # decided at midnight
            "campaign": pa.array([TRIAL] * who.size, pa.string()),
            "arm": pa.array(np.where(is_treated, "treated", HELD_OUT).tolist(), pa.string()),
            "action": names.take(pa.array(arm)),
            "cost": money_column(contact[arm] + takes * incentive[arm]),
        }
        return pa.table(columns)


def draw_trial(rng: Rng, people: People, left_day: np.ndarray, days: int) -> Trial:
    """Draw the arms; left_day (customers,): when each would have left without the trial."""
    day = max(days - TRIAL_BEFORE_END, 1)
    recent = (people.acquired < day) & (left_day > day - TRIAL_DAYS)
    recent &= people.purchase_probability > 0
    arm = rng.integers(0, len(ACTIONS) + 1, people.acquired.size)
    return Trial(day, np.where(recent, arm, NONE))


def hazards_under(people: People, action: SimulatedAction) -> np.ndarray:
    """(customers, levels): the daily hazard of leaving while the action works."""
    factors = np.where(
        np.isin(people.segment, action.segments)[:, None], np.array(action.hazard)[None, :], 1.0
    )
    return LEAVES[None, :] * factors
