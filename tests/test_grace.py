"""Grace from the data: how late renewals come, what is too young to know, and what `check` says of
it.
"""

from __future__ import annotations

import random

import pytest

from features.core.instants import instant
from features.labels import grace
from lifecycle.commands import check, check_text
from tests.support.oracle import DAY
from tests.support.oracle_worlds import World, add, settings_for

NOW = instant("2026-01-01", zone="UTC")  # the end of the data in these settings


def told(ends: list[tuple[float, float | None]], days: int = 0) -> dict:
    """The account of customers whose cover ended so many days ago and was renewed so many days
    later (None: not).
    """
    chosen = settings_for("contractual", {"grace_days": days, "label_latency_days": days})
    made = World(random.Random(0), chosen, NOW, {name: [] for name in chosen.tables})
    for number, (ago, late) in enumerate(ends):
        ended = NOW - int(ago * DAY)
        again = [] if late is None else [ended + int(late * DAY)]
        for starts, length in [(ended - 30 * DAY, 30), *((at, 3000) for at in again)]:
            cells = {
                "starts_at": starts,
                "ends_at": starts + length * DAY,
                "recorded_at": min(starts, NOW - 1),
            }
            if starts < NOW:
                add(made, "contracts", f"{number:04d}", **cells)
    return grace.report(made.history(), chosen)


def test_shares_count_every_end_that_is_old_enough():
    found = told([(200, 0)] * 40 + [(200, 2.5)] * 10 + [(200, 100)] * 5 + [(200, None)] * 45)
    assert (found["ended"], found["too_young"], found["renewed"]) == (100, 0, 50)
    assert {days: share for days, share in found["within"].items() if int(days) <= 7} == {
        "0": 0.4,
        "1": 0.4,
        "3": 0.5,
        "7": 0.5,
    }
    assert found["suggested"] == 3  # 2.5 days late is in within 3


def test_ends_too_young_to_know_are_left_out_renewed_or_not():
    old = [(90, 0)] * 30 + [(90, 60)] * 30
    young = [(89.9, 0)] * 500 + [(30, None)] * 100
    assert told(old + young) == told(old) | {"ended": 660, "too_young": 600}


def test_who_renews_on_time_needs_no_grace():
    assert told([(200, 0)] * 60 + [(200, -5)] * 60 + [(200, None)] * 30)["suggested"] == 0


def test_half_late_renewals_ask_for_grace_though_most_renew_on_time():
    """Of 1,000 only 30 renew late, but of those who did not renew on time they are half."""
    found = told([(200, 0)] * 940 + [(200, 5)] * 30 + [(200, None)] * 30)
    assert (found["suggested"], found["missed"]) == (5, 0.5)
    assert "50% of those" in grace.advice(found)[0]
    assert "grace_days = 5" in grace.advice(found)[0]


def test_enough_grace_is_no_news():
    assert grace.advice(told([(200, 0)] * 940 + [(200, 5)] * 30 + [(200, None)] * 30, days=5)) == []


@pytest.mark.parametrize("ends", [[], [(10, 0)] * 50, [(200, 3)] * 29, [(200, None)] * 50])
def test_too_little_to_say(ends):
    found = told(ends)
    assert found["suggested"] is None
    assert grace.advice(found) == []
    assert any("none suggested" in line for line in grace.report_lines(found))


def test_a_term_inside_another_ends_nothing_and_renews_nothing():
    chosen = settings_for("contractual", {})
    made = World(random.Random(0), chosen, NOW, {name: [] for name in chosen.tables})
    for starts, ends in ((-300, -200), (-250, -240), (-199, -150)):
        add(
            made,
            "contracts",
            "a",
            starts_at=NOW + starts * DAY,
            ends_at=NOW + ends * DAY,
            recorded_at=NOW - 300 * DAY,
        )
    found = grace.report(made.history(), chosen)
    assert (found["ended"], found["renewed"], found["within"]["0"], found["within"]["1"]) == (
        2,
        1,
        0.0,
        0.5,
    )


def test_check_says_it_of_contractual_businesses_alone(subscriptions, shop):
    from features.tables import history

    _, stated, _ = subscriptions
    read, counts = history.load_history(stated)
    found = check.build_report(read, counts, stated)
    assert found["renewals"]["renewed"] > 100
    assert "grace_days: suggested" in check_text.report_text(found)
    _, theirs, _ = shop
    read, counts = history.load_history(theirs)
    assert check.build_report(read, counts, theirs)["renewals"] is None
