"""The same bytes whatever the machine: threads, pieces, the machine's zone, and the hour a clock
changes.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from features.core import settings as settings_of
from features.core.instants import DAY_US, instant
from features.engine.build import build
from features.engine.business_columns import columns_for
from features.recipes.definitions import learn_definitions
from features.recipes.population_stats import population_stats
from features.tables import history as histories
from features.tables.clock_changes import find_changes
from lifecycle import simulation
from lifecycle.commands.check import build_report
from lifecycle.commands.check_text import report_text
from tests.support import worlds
from tests.support.checks import nonempty
from tests.support.variants import first_quick

ZONES = (
    "UTC",
    "Europe/London",
    "Europe/Lisbon",
    "Europe/Paris",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Europe/Kyiv",
    "Asia/Tehran",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Asia/Shanghai",
    "Asia/Tokyo",
    "Australia/Adelaide",
    "Australia/Sydney",
    "Australia/Lord_Howe",
    "Pacific/Auckland",
    "Pacific/Chatham",
    "Pacific/Apia",
    "Pacific/Kiritimati",
    "America/St_Johns",
    "America/New_York",
    "America/Sao_Paulo",
    "America/Santiago",
    "America/Los_Angeles",
)
# One window, and only families that read days, hours or money: reading the files is what a zone
# could disturb.
NARROW = {
    "windows_days": [30],
    "off": [
        "rhythm",
        "streaks",
        "trend",
        "satisfaction",
        "complaints",
        "channels",
        "sessions",
        "value",
    ],
}


def made(history, settings, at):
    known = history.as_of(at)
    definitions = learn_definitions(known, settings)
    columns = columns_for(history, definitions, settings)
    return build(
        known,
        population=population_stats(known, definitions),
        definitions=definitions,
        columns=columns,
    )


@pytest.fixture(
    scope="module",
    params=["shop", pytest.param("whole_shop", marks=[pytest.mark.slow, pytest.mark.long])],
)
def simulated_shop(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def rows(simulated_shop):
    _, settings, history = simulated_shop
    return made(history, settings, history.data_until - 200 * DAY_US)


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_threads_change_nothing(simulated_shop, rows, threads):
    _, settings, history = simulated_shop
    other = worlds.rebuild_history(history, worlds.read_tables(history), threads=threads)
    assert made(other, settings, history.data_until - 200 * DAY_US).equals(rows)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("piece", [1, 97, 5000])
def test_pieces_of_the_input_change_nothing(simulated_shop, rows, piece):
    _, settings, history = simulated_shop
    tables = {}
    for name, table in worlds.read_tables(history).items():
        table = table.slice(0, 4000) if piece == 1 else table
        tables[name] = pa.Table.from_batches(table.to_batches(max_chunksize=piece), table.schema)
    at = history.data_until - 200 * DAY_US
    whole = worlds.rebuild_history(
        history, {name: table.combine_chunks() for name, table in tables.items()}
    )
    assert made(worlds.rebuild_history(history, tables), settings, at).equals(
        made(whole, settings, at)
    )


def test_customers_asked_in_pieces_are_the_whole(simulated_shop, rows):
    _, settings, history = simulated_shop
    at = history.data_until - 200 * DAY_US
    known = history.as_of(at)
    definitions = learn_definitions(known, settings)
    columns, base = (
        columns_for(history, definitions, settings),
        population_stats(known, definitions),
    )
    ids = rows["customer_id"].to_pylist()
    pieces = [
        build(
            known,
            population=base,
            definitions=definitions,
            columns=columns,
            customers=ids[start : start + 150],
        )
        for start in range(0, len(ids), 150)
    ]
    assert pa.concat_tables(pieces).combine_chunks().equals(rows.combine_chunks())


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    simulation.write(simulation.simulate(customers=25, days=400), folder=folder)
    return folder


@pytest.mark.parametrize(
    "zones", [ZONES[::8], pytest.param(ZONES, marks=[pytest.mark.slow, pytest.mark.long])]
)
def test_the_machine_s_zone_changes_nothing(small, monkeypatch, zones):
    """Read from the files again in each zone: the business's zone is stated, the machine's is
    nobody's.
    """
    seen = []
    for zone in zones:
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        settings = settings_of.load_settings(small / "lifecycle.toml")
        settings = settings.model_copy(
            update={"features": settings.features.model_copy(update=NARROW)}
        )
        history, _ = histories.load_history(settings)
        seen.append(made(history, settings, instant("2022-11-06", zone=settings.zone)))
    monkeypatch.delenv("TZ")
    time.tzset()
    assert seen[0].num_rows > 10
    assert all(other.equals(seen[0]) for other in nonempty(seen[1:]))


def wall_times(zone):
    """Local times around every clock change of 2011 and 2024 (or of plain days), a quarter of an
    hour apart.
    """
    moments = []
    for year in (2011, 2024):
        span = datetime(year, 1, 1, tzinfo=UTC), datetime(year, 12, 31, tzinfo=UTC)
        moments += [change.first for change in find_changes(zone, *span)]
    moments = moments or [datetime(2024, 3, 31, 1), datetime(2024, 10, 27, 1)]
    return sorted({at + timedelta(minutes=15 * step) for at in moments for step in range(-8, 12)})


def meant(wall, clock):
    """The stated rule, said with Python's calendar: (instant, kind) of a local time without an
    offset.
    """
    first, second = (wall.replace(tzinfo=clock, fold=fold).astimezone(UTC) for fold in (0, 1))
    exists = first.astimezone(clock).replace(tzinfo=None) == wall
    if not exists:
        return first, "skipped"
    return max(first, second), "repeated" if first != second else ""


@pytest.mark.parametrize("zone", first_quick(ZONES, quick=8))
def test_local_times_read_by_the_stated_rule_and_are_counted(tmp_path, zone):
    clock, walls = ZoneInfo(zone), wall_times(zone)
    lines = [f"c{number},{wall:%Y-%m-%d %H:%M},1" for number, wall in enumerate(walls)]
    (tmp_path / "t.csv").write_text("customer_id,occurred_at,amount\n" + "\n".join(lines))
    (tmp_path / "lifecycle.toml").write_text(
        f'[business]\nzone = "{zone}"\n[files]\nt = "t.csv"\n[tables]\ntransactions = "SELECT *'
        ' FROM t"\n'
    )
    settings = settings_of.load_settings(tmp_path / "lifecycle.toml")
    history, counts = histories.load_history(settings)
    read = {
        row["customer_id"]: row
        for row in history.table("transactions").to_native().to_arrow_table().to_pylist()
    }
    kinds = {"skipped": 0, "repeated": 0}
    for number, wall in nonempty(enumerate(walls)):
        instant, kind = meant(wall, clock)
        local = instant.astimezone(clock)
        row = read[f"c{number}"]
        assert row["occurred_at"] == round(instant.timestamp() * 1_000_000), (wall, kind)
        assert (row["local_day"], row["local_hour"]) == (local.toordinal() - 719163, local.hour), (
            wall,
            kind,
        )
        if kind:
            kinds[kind] += 1
    said = {f"occurred_at_{kind}": count for kind, count in kinds.items() if count}
    assert counts["transactions"].clock_changes == said
    if zone not in (
        "UTC",
        "Asia/Kolkata",
        "Asia/Kathmandu",
        "Asia/Shanghai",
        "Asia/Tokyo",
        "Pacific/Kiritimati",
    ):
        assert said, "a zone whose clocks change"
    if zone == "Europe/London":
        report = report_text(build_report(history, counts, settings))
        assert len(said) == 2
        assert all(
            f"{count:,} {reason} by a clock change" in report for reason, count in said.items()
        )


def test_a_day_of_23_hours_and_one_of_25_are_days(tmp_path):
    """Windows are of 86,400 seconds; days are the calendar's: two purchases 23 hours apart lie on
    two days.
    """
    times = ["2024-03-30 23:30", "2024-03-31 23:30", "2024-10-26 23:30", "2024-10-27 23:45"]
    lines = [f"a,{at},1" for at in times]
    (tmp_path / "t.csv").write_text("customer_id,occurred_at,amount\n" + "\n".join(lines))
    (tmp_path / "lifecycle.toml").write_text(
        '[business]\nzone = "Europe/London"\n[files]\nt = "t.csv"\n[tables]\ntransactions = "SELECT'
        ' * FROM t"\n'
    )
    settings = settings_of.load_settings(tmp_path / "lifecycle.toml")
    history, counts = histories.load_history(settings)
    days = history.as_of(instant("2024-12-01", zone="Europe/London")).activity.collect(
        backend="pyarrow"
    )
    gaps = [gap for gap in days.to_native()["gap"].to_pylist() if gap]
    assert sorted(gaps)[0] == 23 * 3_600_000_000
    assert len(gaps) == 3
    assert counts["transactions"].clock_changes == {}
