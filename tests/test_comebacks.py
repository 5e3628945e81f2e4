"""Who comes back: waits worked by hand, what is too young to know, and horizons labelled as a
training labels them.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from features.core import settings
from features.core.errors import ImmatureWindow
from features.core.instants import DAY_US, instant
from features.labels import reactivation
from features.labels.outcomes import observe_outcomes
from features.recipes.definitions import learn_definitions
from features.tables import history
from tests.support.checks import nonempty

FIRST = datetime(2024, 1, 1, tzinfo=UTC)
START, ALL = instant("2024-01-01", zone="UTC"), 400
# Days of activity after the first of January; the data end on day 400.
DAYS = {
    "ann": [0, 10, 20, 30],  # silent for 370 days
    "bob": [0, 100, 110],  # 100 days of silence, and back
    "cid": [0, 200],  # back after 200 days, and silent for 200
    "dee": [350],  # 50 days of silence so far
}


@pytest.fixture(scope="module")
def business(tmp_path_factory):
    """(history, settings) of the four, in days of UTC."""
    folder = tmp_path_factory.mktemp("comebacks")
    rows = [
        f"{who},{(FIRST + timedelta(days=day)).isoformat()},5"
        for who, days in DAYS.items()
        for day in days
    ]
    (folder / "t.csv").write_text("customer_id,occurred_at,amount\n" + "\n".join(rows) + "\n")
    stated = {
        "business": {"zone": "UTC"},
        "files": {"t": "t.csv"},
        "churn": {"horizon_days": 60},
        "tables": {"transactions": "SELECT * FROM t"},
        "stages": {"multiples": [2, 4, 8]},
        "contract": {"data_until": str((FIRST + timedelta(days=ALL)).date())},
    }
    chosen = settings.settings_from_mapping(stated, folder=folder, where="test")
    return history.load_history(chosen)[0], chosen


@pytest.fixture(scope="module")
def found(business):
    past, chosen = business
    known = past.as_of(past.data_until)
    return reactivation.waits(
        known, replace(learn_definitions(known, chosen), population_mean_gap_us=30 * DAY_US)
    )


def made(days, ended, *, old=1000.0):
    """Waits that began `old` days ago and lasted so many days."""
    count, until = len(days), START + 1000 * DAY_US
    began = np.full(count, until - round(old * DAY_US))
    return reactivation.Waits(
        until, began, np.array(days, dtype=float), np.full(count, 10.0), np.array(ended)
    )


def test_a_wait_lasts_until_the_next_activity_or_is_open(found):
    assert found.days.tolist() == [10, 10, 10, 370, 100, 10, 290, 200, 200, 50]
    assert found.ended.tolist() == [True, True, True, False, True, True, False, True, False, False]


def test_the_usual_gap_is_the_one_known_when_the_wait_began(found):
    ann, bob = [60 / 2, 70 / 3, 80 / 4, 90 / 5], [60 / 2, 160 / 3, 170 / 4]
    assert found.usual.tolist() == pytest.approx([*ann, *bob, 30, 260 / 3, 30])


def test_a_rule_worked_by_hand(found):
    """60 days of silence: ann 370, bob 100 and 290, cid 200 and 200; cid's last is called on day
    260, 140 days ago.
    """
    [rule] = reactivation.compare_rules(found, multiples=[], days=[60], within_days=120)
    # bob came back 40 days after the call; cid's first return came 140 days after it, which is too
    # late to count.
    assert rule == {
        "rule": "60 days",
        "median_days": 60.0,
        "called": 5,
        "too_young": 0,
        "reactivated": 1,
        "share": 0.2,
    }
    [later] = reactivation.compare_rules(found, multiples=[], days=[60], within_days=141)
    assert later == {**rule, "too_young": 1, "reactivated": 2, "share": 0.5}


def test_a_multiple_asks_each_customers_own_gap(found):
    """Twice the usual gap: ann's 370 of 36, bob's 290 of 85, cid's 200 of 60 and 200 of 173; bob's
    100 of 60.
    """
    [rule] = reactivation.compare_rules(found, multiples=[2], days=[], within_days=100)
    assert (rule["rule"], rule["called"], rule["too_young"]) == (
        "2.00 usual gaps",
        5,
        1,
    )  # cid, called 27 days ago
    assert (rule["reactivated"], rule["share"]) == (1, 0.25)
    assert rule["median_days"] == pytest.approx(60)


def test_waits_too_young_to_know_are_left_out_ended_or_not():
    old, young = made([20, 500], [True, False]), made([20, 40], [True, False], old=40.0)
    both = reactivation.Waits(
        old.as_of,
        *(
            np.append(getattr(old, name), getattr(young, name))
            for name in ("began", "days", "usual", "ended")
        ),
    )
    [alone], [told] = (
        reactivation.compare_rules(each, multiples=[], days=[15], within_days=30)
        for each in (old, both)
    )
    assert alone["share"] == told["share"] == 0.5
    assert (told["called"], told["too_young"], told["reactivated"]) == (4, 2, 1)


def test_where_nobody_is_called_nothing_is_told():
    [rule] = reactivation.compare_rules(made([20], [True]), multiples=[], days=[30])
    assert rule == {
        "rule": "30 days",
        "median_days": None,
        "called": 0,
        "too_young": 0,
        "reactivated": 0,
        "share": None,
    }


def test_the_median_silence_is_of_those_who_are_counted():
    slow, quick = made([400], [False], old=400.0), made([400], [False], old=400.0)
    both = reactivation.Waits(
        slow.as_of,
        *(
            np.append(one, other)
            for one, other in (
                (slow.began, quick.began),
                (slow.days, quick.days),
                ([150.0], [10.0]),
                (slow.ended, quick.ended),
            )
        ),
    )
    [rule] = reactivation.compare_rules(both, multiples=[2], days=[], within_days=180)
    assert (rule["called"], rule["too_young"], rule["median_days"]) == (
        2,
        1,
        20,
    )  # the slow one was called 100 days ago
    [none] = reactivation.compare_rules(both, multiples=[2], days=[], within_days=390)
    assert (none["called"], none["too_young"], none["median_days"], none["share"]) == (
        2,
        2,
        None,
        None,
    )


def test_open_waits_count_as_long_as_they_were_watched():
    """40 end after 1 day and 40 after 3; 20 are open after 2 days: of 100, 60 are left, of 40
    none.
    """
    days, share = reactivation.survival_curve(
        made([1] * 40 + [2] * 20 + [3] * 40, [True] * 40 + [False] * 20 + [True] * 40)
    )
    assert days.tolist() == [0, 1, 3]
    assert share.tolist() == pytest.approx([1, 0.6, 0])


def test_the_curve_ends_where_too_few_are_watched():
    days, _ = reactivation.survival_curve(made([1] * 40 + [3] * 29, [True] * 69))
    assert days.tolist() == [0, 1]
    assert (
        reactivation.find_elbow(*reactivation.survival_curve(made([1] * 29, [True] * 29))) is None
    )


def test_the_elbow_is_where_the_curve_bends():
    days = np.arange(0.0, 101.0)
    assert (
        reactivation.find_elbow(
            days, np.where(days < 20, 1 - 0.04 * days, 0.2 - 0.001 * (days - 20))
        )
        == 20
    )
    assert reactivation.find_elbow(np.array([0.0, 1.0]), np.array([1.0, 0.0])) is None


def test_every_horizon_is_labelled_as_a_training_labels_it(shop):
    _, chosen, past = shop
    at = [past.data_until - 300 * DAY_US, past.data_until - 270 * DAY_US]
    rows = reactivation.compare_horizons(
        past, chosen, as_of=at, days=(30, 90), within_days=60
    ).to_pandas()
    for (horizon, when), group in nonempty(rows.groupby(["horizon_days", "as_of"])):
        churn = chosen.churn.model_copy(update={"horizon_days": int(horizon)})
        same, known = chosen.model_copy(update={"churn": churn}), past.as_of(int(when))
        told = observe_outcomes(
            past, known, definitions=learn_definitions(known, same), settings=same
        ).rows
        assert group["customer_id"].tolist() == told["customer_id"].to_pylist()
        assert group["churned"].tolist() == told["churned"].to_pylist()
        assert group["eligible"].tolist() == (group["recency_days"] <= horizon).tolist()
    rates = rows.groupby("horizon_days")["churned"].mean()
    assert rates[30] > rates[90]
    assert rows["reactivated"].notna().equals(rows["churned"])


def test_who_came_back_after_the_window_by_hand(business):
    past, chosen = business
    at = [START + 40 * DAY_US]  # ann, bob and cid are known; the window ends on day 90
    rows = reactivation.compare_horizons(
        past, chosen, as_of=at, days=(50,), within_days=111
    ).to_pylist()
    assert [(row["churned"], row["reactivated"]) for row in rows] == [
        (True, False),
        (True, True),
        (True, True),
    ]
    assert [(row["recency_days"], row["eligible"]) for row in rows] == [
        (10, True),
        (40, True),
        (40, True),
    ]
    sooner = reactivation.compare_horizons(
        past, chosen, as_of=at, days=(50,), within_days=110
    ).to_pylist()
    assert [row["reactivated"] for row in sooner] == [False, True, False]  # cid is back on day 200
    never = reactivation.compare_horizons(
        past, chosen, as_of=at, days=(50,), within_days=311
    ).to_pylist()
    assert [row["reactivated"] for row in never] == [None, None, None]


def test_a_horizon_that_is_not_complete_is_refused(business):
    past, chosen = business
    with pytest.raises(ImmatureWindow, match="a horizon of 180 days"):
        reactivation.compare_horizons(
            past, chosen, as_of=[past.data_until - 100 * DAY_US], days=(60, 180)
        )


def test_whether_a_subscriber_came_back_is_for_the_renewals_to_tell(subscriptions):
    _, chosen, past = subscriptions
    rows = reactivation.compare_horizons(
        past, chosen, as_of=[past.data_until - 200 * DAY_US], days=(30,), within_days=60
    )
    assert rows["reactivated"].null_count == rows.num_rows > 0
