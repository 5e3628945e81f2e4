"""Customers made by hand, through the real thing: who leaves, what their cover tells, where periods
end.
"""

from __future__ import annotations

import pytest

from features.recipes.stages import STAGES
from tests.support.oracle_worlds import each_customer, one_customer

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
    "the renewal cancelled, another agreed from its start": (
        [(-9, 29, None), (30, 33, 3), (30, 90, None)],
        False,
    ),
    "the renewal cancelled, another agreed from days later": (
        [(-9, 29, None), (30, 33, 3), (33, 90, None)],
        True,
    ),
}


def test_who_leaves():
    rows = each_customer({name: terms for name, (terms, _) in LEAVING.items()})
    churned = {name: row["churned"] for name, (row, _) in rows.items()}
    assert churned == {name: churned for name, (_, churned) in LEAVING.items()}


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
    assert (row["gap_mean"], row["active_period_share"]) == (2, periods / 12)
