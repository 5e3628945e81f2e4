"""Files of many rows are read in another way that costs less: every row, count and figure of
`check` stays the same.
"""

from __future__ import annotations

import gc
import tempfile

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from features.core.instants import DAY_US, instant
from features.core.settings import settings_from_mapping
from features.engine.build import current_state
from features.labels.eligible_churn import eligible_churned
from features.labels.outcomes import observe_outcomes
from features.recipes.activity_days import ActivityDays, days_of_frame, read_activity_days
from features.recipes.days_summary import median_gaps, summarise_days
from features.recipes.definitions import learn_definitions
from features.recipes.stages import summarise_activity
from features.tables.history import load_history
from features.tables.sources import Reading, connect
from features.tables.zone_shifts import local_shift, utc_shift
from lifecycle.commands.check import build_report
from tests.support.plausible_business import HEAD, NOW, day, purchases
from tests.support.variants import first_quick

MANY = Reading(only_counted=True, many_rows=1)
# Changes at 01:00 UTC, at midnight, by half an hour, around a month, over the date line.
ZONES = (
    "UTC",
    "Europe/London",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Pacific/Apia",
)


def business(folder, texts, *, zone="Europe/London", **sections):
    for name, text in texts.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    mapping = {
        "business": {"zone": zone},
        "files": {f"{name}_file": f"{name}.csv" for name in texts},
        "tables": {name: f"SELECT * FROM {name}_file" for name in texts},
        "churn": {"horizon_days": 30},
        **sections,
    }
    return settings_from_mapping(mapping, folder=folder, where="test")


def rows_of(history, name):
    return history.connection.execute(f"SELECT * FROM {name} ORDER BY ALL").fetchall()


def both(settings):
    return load_history(settings), load_history(settings, MANY)


STRANGE = (
    "c01,not a day,5,x1",
    "c01,2024-02-30,5,x2",
    ",2024-03-01,5,x3",
    "c02,2024-03-01,five,x4",
    "c02,2024-03-01,5.001,x5",
    "  c03\u00a0,2024-03-01 10:00,1.500,x6",
    "c04,2024-03-31 01:30:00,5,x7",
    "c04,2024-10-27 01:30:00,5,x8",
    "c05,2024-03-01T10:00:00Z,-5,o5-5",
    "c05,1960-01-01,5,x9",
    "c06,2099-12-31,5,x10",
    "客 七,2024-03-01 10:00:00.5+05:30,5,x11",
    "c07,2024-03-01,5,",
    "c07,2024-03-01,5,",
)


def test_check_says_the_same_of_rows_that_stay_in_files(tmp_path):
    rows = [*purchases(), *STRANGE, *purchases()[:25]]
    people = "customer_id,acquired_at\n" + "".join(f"c{who:02d},2024-01-01\n" for who in range(40))
    feedback = "customer_id,occurred_at,kind,score\nc01,2024-05-01,nps,11\nc02,2024-06-01,nps,9\n"
    settings = business(
        tmp_path,
        {"transactions": HEAD + "\n".join(rows), "customers": people, "feedback": feedback},
        contract={"scales": {"nps": [0, 10]}},
    )
    (usual, counts), (many, many_counts) = both(settings)
    assert counts["transactions"].rejected["exact_duplicate"] == 26
    assert len(counts["transactions"].rejected) >= 5
    assert build_report(many, many_counts, settings, now=NOW) == build_report(
        usual, counts, settings, now=NOW
    )
    for name in ("transactions", "customers", "feedback", "rejects"):
        assert rows_of(many, name) == rows_of(usual, name)
    described = [
        history.connection.execute("DESCRIBE transactions").fetchall() for history in (usual, many)
    ]
    assert [row[:2] for row in described[0]] == [row[:2] for row in described[1]]


def test_check_says_the_same_of_versions(tmp_path):
    head = "customer_id,occurred_at,amount,transaction_id,recorded_at,kind\n"
    rows = [f"{row},{row.split(',')[1]},purchase" for row in purchases()]
    rows += [
        "c01,2024-03-01,7,v1,2024-03-01,purchase",
        "c01,2024-03-01,8,v1,2024-03-05,purchase",
        "c01,2024-03-06,8,v1,2024-03-06,refund",
        "c02,2024-03-01,8,v2,2024-03-01,purchase",
        "c02,2024-03-01,8,v2,2024-03-09,void",
    ]
    settings = business(tmp_path, {"transactions": head + "\n".join(rows)})
    (usual, counts), (many, many_counts) = both(settings)
    assert usual.versioned == many.versioned == {"transactions"}
    assert not many.unique_ids
    report = build_report(usual, counts, settings, now=NOW)
    assert report["tables"]["transactions"]["superseded"] == 3
    assert build_report(many, many_counts, settings, now=NOW) == report


@pytest.mark.parametrize("zone", first_quick(ZONES, quick=2))
def test_local_times_near_clock_changes_are_read_and_counted_alike(tmp_path, zone):
    """Every 20 minutes of the days around the changes, and of days after 2040."""
    days = [f"{day(at)}" for at in (*range(65, 105), *range(270, 312))]
    days += ["2045-03-26", "2045-03-27", "2006-10-28", "2006-10-29", "2018-02-17", "2018-02-18"]
    days += ["2018-11-03", "2018-11-04", "2011-12-29", "2011-12-30", "2011-12-31"]
    rows = [
        f"c{number % 3},{text} {minute // 60:02d}:{minute % 60:02d},5,{text}-{minute}"
        for number, text in enumerate(days)
        for minute in range(0, 1440, 20)
    ]
    settings = business(tmp_path, {"transactions": HEAD + "\n".join(rows)}, zone=zone)
    (usual, counts), (many, many_counts) = both(settings)
    assert rows_of(many, "transactions") == rows_of(usual, "transactions")
    expected = counts["transactions"].clock_changes
    assert bool(expected) == (zone != "UTC")
    assert many_counts["transactions"].clock_changes == expected


def test_a_shift_that_is_known_is_that_of_the_calendar():
    zone, moment = "Europe/London", "2024-07-01 12:00:00"
    assert local_shift("text", "UTC").count("WHEN") == 2
    query = f"SELECT {local_shift('text', zone)}, {utc_shift('micros', zone)} FROM (SELECT "
    query += f"'{moment}' AS text, epoch_us(TIMESTAMP '{moment}') AS micros)"
    assert connect().execute(query).fetchall() == [(3_600_000_000, 3_600_000_000)]


def assert_equal_days(one, other):
    assert one.customers.to_pylist() == other.customers.to_pylist()
    assert one.starts.tolist() == other.starts.tolist()
    assert one.at.tolist() == other.at.tolist()


def test_days_as_arrays_are_those_of_the_table_of_days(shop, subscriptions):
    for _, settings, history in (shop, subscriptions):
        for at in (history.data_until, history.data_until - 300 * DAY_US):
            known = history.as_of(at)
            days, table = read_activity_days(history, known), days_of_frame(known.activity)
            assert days.gaps > 500
            assert_equal_days(days, table)
            definitions = learn_definitions(known, settings, days=days)
            assert definitions == learn_definitions(known, settings)
            summary = summarise_activity(known.activity, at=at, definitions=definitions)
            expected = summary.sort("customer_id").collect(backend="pyarrow").to_native()
            own = summarise_days(days, definitions)
            for name in ("customer_id", "n", "first_at", "last_at", "usual_gap", "streak"):
                assert own[name].to_pylist() == expected[name].to_pylist(), name
            by_customer = known.activity.to_native().query(
                "days", "SELECT median(gap) FROM days GROUP BY customer_id HAVING count(gap) > 0"
            )
            assert sorted(median_gaps(days)) == sorted(m for (m,) in by_customer.fetchall())


def test_days_are_those_of_the_table_where_a_clock_goes_back_over_midnight(tmp_path):
    # At 00:01 on 29 October 2006 the clock of St. John's went back to 23:01 on the 28th.
    rows = [
        "a,2006-10-29T02:30:30Z,5,1",  # 00:00:30 on the 29th
        "a,2006-10-29T03:00:00Z,5,2",  # 23:30 on the 28th
        "a,2006-10-29T12:00:00Z,5,3",  # the 29th again
        "b,2006-10-29T12:00:00Z,5,4",
    ]
    settings = business(tmp_path, {"transactions": HEAD + "\n".join(rows)}, zone="America/St_Johns")
    history, _ = load_history(settings)
    known = history.as_of(instant("2006-11-05", zone="UTC"))
    days = read_activity_days(history, known)
    assert days.counts.tolist() == [2, 1]
    assert_equal_days(days, days_of_frame(known.activity))


def test_parts_of_days_hold_whole_customers():
    counts = np.array([3, 1, 5, 1, 1])
    days = ActivityDays(pa.array(list("abcde")), np.append(0, np.cumsum(counts)), np.arange(11))
    parts = list(days.parts(most=4))
    assert [part.counts.tolist() for part in parts] == [[3, 1], [5], [1, 1]]
    assert np.concatenate([part.at for part in parts]).tolist() == list(range(11))


@pytest.mark.slow
@pytest.mark.long
def test_churn_of_the_eligible_is_that_of_the_outcomes(shop, subscriptions):
    for _, settings, history in (shop, subscriptions):
        for back in (0, 200):
            at = history.data_until - settings.outcome_window_us - back * DAY_US
            known = history.as_of(at)
            definitions = learn_definitions(known, settings)
            state = current_state(known, definitions).select("customer_id", "eligible")
            people = state.collect(backend="pyarrow").to_native()
            eligible = people.filter(people["eligible"])["customer_id"]
            rows = observe_outcomes(history, known, definitions=definitions, settings=settings).rows
            rows = rows.filter(pc.is_in(rows["customer_id"], value_set=eligible))
            churned = eligible_churned(history, known, definitions=definitions, settings=settings)
            assert len(churned) == rows.num_rows > 20
            assert 0 < churned.sum() == pc.sum(rows["churned"]).as_py()


def test_files_with_rows_are_private_and_go_with_the_connection(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    settings = business(tmp_path, {"transactions": HEAD + "\n".join(purchases())})
    history, _ = load_history(settings, MANY)
    [file] = tmp_path.glob("lifecycle-files-*/*")
    assert file.stat().st_mode & 0o077 == file.parent.stat().st_mode & 0o077 == 0
    assert rows_of(history, "transactions")
    history.connection.close()
    del history
    gc.collect()
    assert not list(tmp_path.glob("lifecycle-files-*"))
