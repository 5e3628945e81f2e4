"""Dates: the embargo holds, stated dates are kept, refits reuse rows, and nothing immature is
planned.
"""

from __future__ import annotations

import dataclasses
import functools
import random
from datetime import date

import pytest
from hypothesis import assume, example, given
from hypothesis import settings as how
from hypothesis import strategies as st

from features.core import errors
from features.core.instants import DAY_US, day_text, instant
from features.core.settings import settings_from_mapping
from tests.support.checks import nonempty
from tests.support.oracle_worlds import World, add, settings_for
from training import plan


@functools.cache
def one_activity(first):
    """A history whose only row is a purchase at the instant `first`."""
    settings = settings_for("non-contractual", {"horizon_days": 30})
    world = World(random.Random(0), settings, first, {name: [] for name in settings.tables})
    add(world, "transactions", "a", occurred_at=first, recorded_at=first, amount=1, kind="purchase")
    return world.history()


def history_over(first, until):
    """A history with activity from the instant `first` on, and data until `until`."""
    return dataclasses.replace(one_activity(first), data_until=until)


def settings_of(tmp_path, **training):
    stated = {
        "business": {"zone": training.pop("zone", "UTC")},
        "tables": {"transactions": "SELECT 1"},
        "training": training,
        "churn": {"horizon_days": training.pop("horizon", 60), "label_latency_days": 3},
    }
    return settings_from_mapping(stated, folder=tmp_path, where="test")


@given(
    st.integers(150, 1500),
    st.integers(5, 90),
    st.integers(7, 120),
    st.sampled_from(["UTC", "Europe/London", "Asia/Tokyo"]),
)
@example(days=150, step=5, horizon=102, zone="UTC")
@how(max_examples=80, deadline=None)
def test_the_embargo_holds_and_everything_is_mature(tmp_path_factory, days, step, horizon, zone):
    assume(days > horizon + 4)
    settings = settings_of(
        tmp_path_factory.getbasetemp(), step_days=step, horizon=horizon, zone=zone
    )
    first = instant("2022-01-05", zone=zone)
    history = history_over(first, first + days * DAY_US + 12345)
    window = (horizon + 3) * DAY_US
    made = plan.make_plan(history, settings)
    assert made.train or days < 3 * horizon + 9  # three horizons suffice
    assert max(made.train, default=0) + window <= made.evaluate[0]
    dates = nonempty((*made.train, *made.evaluate, *made.refit))
    assert all(at + window <= history.data_until for at in dates)
    assert min(made.train, default=history.data_until) >= first + horizon * DAY_US
    assert len(made.train) <= 12
    assert len(made.refit) <= 12
    assert set(made.evaluate) <= set(made.refit)
    assert all(len(day_text(at, zone=zone)) == 10 for at in dates)
    if made.train:
        assert (
            made.train[-1] + window > made.evaluate[0] - DAY_US - 3_600_000_000
        )  # no day of data is given away


def test_stated_dates_are_kept_and_immature_ones_refused(tmp_path):
    first = instant("2022-01-01", zone="UTC")
    history = history_over(first, first + 700 * DAY_US)
    stated = [date(2023, 6, 1), date(2023, 3, 1)]
    made = plan.make_plan(history, settings_of(tmp_path, evaluate=stated))
    assert [day_text(at, zone="UTC") for at in made.evaluate] == ["2023-03-01", "2023-06-01"]
    assert made.train[-1] <= made.evaluate[0] - 63 * DAY_US
    with pytest.raises(errors.ImmatureWindow, match="data end at"):
        plan.make_plan(history, settings_of(tmp_path, evaluate=[date(2023, 11, 1)]))


def test_a_span_without_a_training_date_is_said(tmp_path):
    first = instant("2022-01-01", zone="UTC")
    settings = settings_of(tmp_path)
    made = plan.make_plan(history_over(first, first + 100 * DAY_US), settings)
    assert made.train == ()
    with pytest.raises(errors.NotEnoughData, match="three horizons"):
        plan.refuse_without_dates(made, settings)
    with pytest.raises(errors.ImmatureWindow, match="longer than the horizon"):
        plan.make_plan(history_over(first, first + 50 * DAY_US), settings)
