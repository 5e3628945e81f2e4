"""`lifecycle init` proposes the zone whose offsets the times of the files carry."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from lifecycle import init
from lifecycle.init.questions import Answers
from lifecycle.init.zone_offsets import OffsetCount, zones_with
from tests.support.init_data import put

WINTER, SUMMER = datetime(2024, 1, 15, 12, tzinfo=UTC), datetime(2024, 7, 15, 12, tzinfo=UTC)
OFFSETS = {  # minutes in winter and in summer
    (60, 120): "Europe/Berlin",
    (0, 60): "Europe/London",
    (-300, -240): "America/New_York",
    (330, 330): "Asia/Kolkata",
    (120, 120): "Africa/Johannesburg",
    (345, 345): "Asia/Kathmandu",
    (660, 600): "Australia/Sydney",
}


@pytest.mark.parametrize("minutes", OFFSETS)
def test_the_zone_has_the_offsets_of_winter_and_of_summer(minutes):
    winter, summer = minutes
    zones = zones_with([OffsetCount(winter, WINTER, 50), OffsetCount(summer, SUMMER, 50)])
    assert zones[0] == OFFSETS[minutes]


@pytest.mark.parametrize(
    "offsets",
    [
        [OffsetCount(0, WINTER, 50), OffsetCount(0, SUMMER, 50)],  # written in UTC
        [OffsetCount(60, WINTER, 50), OffsetCount(-300, WINTER, 50)],  # of two places
        [OffsetCount(317, WINTER, 50)],  # of no zone
        [],
    ],
)
def test_times_of_no_single_zone_propose_none(offsets):
    assert zones_with(offsets) == []


def test_the_zone_is_asked_about_with_the_one_of_the_offsets_as_default(tmp_path):
    lines = [
        f"A{n},c{n % 5},2024-{(1, 7)[n % 2]:02d}-{1 + n % 28:02d}T23:30:00+0{(1, 2)[n % 2]}:00,5"
        for n in range(40)
    ]
    path = put(tmp_path, "orders.csv", "order_id,customer_id,order_date,total", lines)
    answers, out = Answers(), tmp_path / "one.toml"
    init.write([path], out, answers)
    assert answers.questions["zone"].default.value == "Europe/Berlin"
    assert "UTC" in [each.value for each in answers.questions["zone"].answers]
    assert 'zone = "Europe/Berlin"' in out.read_text()
