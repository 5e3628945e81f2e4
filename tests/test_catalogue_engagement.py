"""Sessions, channels and breadth at their edges: every case a customer of one small business,
worked by hand.
"""

from __future__ import annotations

import math
import random

import pytest

from features.core import settings
from features.core.instants import instant
from features.tables import history
from tests.support.oracle import DAY, MINUTE
from tests.support.oracle_worlds import World, add, real, settings_for

AT = instant("2024-06-01", zone="UTC")
HOUR = 60 * MINUTE
# customer -> interactions as (age, kind, channel), newest or oldest first
MET = {
    "half an hour apart": [(DAY, "visit", "web"), (DAY - 30 * MINUTE, "usage", "web")],
    "a moment more": [(DAY, "visit", "web"), (DAY - 30 * MINUTE - 1, "visit", "web")],
    "a call between": [
        (DAY, "visit", "web"),
        (DAY - 20 * MINUTE, "call", "phone"),
        (DAY - 40 * MINUTE, "login", "web"),
    ],
    "three in a row": [(DAY - k * 20 * MINUTE, "visit", "web") for k in range(3)],
    "across the window's edge": [
        (7 * DAY + MINUTE, "visit", "web"),
        (7 * DAY - MINUTE, "visit", "web"),
    ],
    "a day apart": [(3 * DAY, "visit", "web"), (2 * DAY, "call", "phone")],
    "a moment more than a day": [(3 * DAY, "visit", "web"), (2 * DAY - 1, "call", "phone")],
    "back on the first channel": [
        (5 * HOUR, "visit", "web"),
        (4 * HOUR, "visit", "app"),
        (3 * HOUR, "visit", "web"),
    ],
    "one instant, two channels": [(HOUR, "visit", "web"), (HOUR, "visit", "app")],
    "a letter and no channel between": [
        (3 * HOUR, "visit", "web"),
        (2 * HOUR, "sent", "email"),
        (HOUR, "visit", None),
    ],
    "moved wholly": [(9 * DAY, "visit", "web"), (8 * DAY, "visit", "web"), (DAY, "visit", "app")],
    "moved by half": [
        (9 * DAY, "visit", "web"),
        (8 * DAY, "visit", "web"),
        (2 * DAY, "visit", "app"),
        (DAY, "visit", "web"),
    ],
    "only lately": [(DAY, "visit", "app")],
    "only letters": [(DAY, "sent", "email")],
    "after a complaint": [
        (20 * DAY, "call", "phone"),
        (13 * DAY, "visit", "web"),
        (12 * DAY, "visit", "app"),
        (9 * DAY, "sent", "email"),
    ],
    "silent after a complaint": [(21 * DAY, "visit", "web")],
    "one answers, one does not": [
        (2 * DAY, "sent", "email"),
        (DAY, "clicked", "email"),
        (9 * DAY, "downgrade_page", "web"),
    ],
}
# customer -> purchases as (age, category)
BOUGHT = {
    "one new, one old": [(40 * DAY, "a"), (3 * DAY, "a"), (2 * DAY, "b")],
    "two at once in a new one": [(40 * DAY, "a"), (2 * DAY, "b"), (2 * DAY, "b")],
    "without a category": [(2 * DAY, None)],
    "three evenly": [(9 * DAY, "a"), (8 * DAY, "b"), (7 * DAY, "c")],
}
SESSIONS = ("sessions_all", "session_depth_all", "session_minutes_all")


@pytest.fixture(scope="module")
def rows():
    chosen = settings_for("non-contractual", {"horizon_days": 30}, features={"windows_days": [7]})
    made = World(random.Random(0), chosen, AT, {name: [] for name in chosen.tables})
    for customer in [*MET, *BOUGHT]:
        for age, category in BOUGHT.get(customer, [(50 * DAY, "a")]):
            add(
                made,
                "transactions",
                customer,
                occurred_at=AT - age,
                recorded_at=AT - age,
                amount=1,
                kind="purchase",
                category=category,
            )
        for age, kind, channel in MET.get(customer, []):
            add(
                made,
                "interactions",
                customer,
                occurred_at=AT - age,
                recorded_at=AT - age,
                kind=kind,
                channel=channel,
            )
        if "complaint" in customer:
            add(
                made,
                "feedback",
                customer,
                occurred_at=AT - 20 * DAY,
                recorded_at=AT - 20 * DAY,
                kind="complaint",
            )
    return real(made).rows


@pytest.mark.parametrize(
    ("customer", "worth"),
    [
        ("half an hour apart", (1, 2, 30)),
        ("a moment more", (2, 1, 0)),
        ("a call between", (2, 1, 0)),
        ("three in a row", (1, 3, 40)),
        ("only letters", (0, None, None)),
    ],
)
def test_a_session_ends_where_half_an_hour_passes_without_a_visit(rows, customer, worth):
    assert tuple(rows[customer][name] for name in SESSIONS) == worth


def test_a_session_counts_in_the_window_it_begins_in(rows):
    row = rows["across the window's edge"]
    assert (row["sessions_7d"], row["session_depth_7d"], row["session_depth_all"]) == (0, None, 2)


@pytest.mark.parametrize(
    ("customer", "share"),
    [
        ("a day apart", 1 / 2),
        ("a moment more than a day", 0),
        ("back on the first channel", 2 / 3),
        ("one instant, two channels", 1 / 2),
        ("a letter and no channel between", 0),
        ("only letters", None),
    ],
)
def test_a_hop_follows_another_channel_within_a_day(rows, customer, share):
    assert rows[customer]["channel_switch_share_all"] == share


@pytest.mark.parametrize(
    ("customer", "entropy", "shift"),
    [
        ("moved wholly", math.log(3) - 2 / 3 * math.log(2), 1),
        ("moved by half", math.log(4) - 3 / 4 * math.log(3), 1 / 2),
        ("only lately", 0, None),
        ("only letters", None, None),
        ("one instant, two channels", math.log(2), None),
    ],
)
def test_channels_are_told_by_entropy_and_shift(rows, customer, entropy, shift):
    row = rows[customer]
    assert row["channel_entropy"] == (entropy if not entropy else pytest.approx(entropy, abs=1e-6))
    assert row["channel_shift_7d"] == shift


def test_channels_after_a_complaint_count_for_seven_days(rows):
    assert (
        rows["after a complaint"]["complaint_channels"] == 1
    )  # the call at its instant; seven days later is too late
    assert rows["silent after a complaint"]["complaint_channels"] == 0
    assert rows["a day apart"]["complaint_channels"] is None


@pytest.mark.parametrize(
    ("customer", "novelty", "entropy"),
    [
        ("one new, one old", 1 / 2, math.log(3) - 2 / 3 * math.log(2)),
        ("two at once in a new one", 1 / 2, math.log(3) - 2 / 3 * math.log(2)),
        ("without a category", 0, None),
        ("three evenly", 1, math.log(3)),
        ("only letters", None, 0),
    ],
)
def test_new_categories_and_their_evenness(rows, customer, novelty, entropy):
    row = rows[customer]
    assert row["new_category_share_7d"] == novelty
    assert row["category_entropy"] == (entropy if not entropy else pytest.approx(entropy, abs=1e-6))


def test_recencies_by_kind_and_shares(rows):
    row = rows["one answers, one does not"]
    assert (row["recency_response"], row["recency_cancel_page"], row["recency_call"]) == (
        1,
        9,
        None,
    )
    assert (row["visit_share"], row["call_share"], row["conversion_all"]) == (0, 0, 2 / 7)
    assert rows["a call between"]["call_share"] == 1 / 3
    assert rows["only letters"]["visit_share"] is None


@pytest.mark.parametrize(
    ("zone", "hours"),
    [
        ("UTC", [0, 1, 18]),
        ("Europe/London", [0, 2, 19]),
        ("Asia/Kolkata", [6, 7, 0]),
        ("America/New_York", [20, 21, 14]),
    ],
)
def test_the_hour_is_that_of_the_business(tmp_path, zone, hours):
    """The night the clocks go forward in London, and a zone half an hour off."""
    stated = "2024-03-31T00:30:00Z", "2024-03-31T01:30:00Z", "2024-03-31T18:45:00Z"
    lines = "".join(f"a,{at},1\n" for at in stated)
    (tmp_path / "t.csv").write_text("customer_id,occurred_at,amount\n" + lines)
    sections = {
        "business": {"zone": zone},
        "files": {"t": "t.csv"},
        "tables": {"transactions": "SELECT * FROM t"},
    }
    found, _ = history.load_history(
        settings.settings_from_mapping(sections, folder=tmp_path, where="test")
    )
    read = found.connection.execute(
        "SELECT local_hour FROM transactions ORDER BY occurred_at"
    ).fetchall()
    assert [hour for (hour,) in read] == hours
