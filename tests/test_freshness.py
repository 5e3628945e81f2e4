"""Freshness: the habits of a feed, its end, and what is stale at any instant."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.core import errors
from features.core.instants import DAY_US, HOUR_US, instant, midnight_before
from features.core.settings import load_settings, settings_from_mapping
from features.tables.freshness import (
    FIRST_DAY,
    MAX_CHANCE,
    RecordedDays,
    allowed_quiet_days,
    measure_freshness,
    read_recorded_days,
    stale_tables,
)
from features.tables.history import load_history
from tests.support import worlds
from tests.support.public_data import public_file

MONDAY = date(2024, 1, 1)
ROOT = Path(__file__).resolve().parents[1]


def recorded(
    days: list[date], *, stated: int | None = None, hour: int = 9, volume: int = 20
) -> RecordedDays:
    numbers = np.array([(day - FIRST_DAY).days for day in days], dtype=np.int64)
    at = numbers * DAY_US + hour * HOUR_US
    rows = np.full(len(days), volume)
    return RecordedDays("interactions", "UTC", numbers, at, at + HOUR_US, rows, stated)


def every_day(count: int, *, weekdays: frozenset[int] = frozenset(range(7))) -> list[date]:
    days = (MONDAY + timedelta(days=number) for number in range(count))
    return [day for day in days if day.weekday() in weekdays]


def midnight(day: date) -> int:
    return instant(day, zone="UTC")


def test_a_daily_feed_may_be_quiet_for_one_whole_day():
    feed = recorded(every_day(120))
    end = midnight(MONDAY + timedelta(days=120))
    assert feed.at(end).quiet_days == 0
    assert [feed.at(end + n * DAY_US).is_stale for n in range(4)] == [False, False, True, True]


def test_the_quiet_allowed_follows_the_weekday_on_which_it_begins():
    weekdays = frozenset(range(5))
    feed = recorded(every_day(140, weekdays=weekdays))
    friday = MONDAY + timedelta(days=137)
    assert friday.weekday() == 4
    assert feed.at(midnight(friday + timedelta(days=3))).allowed_days == 3.0  # 1.5 × 2 days
    shorter = recorded(every_day(137, weekdays=weekdays))  # ends on a Thursday
    assert shorter.at(midnight(friday + timedelta(days=1))).allowed_days == 1.0
    # A silent Friday alone may be a holiday; with the Monday after it the feed has stopped.
    assert not shorter.at(midnight(friday + timedelta(days=3))).is_stale
    assert shorter.at(midnight(friday + timedelta(days=4))).is_stale


def test_the_rule_by_hand():
    days = np.array([4, 5, 11, 12, 13])  # Monday 5 January 1970, Tuesday, Monday …
    assert allowed_quiet_days(days, weekday=1) == 1.5 * 5
    assert allowed_quiet_days(days, weekday=0) == 1.0
    assert allowed_quiet_days(days[:1], weekday=0) == 1.0


def test_a_history_of_less_than_90_days_says_nothing():
    feed = recorded(every_day(80))
    assert not feed.at(midnight(MONDAY + timedelta(days=89))).is_stale
    assert feed.at(midnight(MONDAY + timedelta(days=89))).allowed_days is None
    assert feed.at(midnight(MONDAY + timedelta(days=91))).is_stale


def test_a_stated_instant_counts_where_it_is_later_and_without_history():
    end = MONDAY + timedelta(days=120)
    stated = midnight(end + timedelta(days=10))
    feed = recorded(every_day(120), stated=stated)
    assert not feed.at(stated).is_stale
    assert not feed.at(stated + DAY_US).is_stale
    assert feed.at(stated + 2 * DAY_US).is_stale
    empty = recorded([], stated=stated)
    assert not empty.at(stated + DAY_US).is_stale
    assert empty.at(stated + 2 * DAY_US).is_stale
    assert not recorded([]).at(stated).is_stale


def test_a_delivery_counts_from_the_instant_at_which_it_was_recorded():
    end = midnight(MONDAY + timedelta(days=120))
    known_at, until = end + 4 * DAY_US, end + 3 * DAY_US
    feed = replace(recorded(every_day(120)), deliveries=((known_at, until), (end, end)))
    assert feed.at(known_at - 1).is_stale
    assert not feed.at(known_at).is_stale
    assert feed.at(until + 2 * DAY_US).is_stale


def test_the_newest_delivery_counts_also_where_it_takes_an_earlier_one_back():
    end = midnight(MONDAY + timedelta(days=120))
    feed = recorded(every_day(120))
    promised, taken_back = (end - HOUR_US, end - HOUR_US), (end, end - 30 * DAY_US)
    assert not replace(feed, deliveries=(promised,)).at(end).is_stale
    assert replace(feed, deliveries=(promised, taken_back)).at(end).is_stale
    # Rows that are there and are said to be incomplete are no complete table.
    assert replace(feed, deliveries=(taken_back,)).at(end).is_stale
    # Two of one instant contradict each other: the earlier end counts.
    contradicting = ((end, end), (end, end - 30 * DAY_US))
    assert replace(feed, deliveries=contradicting).at(end).is_stale


def test_stray_rows_are_no_feed():
    """One row a day, where forty were usual: silent since the last usual day."""
    days = every_day(150)
    rows = np.array([40] * 120 + [1] * 30)
    feed = replace(recorded(days), rows=rows)
    end = midnight(MONDAY + timedelta(days=120))
    assert not feed.at(end + DAY_US).is_stale
    assert feed.at(end + 2 * DAY_US).is_stale
    assert feed.at(end + 30 * DAY_US).quiet_days == 30
    # A business that grows tenfold was not silent before.
    growing = replace(recorded(days), rows=np.geomspace(10, 100, 150).astype(int))
    assert growing.at(midnight(MONDAY + timedelta(days=150))).allowed_days == 1.0
    # What later rows of the day bring is not known yet.
    morning = feed.at(int(feed.newest[120]) - HOUR_US // 2)
    assert morning.quiet_days == 0


def test_only_rows_of_its_kinds_keep_the_activity_table_fresh(shop):
    _, settings, history = shop
    tables = worlds.read_tables(history)
    at = midnight_before(history.data_until, settings.zone)
    bought = tables["transactions"]
    gone = pc.and_(
        pc.equal(bought["kind"], "purchase"), pc.greater(bought["occurred_at"], at - 20 * DAY_US)
    )
    cut = dict(tables) | {"transactions": bought.filter(pc.invert(gone))}
    with pytest.raises(errors.FeedSilent, match="transactions"):
        stale_tables(worlds.rebuild_history(history, cut), settings, at)


def test_deliveries_are_a_table_of_the_configuration(shop):
    folder, settings, _ = shop
    mapping = tomllib.loads((folder / "lifecycle.toml").read_text())
    mapping["tables"]["deliveries"] = (
        "SELECT 'customers' AS table_name, '2024-01-10T00:00:00Z' AS complete_until, "
        "'2024-01-12T00:00:00Z' AS recorded_at"
    )
    mapping["features"]["off"] = list(settings.features.off)
    history, _ = load_history(settings_from_mapping(mapping, folder=folder, where="test"))
    customers = read_recorded_days(history, settings)["customers"]
    assert customers.at(instant("2024-01-11", zone="UTC")).complete_until is None
    assert customers.at(instant("2024-01-12", zone="UTC")).is_stale
    assert read_recorded_days(history, settings)["feedback"].deliveries == ()


def test_an_old_as_of_is_answered_as_it_was():
    days = every_day(300)
    hole = [day for day in days if not 150 <= (day - MONDAY).days < 170]
    at = midnight(MONDAY + timedelta(days=160))
    assert recorded(hole).at(at) == recorded([d for d in hole if midnight(d) < at]).at(at)
    assert recorded(hole).at(at).is_stale
    # Afterwards the hole is part of the table's habits.
    assert recorded(hole).at(midnight(MONDAY + timedelta(days=300))).allowed_days == 1.0
    weekday = (MONDAY + timedelta(days=149)).weekday()
    later = next(d for d in hole[200:] if d.weekday() == weekday)
    assert recorded(hole).at(midnight(later + timedelta(days=1))).allowed_days == 30.0


@given(
    weekdays=st.frozensets(st.integers(0, 6), min_size=1),
    length=st.integers(120, 200),
    cut=st.integers(1, 60),
    later=st.integers(0, 60),
)
def test_cutting_a_suffix_never_removes_the_stale_mark(weekdays, length, cut, later):
    """For feeds with the same habits every week."""
    days = every_day(length, weekdays=weekdays)
    at = midnight(MONDAY + timedelta(days=length + later))
    if recorded(days).at(at).is_stale:
        assert recorded([d for d in days if (d - MONDAY).days < length - cut]).at(at).is_stale


@pytest.mark.parametrize("fixture", ["shop", "subscriptions"])
def test_no_day_of_the_simulated_businesses_is_stale(fixture, request):
    _, settings, history = request.getfixturevalue(fixture)
    assert not list(stale_days(history, settings))


def stale_days(history, settings):
    """(table, date) for every local midnight up to the data's end at which a table is stale."""
    for name, each in read_recorded_days(history, settings).items():
        for day in range(each.days.min(initial=0), each.days.max(initial=0) + 2):
            at = instant(FIRST_DAY + timedelta(days=int(day)), zone=settings.zone)
            if at <= history.data_until and each.at(at).is_stale:
                yield name, FIRST_DAY + timedelta(days=int(day))


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("online_retail", "online_retail/online_retail.parquet"),
        ("cdnow", "cdnow/cdnow_master.parquet"),
    ],
)
def test_no_day_of_real_shops_is_stale(name, file):
    public_file(file)
    settings = load_settings(ROOT / "examples" / f"{name}.toml")
    history, _ = load_history(settings)
    assert not list(stale_days(history, settings))


@pytest.mark.parametrize("fixture", ["shop", "subscriptions"])
def test_a_cut_feed_is_named_within_one_allowed_spell(fixture, request):
    _, settings, history = request.getfixturevalue(fixture)
    for each in read_recorded_days(history, settings).values():
        for count in range(len(each.days) - 40, len(each.days)):
            if count < 100:
                continue
            cut = RecordedDays(
                each.table,
                each.zone,
                each.days[:count],
                each.oldest[:count],
                each.newest[:count],
                each.rows[:count],
                None,
            )
            end = cut.at(int(cut.newest[-1]) + 1)
            assert not end.is_stale
            allowed = (end.complete_until or 0) + round((end.allowed_days or 0) * DAY_US)
            assert not cut.at(allowed).is_stale
            late = cut.at(allowed + DAY_US)
            assert late.is_stale or late.chance >= MAX_CHANCE
            assert cut.at(allowed + 30 * DAY_US).is_stale


def test_a_daily_feed_is_named_on_the_first_midnight_after_the_allowed_quiet():
    for count in range(100, 140):
        feed = recorded(every_day(count))
        end = midnight(MONDAY + timedelta(days=count))
        assert [feed.at(end + n * DAY_US).is_stale for n in (1, 2)] == [False, True]


def test_a_sparse_table_that_breaks_its_own_record_is_not_stale():
    """On every weekday one of three days is silent: three in a row are nothing special."""
    days = [day for day in every_day(120) if (day - MONDAY).days % 3]
    feed = recorded(days)
    end = midnight(days[-1] + timedelta(days=1))
    assert feed.at(end + 3 * DAY_US).quiet_days > (feed.at(end + 3 * DAY_US).allowed_days or 99)
    assert not feed.at(end + 3 * DAY_US).is_stale
    assert feed.at(end + 9 * DAY_US).is_stale


def test_freshness_reads_the_second_clock_and_local_days(shop):
    _, settings, history = shop
    tables = worlds.read_tables(history)
    connection = duckdb.connect()
    connection.register("read", tables["interactions"])
    at = history.data_until - 100 * DAY_US
    [(newest,)] = connection.execute(
        "SELECT max(recorded_at) FROM read WHERE recorded_at < ?", [at]
    ).fetchall()
    measured = measure_freshness(history, settings, at)
    assert measured["interactions"].newest_at == newest
    assert measured["customers"].allowed_days is None


def test_a_stale_side_table_is_named_and_a_stale_activity_table_refused(shop):
    _, settings, history = shop
    tables = worlds.read_tables(history)
    at = midnight_before(history.data_until, settings.zone)
    assert stale_tables(history, settings, at) == frozenset()
    for name in ("interactions", "feedback"):
        cut = {**tables, name: worlds.truncate_history(tables, at - 40 * DAY_US)[name]}
        silent = worlds.rebuild_history(history, cut)
        assert stale_tables(silent, settings, at) == {name}
    cut = {
        **tables,
        "transactions": worlds.truncate_history(tables, at - 10 * DAY_US)["transactions"],
    }
    with pytest.raises(errors.FeedSilent, match=r"transactions.*days without a row") as refused:
        stale_tables(worlds.rebuild_history(history, cut), settings, at)
    assert (refused.value.exit_code, refused.value.status) == (3, 422)
    stated = settings.model_copy(
        update={
            "contract": settings.contract.model_copy(
                update={"fresh_until": {"transactions": "2024-01-31"}}
            )
        }
    )
    assert stale_tables(worlds.rebuild_history(history, cut), stated, at) == frozenset()


def test_the_data_end_where_the_activity_ends(shop, tmp_path):
    """Labels after the last activity would call everybody a churner."""
    folder, settings, history = shop
    end = midnight_before(history.data_until, settings.zone) - 40 * DAY_US
    text = (folder / "lifecycle.toml").read_text()
    mapping = tomllib.loads(text)
    day = (FIRST_DAY + timedelta(days=end // DAY_US)).isoformat()
    select = mapping["tables"]["transactions"].rstrip().rstrip(";")
    mapping["tables"]["transactions"] = (
        f"SELECT * FROM ({select}) AS cut WHERE CAST(occurred_at AS VARCHAR) < '{day}'"
    )
    settings = settings_from_mapping(mapping, folder=folder, where="test")
    cut, _ = load_history(settings)
    assert cut.data_until == end


def test_a_table_name_that_is_unknown_is_refused():
    mapping = {
        "tables": {"transactions": "SELECT 1"},
        "contract": {"fresh_until": {"interaction": "2024-01-01"}},
    }
    with pytest.raises(errors.UsageError, match="interactions"):
        settings_from_mapping(mapping, folder=Path(), where="test")
