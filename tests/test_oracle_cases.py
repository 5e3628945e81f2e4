"""Customers made by hand, through the real thing: who leaves, what their cover tells, where periods end."""

from __future__ import annotations

import random
from collections.abc import Iterable

import numpy as np
import pytest

from features.core.instants import instant
from features.recipes.stages import STAGES
from tests import oracle
from tests.oracle import DAY
from tests.oracle_worlds import World, add, real, settings_for

LEAVING = {
    "cover ends with the window": ([(-9, 30, None)], True),
    "cancelled, and nothing follows": ([(-9, 90, 3)], True),
    "cancelled before the window, paid beyond it": ([(-9, 90, -3)], False),
    "cancelled, and renewed": ([(-9, 20, 3), (23, 90, None)], False),
    "renewed after grace": ([(-9, 20, None), (24, 90, None)], True),
    "one of two running terms cancelled, the one begun later": (
        [(-9, 90, None), (-5, 60, 3)],
        False,
    ),
    "one of two running terms cancelled, the one begun earlier": (
        [(-9, 90, 3), (-5, 60, None)],
        False,
    ),
    "all that reaches past the window is cancelled": ([(-9, 90, 3), (-5, 20, None)], True),
    "a later term cancelled, the present one runs on": ([(-9, 40, None), (33, 180, 3)], False),
    "the renewal cancelled, and renewed in turn": (
        [(-9, 29, None), (30, 33, 3), (33, 90, None)],
        False,
    ),
}


@pytest.mark.parametrize(("terms", "churned"), LEAVING.values(), ids=LEAVING)
def test_who_leaves(terms, churned):
    assert one_customer(terms)[0]["churned"] == churned


def test_a_term_agreed_before_runs_from_its_first_instant():
    row, _ = one_customer([(0, 60, None)])
    assert (row["eligible"], row["days_left"]) == (True, 60)


def test_cancelled_tells_of_the_term_that_ends_last():
    assert one_customer([(-20, 10, -3), (-5, 60, None)])[0]["cancelled"] == 0


def test_whoever_begins_a_first_term_can_be_dormant():
    row, allowed = one_customer([(5, 90, None)], ages=(300,))
    assert (row["churned"], row["outcome_stage"], allowed[STAGES.index("dormant")]) == (
        False,
        "dormant",
        True,
    )


@pytest.mark.parametrize(("ages", "periods"), [((5, 2, 1), 2), (range(2, 25, 2), 12)])
def test_periods_of_one_base_gap_end_where_the_next_begins(ages, periods):
    row, _ = one_customer((), ages)
    assert (row["gap_mean"], row["active_periods"]) == (2, periods / 12)


def one_customer(
    terms: Iterable[tuple], ages: Iterable[int] = (1,), *, agreed: int = 1
) -> tuple[oracle.Row, np.ndarray]:
    """The row and the stages in reach of one customer; horizon 30 days, grace 3. Terms: start, end, cancelled, in days
    from as_of, each `agreed` days before it starts. `ages` of the purchases in days."""
    chosen = settings_for(
        "contractual", {"horizon_days": 30, "grace_days": 3, "label_latency_days": 3}
    )
    made = World(
        random.Random(0),
        chosen,
        instant("2024-06-01", zone="UTC"),
        {name: [] for name in chosen.tables},
    )
    for term in terms:
        starts, ends, cancelled = (
            None if days is None else made.as_of + int(days * DAY) for days in term
        )
        cells = {
            "starts_at": starts,
            "ends_at": ends,
            "cancelled_at": cancelled,
            "recorded_at": starts - agreed * DAY,
        }
        add(made, "contracts", "a", **cells)
    for at in (made.as_of - age * DAY for age in ages):
        add(made, "transactions", "a", occurred_at=at, recorded_at=at, amount=1, kind="purchase")
    got = real(made)
    return got.rows["a"], got.allowed["a"]
